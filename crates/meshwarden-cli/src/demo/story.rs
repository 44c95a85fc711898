//! What happened, in order: told as it happens, line by line, to programs; kept for people.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::complain;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A rank runs, in its first life.
    Spawned { mesh_kind: String, mesh: String, rank: usize, point: String, pid: u32 },
    /// The driver has killed a process.
    Killed { rank: usize, pid: u32 },
    /// The driver has called the actor of a rank with what it panics over.
    Panicked { rank: usize, pid: u32 },
    /// The entry of a rank in the answers of a call is its failure.
    Answer {
        mesh_kind: String,
        mesh: String,
        rank: usize,
        point: String,
        error: String,
        /// Seconds from the fault until the whole call was answered.
        seconds: f64,
    },
    /// Somebody was told of a failure.
    Failure {
        to: Listener,
        mesh_kind: String,
        mesh: String,
        rank: usize,
        point: String,
        incarnation: u64,
        cause: String,
        /// The signal that ended it or what it lived in, if one did.
        signal: Option<i32>,
        /// Seconds after the fault; 0 if there had been none.
        seconds: f64,
    },
    /// A rank runs, in a later life.
    Restarted { mesh_kind: String, rank: usize, incarnation: u64, pid: u32 },
    /// The shard of a rank was lost with it, and was counted again, by a slice.
    Recounted { rank: usize, by: String, n_ranks: usize },
    /// All is counted.
    Result { words: u64, distinct: usize, top: Vec<(String, u64)>, equal_to_serial: bool },
    /// All has ended, and so many processes are left.
    Stopped { left_over: usize },
}

/// Who is told of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Listener {
    /// The owner of the mesh, by `next`.
    Owner,
    /// A task of its own, by `subscribe`.
    Subscriber,
}

impl Listener {
    /// In a sentence.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Subscriber => "subscriber",
        }
    }
}

/// An event and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Moment {
    #[serde(flatten)]
    pub(crate) event: Event,
    /// Seconds since the start.
    pub(crate) t: f64,
}

/// What has happened so far.
#[derive(Debug)]
pub(crate) struct Story {
    started: Instant,
    is_json: bool,
    moments: Vec<Moment>,
    /// Whether all of it could be written.
    is_written: bool,
}

impl Story {
    /// Begins. With `is_json` every event is a line on standard output.
    pub(crate) fn begin(is_json: bool) -> Self {
        Self { started: Instant::now(), is_json, moments: Vec::new(), is_written: true }
    }

    /// Tells of something that happened at `at`.
    pub(crate) fn tell(&mut self, at: Instant, event: Event) {
        let t = rounded(at.saturating_duration_since(self.started));
        let moment = Moment { event, t };
        if self.is_json {
            let line = serde_json::to_string(&moment).map(|line| line + "\n");
            self.write(|| io::stdout().lock().write_all(line?.as_bytes()));
        }
        self.moments.push(moment);
    }

    /// Writes to standard output, for people; not if programs read it.
    pub(crate) fn print(&mut self, text: &str) {
        if !self.is_json {
            self.write(|| io::stdout().lock().write_all(text.as_bytes()));
        }
    }

    /// Whether programs read it.
    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// What has happened, in the order told.
    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Whether everything could be written.
    pub(crate) const fn is_written(&self) -> bool {
        self.is_written
    }

    fn write(&mut self, write: impl FnOnce() -> io::Result<()>) {
        if !self.is_written {
            return;
        }
        if let Err(error) = write().and_then(|()| io::stdout().lock().flush()) {
            self.is_written = false;
            complain(format_args!("error: standard output cannot be written: {error}"));
        }
    }
}

/// Seconds, to the microsecond.
pub(crate) fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
