//! Standard output and error, while ranks are supervised: nothing that is said may hold up those who
//! say it, and no line is torn.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::fstat;
use tokio::sync::oneshot;
use tracing_subscriber::fmt::MakeWriter;

/// How much may wait to be said; more is counted instead.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// One of the two streams. Where both are the same file, only one is written at a time.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    stream: Stream,
    turn: Arc<Mutex<()>>,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Out,
    Err,
}

/// The two streams of this process.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    pub(crate) out: Port,
    pub(crate) err: Port,
    pub(crate) voice: Voice,
}

impl Console {
    /// Starts the thread that says what is to be said.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn start() -> io::Result<Self> {
        let turn = Arc::new(Mutex::new(()));
        let other = if is_one_file() { Arc::clone(&turn) } else { Arc::default() };
        let out = Port { stream: Stream::Out, turn };
        let err = Port { stream: Stream::Err, turn: other };
        let voice = Voice::start(err.clone())?;
        Ok(Self { out, err, voice })
    }
}

/// Whether standard output and error are the same file, as after `2>&1`.
fn is_one_file() -> bool {
    let file = |fd: io::Result<rustix::fs::Stat>| fd.ok().map(|stat| (stat.st_dev, stat.st_ino));
    let out = file(fstat(io::stdout().as_fd()).map_err(io::Error::from));
    out.is_some() && out == file(fstat(io::stderr().as_fd()).map_err(io::Error::from))
}

impl Port {
    /// Writes whole lines, all of them together.
    ///
    /// # Errors
    ///
    /// If the stream cannot be written.
    pub(crate) fn write_lines(&self, lines: &[u8]) -> io::Result<()> {
        // A thread that panicked in its turn has left nothing that could be wrong.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Stream::Err => io::stderr().lock().write_all(lines),
        }
    }
}

/// Says lines on standard error without ever waiting for whoever reads it: a full pipe must not hold
/// up supervision. What finds no room is counted, and that is said.
#[derive(Clone, Debug)]
pub(crate) struct Voice(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    said: Mutex<Queue>,
    more: Condvar,
}

/// What waits to be said. Bound: [`WAITING_BYTES`] of texts, and a flush at the end of a run.
#[derive(Debug, Default)]
struct Queue {
    said: VecDeque<Said>,
    n_bytes: usize,
    /// Texts that found no room since that was said last, and whether there ever were any.
    n_lost: usize,
    has_lost: bool,
}

#[derive(Debug)]
enum Said {
    Text(Vec<u8>),
    /// Everything before it has been said; whether nothing was lost.
    Flush(oneshot::Sender<bool>),
}

impl Voice {
    fn start(to: Port) -> io::Result<Self> {
        let waiting = Arc::new(Waiting::default());
        let voice = Self(Arc::clone(&waiting));
        let thread = thread::Builder::new().name("meshwarden-voice".to_owned());
        // It waits for whoever reads standard error, and ends with this process.
        thread.spawn(move || {
            loop {
                waiting.speak(&to);
            }
        })?;
        Ok(voice)
    }

    /// Says a text and ends its last line.
    pub(crate) fn say(&self, text: std::fmt::Arguments<'_>) {
        self.say_bytes(format!("{text}\n").into_bytes());
    }

    fn say_bytes(&self, text: Vec<u8>) {
        let mut queue = self.0.queue();
        if queue.n_bytes + text.len() > WAITING_BYTES {
            queue.n_lost += 1;
            queue.has_lost = true;
            return;
        }
        queue.n_bytes += text.len();
        queue.said.push_back(Said::Text(text));
        self.0.more.notify_one();
    }

    /// Waits until what was said so far has been written. Returns whether nothing was lost.
    ///
    /// # Cancellation
    ///
    /// What waits is still said, as long as this process lives.
    pub(crate) async fn flush(&self) -> bool {
        let (flushed, is_flushed) = oneshot::channel();
        self.0.queue().said.push_back(Said::Flush(flushed));
        self.0.more.notify_one();
        is_flushed.await.unwrap_or(false)
    }
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A thread that panicked in its turn has left nothing that could be wrong.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says the next text, and how many were lost before it.
    fn speak(&self, to: &Port) {
        let mut queue = self
            .more
            .wait_while(self.queue(), |queue| queue.said.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let next = queue.said.pop_front();
        let n_lost = std::mem::take(&mut queue.n_lost);
        let has_lost = queue.has_lost;
        if let Some(Said::Text(text)) = &next {
            queue.n_bytes -= text.len();
        }
        drop(queue);
        // If nobody can read it, nobody misses it.
        if let Some(Said::Text(text)) = &next {
            _ = to.write_lines(text).is_ok();
        }
        if n_lost > 0 {
            let text =
                format!("meshwarden: {n_lost} messages are lost, they were not read in time\n");
            _ = to.write_lines(text.as_bytes()).is_ok();
        }
        if let Some(Said::Flush(flushed)) = next {
            _ = flushed.send(!has_lost).is_ok();
        }
    }
}

/// One line of the log; it is said when it is whole.
#[derive(Debug)]
pub(crate) struct LogLine {
    text: Vec<u8>,
    voice: Voice,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.voice.say_bytes(std::mem::take(&mut self.text));
    }
}

impl<'a> MakeWriter<'a> for Voice {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { text: Vec::new(), voice: self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let voice = Voice(Arc::default());
        let long = "x".repeat(WAITING_BYTES / 2);
        for _ in 0..5 {
            voice.say(format_args!("{long}"));
        }
        let queue = voice.0.queue();
        assert_eq!((queue.said.len(), queue.n_lost, queue.has_lost), (1, 4, true));
    }
}
