//! Writes a trace, in a thread of its own: the loop never waits for it.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use controller::{Effect, Event, Spec};
use mesh_core::{Answer, Timestamp};
use serde::Serialize;
use supervise::Trace;
use tokio::sync::oneshot;

use crate::trace::{FORMAT, Header, LINE_BYTES_MAX, Line, StepLine, VERSION};

/// How much may wait to be written, in steps and in the runs of ranks that they report; what comes
/// then is lost. About 50 MB, if every rank says something else.
const WAITING: usize = 1 << 18;

/// Writes down every step that it is shown.
///
/// It never waits: a step that comes while too much is waiting to be written is lost, and so is every
/// step after an error. That is counted, stands in the trace where it can, and is part of
/// [`Recorded`].
#[derive(Debug)]
pub struct Recorder<R> {
    notes: mpsc::Sender<Note<R>>,
    shared: Arc<Shared>,
    limit: usize,
    /// Steps that were lost since the last that was not.
    n_lost: u64,
}

/// A trace that is being written, to be waited for.
#[derive(Debug)]
pub struct Recording(oneshot::Receiver<Recorded>);

/// What has become of a trace.
#[derive(Debug)]
pub struct Recorded {
    /// The steps in it.
    pub steps: u64,
    /// The steps that are not. If there are any, it cannot be replayed to its end.
    pub lost: u64,
    /// Why it could not be written any further; without that, what is lost came too fast, or took
    /// more than a line has.
    pub error: Option<io::Error>,
}

/// What both sides know.
#[derive(Debug, Default)]
struct Shared {
    /// The weight of what waits. At most the limit, or one step of any weight.
    waiting: AtomicUsize,
    /// Steps that never got into the queue.
    n_lost: AtomicU64,
}

/// What the writer is told.
#[derive(Debug)]
enum Note<R> {
    Begin(Box<Spec>),
    Step {
        /// How many were lost right before this one.
        n_lost: u64,
        weight: usize,
        line: StepLine<R>,
    },
}

impl<R: Clone + Serialize + Send + 'static> Recorder<R> {
    /// A recorder that writes to `out`, which should not wait for long: what happens meanwhile is
    /// kept up to a bound, and lost then. Nothing is written before the loop is set up.
    ///
    /// The trace is whole when the recorder has been dropped, by the loop at its end, and
    /// [`Recording::finish`] has returned.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Recording)> {
        Self::with_limit(out, WAITING)
    }

    fn with_limit(out: impl Write + Send + 'static, limit: usize) -> io::Result<(Self, Recording)> {
        let (notes, queue) = mpsc::channel();
        let (ended, end) = oneshot::channel();
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(out, Arc::clone(&shared));
        // Whoever does not wait for the end does not want to know.
        thread::Builder::new()
            .name("meshwarden-trace".to_owned())
            .spawn(move || ended.send(writer.run(&queue)).is_ok())?;
        Ok((Self { notes, shared, limit, n_lost: 0 }, Recording(end)))
    }

    /// Whether it found room. The count of what waits is taken back by the writer.
    fn send(&self, weight: usize, note: Note<R>) -> bool {
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        // One step of any weight may wait alone: otherwise it could never be written.
        if waiting > 0 && waiting.saturating_add(weight) > self.limit {
            return false;
        }
        self.shared.waiting.fetch_add(weight, Ordering::Relaxed);
        self.notes.send(note).is_ok()
    }
}

