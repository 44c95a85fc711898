//! The events file: one JSON line for every change of a rank's status.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use meshwarden::mesh_core::{
    Change, Incarnation, MeshEvent, News, Reason, Status, StatusKind, StopReason,
};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::supervise::MeshEvents;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::console::Voice;
use crate::run::file;
use crate::run::printer::spawn;

/// Events that may wait for the file; then this subscriber is slow.
const WAITING: usize = 64;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    file: File,
    started: Instant,
    /// What was written of each rank last, so that a snapshot repeats nothing.
    written: BTreeMap<Rank, (Incarnation, StatusKind)>,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Something has happened.
    Event(MeshEvent),
    /// A rank says how it is.
    Said { rank: Rank, incarnation: Incarnation, text: String, is_stopping: bool },
}

/// A file that is being written to the end of its mesh.
#[derive(Debug)]
pub(crate) struct Written {
    /// Takes what ranks say.
    pub(crate) said: mpsc::Sender<Entry>,
    /// Gets whether all events were written.
    pub(crate) all: oneshot::Receiver<bool>,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    /// A rank's status changed.
    Status {
        /// Seconds since the run began.
        t: f64,
        mesh: &'a str,
        mesh_kind: &'a str,
        rank: usize,
        point: String,
        incarnation: u64,
        status: &'static str,
        /// In words, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// The kind of cause of a failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Seconds that it had lived.
        #[serde(skip_serializing_if = "Option::is_none")]
        alive: Option<f64>,
        /// Seconds until it is started again.
        #[serde(skip_serializing_if = "Option::is_none")]
        restart_in: Option<f64>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        stderr: &'a [String],
    },
    /// A rank says how it is.
    Said {
        t: f64,
        rank: usize,
        point: String,
        incarnation: u64,
        status_text: &'a str,
        /// Whether it ends, by its own word.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        stopping: bool,
    },
    /// Something is wrong that is no rank's failure.
    Trouble { t: f64, mesh: &'a str, detail: String },
    /// Changes that were over before they could be written are left out here; no end is.
    Lagged { t: f64, mesh: &'a str },
    /// The mesh is being stopped.
    Stopping {
        t: f64,
        mesh: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// Every rank has ended. The last line.
    Closed { t: f64, mesh: &'a str },
}

impl EventLog {
    /// Opens the file, and leaves what is in it until [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// If it cannot be written; a pipe, if nobody reads it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = file::open("events", path)?;
        let (path, started) = (path.to_owned(), Instant::now());
        Ok(Self { path, file, started, written: BTreeMap::new() })
    }

    /// Empties the file, and writes what happens until the mesh is closed, in a thread of its own. The
    /// receiver gets whether all of it was written; what is wrong is said once.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn start(
        mut self,
        mut events: MeshEvents,
        extent: Extent,
        voice: Voice,
    ) -> Result<Written> {
        let (forward, mut queue) = mpsc::channel(WAITING);
        // It keeps the queue from its end only as long as the owner of the mesh has it.
        let said = forward.clone();
        tokio::spawn(async move {
            // A reader that is slow lags, and gets a snapshot; what is in it is written.
            while let Some(event) = events.next().await
                && forward.send(Entry::Event(event)).await.is_ok()
            {}
        });
        let all = spawn("meshwarden-events", move || {
            let mut result = file::empty(&self.file);
            let mut is_closed = false;
            while let Ok(()) = result
                && !is_closed
            {
                result = match queue.blocking_recv() {
                    Some(Entry::Event(event)) => {
                        is_closed = event.news == News::Closed;
                        self.write(&event, &extent)
                    }
                    Some(Entry::Said { rank, incarnation, text, is_stopping }) => {
                        self.write_said(&extent, (rank, incarnation), (&text, is_stopping))
                    }
                    None => Err(io::Error::other("the controller ended before its mesh did")),
                };
            }
            let path = self.path.display();
            if let Err(error) = &result {
                voice.say(format_args!(
                    "meshwarden: events are lost, {path} cannot be written: {error}"
                ));
            }
            result.is_ok()
        })?;
        Ok(Written { said, all })
    }

    fn write_said(
        &mut self,
        extent: &Extent,
        (rank, incarnation): (Rank, Incarnation),
        (status_text, stopping): (&str, bool),
    ) -> io::Result<()> {
        self.write_line(&Line::Said {
            t: self.started.elapsed().as_secs_f64(),
            rank: rank.index(),
            point: point(extent, rank),
            incarnation: incarnation.number(),
            status_text,
            stopping,
        })
    }

    fn write(&mut self, event: &MeshEvent, extent: &Extent) -> io::Result<()> {
        let (t, mesh) = (self.started.elapsed().as_secs_f64(), event.mesh.name());
        match &event.news {
            News::Snapshot(snapshot) => {
                if snapshot.lagged {
                    self.write_line(&Line::Lagged { t, mesh })?;
                }
                self.write_changes(event, extent, &snapshot.alive)?;
                self.write_changes(event, extent, &snapshot.failed)?;
                self.write_changes(event, extent, &snapshot.stopped)
            }
            News::Changed(changes) => self.write_changes(event, extent, changes),
            News::Heartbeat { .. } => Ok(()),
            News::Trouble(trouble) => {
                self.write_line(&Line::Trouble { t, mesh, detail: trouble.to_string() })
            }
            News::Escalated(escalation) => {
                self.write_line(&Line::Trouble { t, mesh, detail: format!("needed {escalation}") })
            }
            News::Withdrawn(withdrawn) => withdrawn.iter().try_for_each(|it| {
                self.write_line(&Line::Trouble { t, mesh, detail: it.to_string() })
            }),
            // That they begin again is a line of its own when they do.
            News::Recalled { .. } => Ok(()),
            News::Stopping { reason } => {
                let reason = reason.as_ref().map(StopReason::as_str);
                self.write_line(&Line::Stopping { t, mesh, reason })
            }
            News::Closed => self.write_line(&Line::Closed { t, mesh }),
        }
    }

    fn write_changes(
        &mut self,
        event: &MeshEvent,
        extent: &Extent,
        changes: &[Change],
    ) -> io::Result<()> {
        for change in changes {
            for rank in change.ranks.iter() {
                let is = (change.incarnation, change.status.kind());
                if self.written.insert(rank, is) == Some(is) {
                    continue;
                }
                let t = self.started.elapsed().as_secs_f64();
                self.write_line(&line(t, event, extent, (rank, change)))?;
            }
        }
        Ok(())
    }

    fn write_line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}

fn point(extent: &Extent, rank: Rank) -> String {
    extent.unravel(rank).map(|point| point.to_string()).unwrap_or_default()
}

fn line<'a>(
    t: f64,
    event: &'a MeshEvent,
    extent: &Extent,
    (rank, change): (Rank, &'a Change),
) -> Line<'a> {
    let status = &change.status;
    let cause = status.cause();
    let reason = cause.map(|cause| &cause.reason);
    Line::Status {
        t,
        mesh: event.mesh.name(),
        mesh_kind: event.mesh.kind(),
        rank: rank.index(),
        point: point(extent, rank),
        incarnation: change.incarnation.number(),
        status: status.kind().label(),
        detail: (status.is_failure() || matches!(status, Status::Stalled(_)))
            .then(|| status.to_string()),
        cause: status.cause_label(),
        exit_code: reason.and_then(|reason| match reason {
            Reason::Exit { code } => Some(*code),
            _ => None,
        }),
        signal: reason.and_then(|reason| match reason {
            Reason::Signal { signal, .. } => Some(*signal),
            _ => None,
        }),
        alive: cause.and_then(|cause| cause.alive).map(|alive| alive.as_secs_f64()),
        restart_in: change.restart_in.map(|delay| delay.as_secs_f64()),
        stderr: cause.map_or(&[][..], |cause| &cause.stderr),
    }
}
