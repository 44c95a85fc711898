//! The process at the other end: [`Other`].

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// At the other end: ends this process when the one that has started it is gone, whatever it is doing. Its
/// standard input is read to its end.
pub fn end_with_it() {
    drop(thread::spawn(|| {
        _ = io::stdin().lock().read_to_end(&mut Vec::new()).is_ok();
        process::exit(0);
    }));
}

/// The process at the other end. It is killed when this is dropped.
#[derive(Debug)]
pub struct Other {
    child: Child,
    /// It ends when this does.
    _stdin: Option<ChildStdin>,
}

impl Other {
    /// Starts this program again with these words, and hands it these bytes. Returns the first line that it
    /// says.
    pub fn start(words: &[&str], bytes: &[u8]) -> io::Result<(Self, String)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(stdin) = &mut stdin {
            stdin.write_all(bytes)?;
            stdin.flush()?;
        }
        let other = Self { child, _stdin: stdin };
        let mut line = String::new();
        BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        Ok((other, line.trim_end().to_owned()))
    }

    /// Kills it.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Suspends it, and returns when that is so: a thread of it may go on for a moment.
    pub fn suspend(&mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        match waitpid(Some(pid), WaitOptions::UNTRACED)? {
            Some((_, status)) if status.stopped() => Ok(()),
            _ => Err(io::Error::other("it has not stopped, but ended")),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill().is_ok();
        _ = self.child.wait().is_ok();
    }
}