impl<R: Clone + Serialize + Send + 'static> Trace<R> for Recorder<R> {
    fn begin(&mut self, spec: &Spec) {
        // It is the first in the queue, so there is room; if the writer has gone, every step is lost.
        _ = self.send(0, Note::Begin(Box::new(spec.clone())));
    }

    fn record(&mut self, now: Timestamp, event: &Event<R>, effects: &[Effect]) {
        let weight = weight(event);
        let t = u64::try_from(now.since_start().as_nanos()).unwrap_or(u64::MAX);
        let line = StepLine { t, effects: effects.len() as u64, event: event.clone() };
        if self.send(weight, Note::Step { n_lost: self.n_lost, weight, line }) {
            self.n_lost = 0;
        } else {
            self.n_lost += 1;
            self.shared.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recording {
    /// Waits until the recorder has been dropped and everything is written.
    ///
    /// # Cancellation
    ///
    /// The trace is still written, as long as this process lives.
    pub async fn finish(self) -> Recorded {
        self.0.await.unwrap_or_else(|_| Recorded {
            steps: 0,
            lost: 0,
            error: Some(io::Error::other("the thread that writes it has panicked")),
        })
    }
}

/// The thread's side.
struct Writer<W: Write> {
    out: BufWriter<W>,
    shared: Arc<Shared>,
    line: Vec<u8>,
    has_begun: bool,
    /// Steps that were handed to `out`, and how many of them it has surely written.
    n_steps: u64,
    n_flushed: u64,
    /// Steps that came this far and were lost here.
    n_lost: u64,
    /// Steps of those that the next line is to tell of.
    n_unsaid: u64,
    error: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    fn new(out: W, shared: Arc<Shared>) -> Self {
        Self {
            out: BufWriter::new(out),
            shared,
            line: Vec::new(),
            has_begun: false,
            n_steps: 0,
            n_flushed: 0,
            n_lost: 0,
            n_unsaid: 0,
            error: None,
        }
    }

    /// Writes until the recorder has gone.
    fn run<R: Serialize>(mut self, queue: &mpsc::Receiver<Note<R>>) -> Recorded {
        while let Some(note) = self.next(queue) {
            let weight = if let Note::Step { weight, .. } = &note { *weight } else { 0 };
            let result = if self.error.is_none() { self.write(&note) } else { Ok(()) };
            if self.error.is_some() {
                self.n_lost += u64::from(weight > 0);
            }
            self.check(result);
            self.shared.waiting.fetch_sub(weight, Ordering::Relaxed);
        }
        let (lost, steps) = (self.lost(), self.n_steps);
        if self.has_begun && self.error.is_none() {
            let result =
                self.write_line(&Line::<()>::End { steps, lost }).and_then(|_| self.flush());
            self.check(result);
        }
        // What was handed over and is not surely written is lost, too.
        Recorded { steps: self.n_steps, lost: self.lost(), error: self.error }
    }

    /// The next note. What is written so far is safe before it is waited for.
    fn next<R>(&mut self, queue: &mpsc::Receiver<Note<R>>) -> Option<Note<R>> {
        if let Ok(note) = queue.try_recv() {
            return Some(note);
        }
        if self.error.is_none() {
            let result = self.flush();
            self.check(result);
        }
        queue.recv().ok()
    }

    fn write<R: Serialize>(&mut self, note: &Note<R>) -> io::Result<()> {
        match note {
            Note::Begin(spec) => {
                let header = Header {
                    format: FORMAT.to_owned(),
                    version: VERSION,
                    kind: spec.mesh.kind().to_owned(),
                    spec: Spec::clone(spec),
                };
                self.has_begun = self.write_line(&header)?;
                // Without it nothing can be read.
                if self.has_begun { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
            }
            Note::Step { n_lost, line, .. } => self.write_step(*n_lost, line),
        }
    }

    fn write_step<R: Serialize>(&mut self, n_lost: u64, step: &StepLine<R>) -> io::Result<()> {
        self.n_unsaid += n_lost;
        encode(&mut self.line, &StepRef::Step(step))?;
        if self.line.len() > LINE_BYTES_MAX {
            self.n_lost += 1;
            self.n_unsaid += 1;
            return Ok(());
        }
        let step = std::mem::take(&mut self.line);
        if self.n_unsaid > 0 {
            self.write_line(&Line::<()>::Lost(self.n_unsaid))?;
            self.n_unsaid = 0;
        }
        self.n_steps += 1;
        self.out.write_all(&step)?;
        self.line = step;
        Ok(())
    }

    /// Writes a line; returns whether it is one, and not too long.
    fn write_line(&mut self, line: &impl Serialize) -> io::Result<bool> {
        encode(&mut self.line, line)?;
        let fits = self.line.len() <= LINE_BYTES_MAX;
        if fits {
            self.out.write_all(&self.line)?;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.n_flushed = self.n_steps;
        Ok(())
    }

    /// After an error nothing more is written.
    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.n_lost += self.n_steps - self.n_flushed;
            self.n_steps = self.n_flushed;
            self.error = Some(error);
        }
    }

    fn lost(&self) -> u64 {
        self.n_lost + self.shared.n_lost.load(Ordering::Relaxed)
    }
}

/// A line with a step that is only lent.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum StepRef<'a, R> {
    Step(&'a StepLine<R>),
}

/// What a step weighs while it waits.
fn weight<R>(event: &Event<R>) -> usize {
    match event {
        Event::Answered(Answer::Reported { reports, .. }) => 1 + reports.n_runs(),
        Event::Answered(
            Answer::Heard { .. }
            | Answer::QueryFailed { .. }
            | Answer::Lost { .. }
            | Answer::Refused { .. }
            | Answer::Resist { .. },
        )
        | Event::Opened
        | Event::Adopted
        | Event::Subscribed(_)
        | Event::Unsubscribed(_)
        | Event::Lagged(_)
        | Event::Asked { .. }
        | Event::Withdrawn(_)
        | Event::Abandoned
        | Event::Tick => 1,
    }
}

/// Makes a line of JSON.
fn encode(line: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, value)?;
    line.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
