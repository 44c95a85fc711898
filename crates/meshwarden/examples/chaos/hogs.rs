//! Processes that take all the time of the processors that they can get.

use std::io::{self, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result};

/// Hogs that run, until this is dropped.
#[derive(Debug)]
pub(crate) struct Hogs(Vec<Child>);

/// The first argument of a copy of this program that is a hog.
pub(crate) const ARGUMENT: &str = "be-a-hog";

impl Hogs {
    /// Starts `n_hogs` processes.
    pub(crate) fn start(n_hogs: usize) -> Result<Self> {
        let mut hogs = Self(Vec::with_capacity(n_hogs));
        for _ in 0..n_hogs {
            let mut hog = Command::new("/proc/self/exe");
            let hog = hog.arg(ARGUMENT).stdin(Stdio::piped()).spawn();
            hogs.0.push(hog.context("a hog cannot be started")?);
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            // One that has ended by itself is no hog any more.
            _ = hog.kill().is_ok();
            _ = hog.wait().is_ok();
        }
    }
}

/// A hog: runs until whoever started it has gone, however that was.
pub(crate) fn be_a_hog() -> ExitCode {
    thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    _ = io::stdin().read(&mut [0]).is_ok();
    ExitCode::SUCCESS
}
