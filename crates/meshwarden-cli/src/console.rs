//! Standard output and error, while ranks are supervised: nothing that is said may hold up those who
//! say it, and no line is torn.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::fstat;
use tokio::sync::oneshot;
use tracing_subscriber::fmt::MakeWriter;

/// Texts that may wait to be said; more are counted instead.
const WAITING: usize = 1024;

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
pub(crate) struct Voice {
    texts: SyncSender<Said>,
    n_lost: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Said {
    Text(Vec<u8>),
    /// Everything before it has been said.
    Flush(oneshot::Sender<()>),
}

impl Voice {
    fn start(to: Port) -> io::Result<Self> {
        let (texts, said) = sync_channel(WAITING);
        let n_lost = Arc::new(AtomicUsize::new(0));
        let voice = Self { texts, n_lost: Arc::clone(&n_lost) };
        let thread = thread::Builder::new().name("meshwarden-voice".to_owned());
        // It waits for whoever reads standard error, and ends with this process.
        thread.spawn(move || speak(&said, &to, &n_lost))?;
        Ok(voice)
    }

    /// Says a text that ends its own last line.
    pub(crate) fn say(&self, text: std::fmt::Arguments<'_>) {
        self.try_say(format!("{text}\n").into_bytes());
    }

    fn try_say(&self, text: Vec<u8>) {
        if self.texts.try_send(Said::Text(text)).is_err() {
            self.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was said so far has been written.
    pub(crate) async fn flush(&self) {
        let (flushed, is_flushed) = oneshot::channel();
        // With a full queue there is nobody who reads; what waits is all that will be said.
        if self.texts.try_send(Said::Flush(flushed)).is_ok() {
            _ = is_flushed.await.is_ok();
        }
    }
}

fn speak(said: &Receiver<Said>, to: &Port, n_lost: &AtomicUsize) {
    while let Ok(next) = said.recv() {
        match next {
            // If nobody can read it, nobody misses it.
            Said::Text(text) => _ = to.write_lines(&text).is_ok(),
            Said::Flush(flushed) => _ = flushed.send(()).is_ok(),
        }
        let n_lost = n_lost.swap(0, Ordering::Relaxed);
        if n_lost > 0 {
            let text = format!("meshwarden: {n_lost} messages are lost, nobody read them\n");
            _ = to.write_lines(text.as_bytes()).is_ok();
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
        self.voice.try_say(std::mem::take(&mut self.text));
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
        let (texts, _said) = sync_channel(1);
        let voice = Voice { texts, n_lost: Arc::default() };
        for number in 0..5 {
            voice.say(format_args!("{number}"));
        }
        assert_eq!(voice.n_lost.load(Ordering::Relaxed), 4);
    }
}
