//! The output of the ranks: whole lines, each with the point of its rank, streams kept apart.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::thread;

use anyhow::{Context, Result};
use meshwarden::mesh_shape::Extent;
use meshwarden::prelude::{Output, OutputSinks};
use tokio::sync::{mpsc, oneshot};

use crate::cli::complain;

/// Messages that may wait for a printer; then the ranks wait, as they would for a full pipe.
const WAITING: usize = 64;

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
    pub(crate) fn start(extent: &Extent) -> Result<(Self, OutputSinks)> {
        let (stdout, out_lines) = mpsc::channel(WAITING);
        let (stderr, err_lines) = mpsc::channel(WAITING);
        let printer = |name: &'static str| Printer { name, extent: extent.clone() };
        let (out, err) = (printer("standard output"), printer("standard error"));
        let ends = [
            spawn("meshwarden-stdout", move || out.run(out_lines, io::stdout()))?,
            spawn("meshwarden-stderr", move || err.run(err_lines, io::stderr()))?,
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

fn spawn(
    name: &str,
    print: impl FnOnce() -> bool + Send + 'static,
) -> Result<oneshot::Receiver<bool>> {
    let (ended, end) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    // Whoever does not wait for the end does not want to know.
    thread.spawn(move || ended.send(print()).is_ok()).context("cannot start a thread")?;
    Ok(end)
}

struct Printer {
    name: &'static str,
    extent: Extent,
}

impl Printer {
    /// Prints until there is nothing more to print. Returns whether everything was.
    ///
    /// A reader that has gone is for the ranks to see: the sink closes, and with it their pipes. A
    /// full disk is not: it is said once, and they go on.
    fn run(self, mut lines: mpsc::Receiver<Output>, to: impl Write) -> bool {
        let mut to = BufWriter::with_capacity(64 * 1024, to);
        let mut is_whole = true;
        while let Some(output) = lines.blocking_recv() {
            let mut result = self.print(&mut to, &output);
            if result.is_ok() && lines.is_empty() {
                result = to.flush();
            }
            let Err(error) = result else { continue };
            if error.kind() == ErrorKind::BrokenPipe {
                forget(to);
                return false;
            }
            if is_whole {
                let name = self.name;
                complain(format_args!(
                    "meshwarden: output is lost, {name} cannot be written: {error}"
                ));
            }
            is_whole = false;
        }
        is_whole && to.flush().is_ok()
    }

    fn print(&self, to: &mut impl Write, output: &Output) -> io::Result<()> {
        let point = self.extent.unravel(output.rank).map(|point| point.to_string());
        let prefix = point.unwrap_or_default();
        for line in &output.lines {
            write!(to, "[{prefix}] ")?;
            to.write_all(line)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Lets go of what could not be written, without trying again.
fn forget<W: Write>(to: BufWriter<W>) {
    let (_, _unwritten) = to.into_parts();
}

#[cfg(test)]
mod tests {
    use meshwarden::mesh_core::Incarnation;
    use meshwarden::mesh_shape::Rank;

    use super::*;

    fn print(lines: &[&'static str], to: impl Write) -> bool {
        let (sink, receiver) = mpsc::channel(4);
        let lines = lines.iter().map(|line| line.as_bytes().into()).collect();
        let output = Output { rank: Rank::new(3), incarnation: Incarnation::FIRST, lines };
        sink.try_send(output).unwrap();
        drop(sink);
        let extent = "hosts=2,procs=2".parse().unwrap();
        Printer { name: "a test", extent }.run(receiver, to)
    }

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_has_the_point_of_its_rank() {
        let mut printed = Vec::new();
        assert!(print(&["one", "", "two"], &mut printed));
        let expected = "[hosts=1,procs=1] one\n[hosts=1,procs=1] \n[hosts=1,procs=1] two\n";
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
    }

    #[test]
    fn what_could_not_be_written_is_said() {
        assert!(!print(&["one"], Failing(ErrorKind::BrokenPipe)));
        assert!(!print(&["one"], Failing(ErrorKind::StorageFull)));
    }
}
