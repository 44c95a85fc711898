//! The standard input of one rank.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::proc_mesh::Stdin;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::getpgrp;
use rustix::termios::{isatty, tcgetpgrp};

/// What is typed, on its way to a rank.
#[derive(Debug)]
pub(crate) struct Typed {
    terminal: File,
    to: PipeWriter,
}

/// The standard input of this process, for `rank`.
///
/// A terminal cannot be handed on: a process of another group that reads it is suspended. So what is
/// typed has to be copied, with [`Typed::copy`].
///
/// # Errors
///
/// If there is no such rank, or no standard input.
pub(crate) fn open(rank: Rank, extent: &Extent) -> Result<(Stdin, Option<Typed>)> {
    if !extent.contains(rank) {
        bail!("--stdin {rank}: the ranks of {extent} are 0 to {}", extent.size().saturating_sub(1));
    }
    let stdin = io::stdin();
    let (source, typed) = if isatty(stdin.as_fd()) {
        let (source, typed) = Typed::open().context("cannot copy the standard input")?;
        (source, Some(typed))
    } else {
        let source = stdin.as_fd().try_clone_to_owned();
        (source.context("there is no standard input to give")?, None)
    };
    Ok((Stdin { rank, source: Arc::new(source) }, typed))
}

impl Typed {
    fn open() -> io::Result<(OwnedFd, Self)> {
        let (reader, to) = io::pipe()?;
        Ok((reader.into(), Self { terminal: File::open("/dev/tty")?, to }))
    }

    /// Copies in a thread, line by line as it comes. The thread waits for the terminal, which nothing
    /// can interrupt; it ends with the input, with the reader, or with this process.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn copy(self) -> io::Result<()> {
        let thread = thread::Builder::new().name("meshwarden-stdin".to_owned());
        // A reader that has gone wants no more, and a terminal that has gone has none.
        thread.spawn(move || self.copy_all().is_ok())?;
        Ok(())
    }

    /// In the background nothing is read: the kernel would suspend this process for it, and the ranks,
    /// which it does not know of, would lose their leases.
    fn copy_all(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 4096];
        loop {
            let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
            retry_on_intr(|| poll(&mut fds, None))?;
            if tcgetpgrp(&self.terminal)? != getpgrp() {
                thread::sleep(BACKGROUND);
                continue;
            }
            match self.terminal.read(&mut buffer)? {
                0 => return Ok(()),
                n_bytes => self.to.write_all(&buffer[..n_bytes])?,
            }
        }
    }
}

/// How soon to look again whether the terminal is ours.
const BACKGROUND: Duration = Duration::from_millis(100);
