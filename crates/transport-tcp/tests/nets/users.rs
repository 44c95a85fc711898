//! users: at a socket in the file system, only processes of our own user.
//!
//! Needs root: the test binary executes itself as somebody else.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mesh_core::{
    Addr, Credit, DialError, Envelope, Identity, Inbound, Incarnation, Lane, Lost, Outbound,
    PeerId, ProcId, Transport,
};
use tokio::runtime::Runtime;
use transport_tcp::{Secret, TcpConfig, TcpTransport};

use crate::driver::PATIENCE;
use crate::{Fault, Outcome, ensure, once};

/// With this as its first argument the test binary knocks at a socket.
pub(crate) const KNOCK: &str = "--knock";

/// With this it listens at one.
pub(crate) const SQUAT: &str = "--squat";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        once("a_process_of_another_user_is_not_let_in", foreigner),
        once("a_socket_of_another_user_is_not_talked_to", squatter),
    ]
}

/// Whether there may be somebody else.
///
/// # Errors
///
/// What is missing.
pub(crate) fn probe() -> Result<(), Fault> {
    let other = Command::new("/bin/true").uid(NOBODY).gid(NOBODY).status();
    let is_possible = other.is_ok_and(|status| status.success());
    ensure(is_possible, || "only root may run a program as somebody else".to_owned())
}

/// Also where the rights of the file would let it: the kernel says who knocks.
fn foreigner() -> Outcome {
    let dir = Dir::new("foreigner")?;
    let (path, runtime) = (dir.0.join("door"), Runtime::new()?);
    let listener = transport()?;
    let at = Addr::Unix { path: path.clone() };
    runtime.block_on(listener.listen(&at, Lane::Control, Arc::new(Nobody)))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    let told = someone_else(KNOCK, &path)?.wait_with_output()?.stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    ensure(told == "0 bytes\nat once\n", || format!("it was told {told:?}"))?;
    // One of ours is asked who it is, and was not held up: it is no peer of the name that is asked for.
    let (dialler, proc) = (transport()?, ProcId::from_random(2));
    let dial = dialler.dial(&at, proc, Lane::Control, Arc::new(Nobody));
    let (found, why) = (ProcId::from_random(1), runtime.block_on(dial).err());
    let is_met = why == Some(DialError::Stranger { to: at, wanted: proc, found });
    ensure(is_met, || format!("{why:?}"))
}

/// A dialler says nothing there, not even hello.
fn squatter() -> Outcome {
    let dir = Dir::new("squatter")?;
    let path = dir.0.join("door");
    let mut squatter = someone_else(SQUAT, &path)?;
    let mut stdout = BufReader::new(squatter.stdout.take().ok_or("it has a stdout")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    ensure(line == "listening\n", || format!("it says {line:?}"))?;
    let (dialler, to) = (transport()?, Addr::Unix { path });
    let dialled = Runtime::new()?.block_on(dialler.dial(
        &to,
        ProcId::from_random(2),
        Lane::Control,
        Arc::new(Nobody),
    ));
    let why = dialled.err();
    ensure(why == Some(DialError::Unauthenticated(to)), || format!("{why:?}"))?;
    line.clear();
    stdout.read_line(&mut line)?;
    ensure(line == "0 bytes\n", || format!("it was told {line:?}"))?;
    squatter.wait()?;
    Ok(())
}

/// What somebody else does: knocks at a socket, or listens there; and says how much it was told.
pub(crate) fn run(role: &str, path: &Path) -> ExitCode {
    let done = if role == KNOCK { knock(path) } else { squat(path) };
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says nothing, as whoever is heard may for the time of a handshake.
fn knock(path: &Path) -> io::Result<()> {
    let begun = Instant::now();
    told(UnixStream::connect(path)?)?;
    let is_at_once = begun.elapsed() < HANDSHAKE / 2;
    writeln!(io::stdout(), "{}", if is_at_once { "at once" } else { "late" })
}

fn squat(path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    writeln!(io::stdout(), "listening")?;
    told(listener.accept()?.0)
}

fn told(mut stream: UnixStream) -> io::Result<()> {
    let mut said = Vec::new();
    // It may be reset instead of closed.
    _ = stream.read_to_end(&mut said).is_ok();
    writeln!(io::stdout(), "{} bytes", said.len())
}

fn someone_else(role: &str, path: &Path) -> Result<std::process::Child, Fault> {
    // Where we are built only we may be able to go.
    let copy = path.with_extension("program");
    fs::copy(env::current_exe()?, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(copy);
    command.arg(role).arg(path).stdout(Stdio::piped()).uid(NOBODY).gid(NOBODY);
    Ok(command.spawn()?)
}

fn transport() -> Result<TcpTransport, Fault> {
    let lease = TcpConfig::for_lease(Secret::from_bytes([7; 32]), PATIENCE);
    let config = TcpConfig { handshake: HANDSHAKE, ..lease };
    Ok(TcpTransport::new(config)?)
}

/// A directory that anybody may enter and write to, removed with what is in it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Result<Self, Fault> {
        let dir = env::temp_dir().join(format!("mesh-{name}-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
        Ok(Self(dir))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

/// Hears nothing, since nobody is let in.
struct Nobody;

impl Inbound for Nobody {
    fn identity(&self) -> Identity {
        let peer = PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST };
        Identity { peer, registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {}

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
}

/// How long somebody may say nothing who is heard.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// Who owns nothing.
const NOBODY: u32 = 65_534;
