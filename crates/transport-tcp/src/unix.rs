//! Sockets in the file system: who may listen at a path, and what becomes of the file.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

/// How long a path may be, in bytes: what an address of a socket has room for.
pub(crate) const PATH_MAX: usize = 107;

/// Whether a path has room in the address of a socket.
pub(crate) fn is_too_long(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() > PATH_MAX
}

/// Listens at a path. A socket of ours that a dead process has left there is removed; that of a living one
/// never is, nor any other file.
pub(crate) async fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // Between its birth and its first day of listening a socket looks like one that was left behind, and
    // between two looks at one that was another may take its place: so one after the other.
    let turn = turn(path).await;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if turn.is_none() || !is_stale(path).await {
                return Err(error);
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let file = SocketFile::at(path);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok((listener, file))
}

/// Waits, not for long, until nobody else is about to listen in the same directory. `None` if that cannot be
/// known: then nothing may be removed.
async fn turn(path: &Path) -> Option<File> {
    let dir = File::open(path.parent()?).ok()?;
    for _ in 0..TURNS {
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(dir),
            Err(_) => sleep(TURN).await,
        }
    }
    None
}

/// Whether it is a socket of ours at which nobody listens any more. A file that is none refuses as well, and
/// one at which many wait to be taken says that it would block.
async fn is_stale(path: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let is_ours = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == us);
    if !is_ours || which_socket(path).is_none() {
        return false;
    }
    let connected = UnixStream::connect(path).await;
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The file of a socket. It is removed with the listener.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Which file it is: somebody may have removed it, and put another one there.
    file: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), file: which_socket(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.file.is_some() && which_socket(&self.path) == self.file {
            // It may have been removed just now.
            _ = fs::remove_file(&self.path).is_ok();
        }
    }
}

/// The device and the number of a file, if it is a socket.
fn which_socket(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    metadata.file_type().is_socket().then(|| (metadata.dev(), metadata.ino()))
}

/// How often, and after what time again, the turn is asked for.
const TURNS: u32 = 100;
const TURN: Duration = Duration::from_millis(10);
