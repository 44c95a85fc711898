//! The output of the ranks: whole lines, each with the point of its rank, streams kept apart.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::{Output, OutputSinks};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::console::{Console, Port, Voice};
use crate::run::fold::{Fold, Folded};
use crate::run::rank_logs::{Loss, Losses, RankLogs};

/// Messages that may wait for a printer; then the ranks wait, as they would for a full pipe.
const WAITING: usize = 64;

/// How much is gathered before it is written, in bytes; a longer line is written by itself.
const GATHERED_BYTES: usize = 64 * 1024;

/// How often it is looked for more while lines wait to be folded.
const LOOK: Duration = Duration::from_millis(10);

/// How the output of the ranks is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) extent: Extent,
    /// Whether the same line of many ranks is shown once.
    pub(crate) folds: bool,
    /// Where each rank has a file of its own.
    pub(crate) logs: Option<Arc<RankLogs>>,
}

/// The threads that print: one for each stream, so that a reader that is slow to read one of them does
/// not hold up the other.
#[derive(Debug)]
pub(crate) struct Printers {
    /// What each has to say at its end: whether all was printed.
    ends: [oneshot::Receiver<bool>; 2],
    logs: Option<Arc<RankLogs>>,
    voice: Voice,
}

impl Printers {
    /// Starts to print what the sinks are given.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn start(shown: &Shown, console: &Console) -> Result<(Self, OutputSinks)> {
        let (stdout, out_lines) = mpsc::channel(WAITING);
        let (stderr, err_lines) = mpsc::channel(WAITING);
        let printer = |name, to: &Port| {
            let (to, voice) = (to.clone(), console.voice.clone());
            let write = move |lines: &[u8]| to.write_lines(lines);
            Printer::new(name, shown, write, voice)
        };
        let (out, err) =
            (printer("standard output", &console.out), printer("standard error", &console.err));
        let ends = [
            spawn("meshwarden-stdout", move || out.run(out_lines))?,
            spawn("meshwarden-stderr", move || err.run(err_lines))?,
        ];
        let (logs, voice) = (shown.logs.clone(), console.voice.clone());
        Ok((Self { ends, logs, voice }, OutputSinks { stdout: Some(stdout), stderr: Some(stderr) }))
    }

    /// Waits until all is printed; the sinks must have been dropped. Says what is not in the logs. Returns
    /// whether all of it was printed, and logged.
    ///
    /// # Cancellation
    ///
    /// The threads go on, and end with this process.
    pub(crate) async fn finish(self) -> bool {
        let [out, err] = self.ends;
        let is_printed = tokio::join!(out, err) == (Ok(true), Ok(true));
        let losses = self.logs.and_then(|logs| logs.finish());
        if let Some(Losses { ranks, n_bytes }) = &losses {
            self.voice.say(format_args!(
                "meshwarden: output is missing: {n_bytes} bytes are not in the logs of these ranks: {ranks}"
            ));
        }
        is_printed && losses.is_none()
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
    logs: Option<Arc<RankLogs>>,
    /// Lines that wait for others to say the same.
    fold: Option<Fold>,
    /// Lines that wait to be written together.
    gathered: Vec<u8>,
    has_lost: bool,
}

/// What a printer has to do next.
enum Next {
    Output(Output),
    /// Some lines have waited for long enough.
    Due,
    End,
}

/// Nobody reads the stream any more.
struct ReaderGone;

impl<W: Fn(&[u8]) -> io::Result<()>> Printer<W> {
    fn new(name: &'static str, shown: &Shown, write: W, voice: Voice) -> Self {
        Self {
            name,
            extent: shown.extent.clone(),
            write,
            voice,
            logs: shown.logs.clone(),
            fold: shown.folds.then(|| Fold::new(shown.extent.size())),
            gathered: Vec::with_capacity(GATHERED_BYTES),
            has_lost: false,
        }
    }

