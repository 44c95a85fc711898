//! The standard input of one rank.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::proc_mesh::Stdin;
use rustix::termios::isatty;

/// The standard input of this process, for `rank`.
///
/// A terminal cannot be handed on: a process of another group that reads it is suspended. So it is
/// copied, line by line as it comes.
///
/// # Errors
///
/// If there is no such rank, or no standard input.
pub(crate) fn open(rank: Rank, extent: &Extent) -> Result<Stdin> {
    if !extent.contains(rank) {
        bail!("--stdin {rank}: the ranks of {extent} are 0 to {}", extent.size().saturating_sub(1));
    }
    let stdin = io::stdin();
    let source = if isatty(stdin.as_fd()) {
        copy().context("cannot copy the standard input")?
    } else {
        stdin.as_fd().try_clone_to_owned().context("there is no standard input to give")?
    };
    Ok(Stdin { rank, source: Arc::new(source) })
}

/// A pipe that gets what is typed. Its thread waits for the terminal, which nothing can interrupt; it
/// ends with the input, with the reader, or with this process.
fn copy() -> io::Result<OwnedFd> {
    let (reader, mut writer) = io::pipe()?;
    let mut terminal = File::open("/dev/tty")?;
    thread::Builder::new().name("meshwarden-stdin".to_owned()).spawn(move || {
        // A reader that has gone wants no more.
        _ = io::copy(&mut terminal, &mut writer).is_ok();
    })?;
    Ok(reader.into())
}
