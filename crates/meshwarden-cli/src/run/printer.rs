//! The output of the ranks: whole lines, each with the point of its rank, streams kept apart.

use std::io::{self, ErrorKind};
use std::thread;

use anyhow::{Context, Result};
use meshwarden::mesh_shape::Extent;
use meshwarden::prelude::{Output, OutputSinks};
use tokio::sync::{mpsc, oneshot};

use crate::console::{Console, Port, Voice};

/// Messages that may wait for a printer; then the ranks wait, as they would for a full pipe.
const WAITING: usize = 64;

/// How much is gathered before it is written, in bytes; a longer line is written by itself.
const GATHERED_BYTES: usize = 64 * 1024;

/// The threads that print: one for each stream, so that a reader that is slow to read one of them does
/// not hold up the other.
#[derive(Debug)]
pub(crate) struct Printers {
    /// What each has to say at its end: whether all was printed.
    ends: [oneshot::Receiver<bool>; 2],
}

impl Printers {
    /// Starts to print what the sinks are given.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn start(extent: &Extent, console: &Console) -> Result<(Self, OutputSinks)> {
        let (stdout, out_lines) = mpsc::channel(WAITING);
        let (stderr, err_lines) = mpsc::channel(WAITING);
        let printer = |name, to: &Port| {
            let (to, voice) = (to.clone(), console.voice.clone());
            let write = move |lines: &[u8]| to.write_lines(lines);
            Printer { name, extent: extent.clone(), write, voice }
        };
        let (out, err) =
            (printer("standard output", &console.out), printer("standard error", &console.err));
        let ends = [
            spawn("meshwarden-stdout", move || out.run(out_lines))?,
            spawn("meshwarden-stderr", move || err.run(err_lines))?,
        ];
        Ok((Self { ends }, OutputSinks { stdout: Some(stdout), stderr: Some(stderr) }))
    }

    /// Waits until all is printed; the sinks must have been dropped. Returns whether all of it was.
    ///
    /// # Cancellation
    ///
    /// The threads go on, and end with this process.
    pub(crate) async fn finish(self) -> bool {
        let [out, err] = self.ends;
        tokio::join!(out, err) == (Ok(true), Ok(true))
    }
}

/// Runs `work` in a thread; gives what it returned.
///
/// # Errors
///
/// If there are no threads left.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() -> bool + Send + 'static,
) -> Result<oneshot::Receiver<bool>> {
    let (ended, end) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    // Whoever does not wait for the end does not want to know.
    thread.spawn(move || ended.send(work()).is_ok()).context("cannot start a thread")?;
    Ok(end)
}

struct Printer<W> {
    name: &'static str,
    extent: Extent,
    /// Writes whole lines.
    write: W,
    voice: Voice,
}

impl<W: Fn(&[u8]) -> io::Result<()>> Printer<W> {
    /// Prints until there is nothing more to print. Returns whether everything was.
    ///
    /// A reader that has gone is for the ranks to see: the sink closes, and with it their pipes. A
    /// full disk is not: it is said once, and they go on.
    fn run(self, mut lines: mpsc::Receiver<Output>) -> bool {
        let mut is_whole = true;
        let mut gathered = Vec::with_capacity(GATHERED_BYTES);
        while let Some(output) = lines.blocking_recv() {
            let result = self.gather(&mut gathered, &output, lines.is_empty());
            let Err(error) = result else { continue };
            gathered.clear();
            if error.kind() == ErrorKind::BrokenPipe {
                return false;
            }
            if is_whole {
                let name = self.name;
                self.voice.say(format_args!(
                    "meshwarden: output is lost, {name} cannot be written: {error}"
                ));
            }
            is_whole = false;
        }
        is_whole
    }

    /// Adds the lines to what is gathered, and writes it when it is much, or when no more waits.
    fn gather(&self, gathered: &mut Vec<u8>, output: &Output, is_last: bool) -> io::Result<()> {
        let point = self.extent.unravel(output.rank).map(|point| point.to_string());
        let prefix = format!("[{}] ", point.unwrap_or_default());
        for line in &output.lines {
            if gathered.len() + prefix.len() + line.len() >= GATHERED_BYTES {
                self.write_out(gathered)?;
            }
            gathered.extend_from_slice(prefix.as_bytes());
            gathered.extend_from_slice(line);
            gathered.push(b'\n');
        }
        if is_last { self.write_out(gathered) } else { Ok(()) }
    }

    fn write_out(&self, gathered: &mut Vec<u8>) -> io::Result<()> {
        if !gathered.is_empty() {
            (self.write)(gathered)?;
            gathered.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use meshwarden::mesh_core::Incarnation;
    use meshwarden::mesh_shape::Rank;

    use super::*;

    fn print(lines: &[Vec<u8>], write: impl Fn(&[u8]) -> io::Result<()>) -> bool {
        let (sink, receiver) = mpsc::channel(4);
        let lines = lines.iter().map(|line| line.clone().into()).collect();
        let output = Output { rank: Rank::new(3), incarnation: Incarnation::FIRST, lines };
        sink.try_send(output).unwrap();
        drop(sink);
        let extent = "hosts=2,procs=2".parse().unwrap();
        let voice = Console::start().unwrap().voice;
        Printer { name: "a test", extent, write, voice }.run(receiver)
    }

    #[test]
    fn every_line_has_the_point_of_its_rank() {
        let printed = RefCell::new(Vec::new());
        assert!(print(&[b"one".into(), b"".into(), b"two".into()], |lines| {
            printed.borrow_mut().extend_from_slice(lines);
            Ok(())
        }));
        let expected = "[hosts=1,procs=1] one\n[hosts=1,procs=1] \n[hosts=1,procs=1] two\n";
        assert_eq!(String::from_utf8(printed.into_inner()).unwrap(), expected);
    }

    #[test]
    fn only_whole_lines_are_written() {
        let lines: Vec<Vec<u8>> = (0..400).map(|number| vec![b'x'; number]).collect();
        let n_written = RefCell::new(0);
        assert!(print(&lines, |lines| {
            assert!(lines.ends_with(b"\n"), "torn");
            *n_written.borrow_mut() += lines.iter().filter(|byte| **byte == b'\n').count();
            Ok(())
        }));
        assert_eq!(n_written.into_inner(), lines.len());
    }

    #[test]
    fn what_could_not_be_written_is_said() {
        assert!(!print(&[b"one".into()], |_| Err(ErrorKind::BrokenPipe.into())));
        assert!(!print(&[b"one".into()], |_| Err(ErrorKind::StorageFull.into())));
    }
}