    /// Prints until there is nothing more to print. Returns whether everything was.
    ///
    /// A reader that has gone is for the ranks to see: the sink closes, and with it their pipes. A
    /// full disk is not: it is said once, and they go on.
    fn run(mut self, mut lines: mpsc::Receiver<Output>) -> bool {
        self.print_all(&mut lines).is_ok() && !self.has_lost
    }

    fn print_all(&mut self, lines: &mut mpsc::Receiver<Output>) -> Result<(), ReaderGone> {
        loop {
            let is_end = match self.next(lines) {
                Next::Output(output) => {
                    self.log(&output);
                    self.gather(output)?;
                    false
                }
                Next::Due => false,
                Next::End => true,
            };
            self.unfold(is_end)?;
            if lines.is_empty() {
                self.write_out()?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Waits for more, but no longer than lines wait to be folded.
    fn next(&self, lines: &mut mpsc::Receiver<Output>) -> Next {
        while let Some(due) = self.fold.as_ref().and_then(Fold::next_deadline) {
            match lines.try_recv() {
                Ok(output) => return Next::Output(output),
                Err(TryRecvError::Disconnected) => return Next::End,
                Err(TryRecvError::Empty) => match due.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::sleep(left.min(LOOK)),
                    _ => return Next::Due,
                },
            }
        }
        lines.blocking_recv().map_or(Next::End, Next::Output)
    }

    /// Adds the lines to the file of their rank.
    fn log(&mut self, output: &Output) {
        let Some(logs) = &self.logs else { return };
        let Err(Loss { error, is_first }) = logs.write(output) else { return };
        if is_first {
            let rank = output.rank;
            self.voice.say(format_args!(
                "meshwarden: output is lost, the log of rank {rank} cannot be written: {error}; \
                 what is lost of all ranks is said at the end"
            ));
        }
    }

    /// Adds the lines to what waits to be written, or to be folded before that.
    fn gather(&mut self, output: Output) -> Result<(), ReaderGone> {
        let Output { rank, lines, .. } = output;
        if let Some(fold) = &mut self.fold {
            let now = Instant::now();
            lines.into_iter().for_each(|line| fold.push(now, rank, line));
            return Ok(());
        }
        let prefix = self.point(rank);
        lines.iter().try_for_each(|line| self.add(&prefix, line))
    }

    /// Takes the lines that have waited for long enough for others to say the same; all, if nobody will.
    fn unfold(&mut self, is_end: bool) -> Result<(), ReaderGone> {
        loop {
            let Some(fold) = &mut self.fold else { return Ok(()) };
            let next = if is_end { fold.pop_any() } else { fold.pop(Instant::now()) };
            let Some(Folded { text, rank, n_ranks }) = next else { return Ok(()) };
            let prefix = if n_ranks == 1 { self.point(rank) } else { format!("[×{n_ranks}] ") };
            self.add(&prefix, &text)?;
        }
    }

    fn point(&self, rank: Rank) -> String {
        let point = self.extent.unravel(rank).map(|point| point.to_string());
        format!("[{}] ", point.unwrap_or_default())
    }

    /// Adds a line to what is gathered, and writes that first if it is much.
    fn add(&mut self, prefix: &str, line: &[u8]) -> Result<(), ReaderGone> {
        if self.gathered.len() + prefix.len() + line.len() >= GATHERED_BYTES {
            self.write_out()?;
        }
        self.gathered.extend_from_slice(prefix.as_bytes());
        self.gathered.extend_from_slice(line);
        self.gathered.push(b'\n');
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), ReaderGone> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let result = (self.write)(&self.gathered);
        self.gathered.clear();
        let Err(error) = result else { return Ok(()) };
        if error.kind() == ErrorKind::BrokenPipe {
            return Err(ReaderGone);
        }
        if !self.has_lost {
            let name = self.name;
            self.voice
                .say(format_args!("meshwarden: output is lost, {name} cannot be written: {error}"));
        }
        self.has_lost = true;
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
        let shown = Shown { extent, folds: false, logs: None };
        Printer::new("a test", &shown, write, Console::start().unwrap().voice).run(receiver)
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
