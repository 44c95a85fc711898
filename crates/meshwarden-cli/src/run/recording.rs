//! The trace of a run: its file, and whether all of it was written.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use meshwarden::proc_mesh::ProcReport;
use meshwarden::supervise::Trace;
use meshwarden::trace::{Recorder, Recording};

use crate::console::Voice;
use crate::run::file::{self, Fresh};

/// A file that a run is to be recorded to.
#[derive(Debug)]
pub(crate) struct TraceFile {
    path: PathBuf,
    file: File,
}

/// A trace that is being written.
#[derive(Debug)]
pub(crate) struct TraceLog {
    path: PathBuf,
    recording: Recording,
}

impl TraceFile {
    /// Opens the file, and leaves what is in it until the mesh is started.
    ///
    /// # Errors
    ///
    /// If it cannot be written; a pipe, if nobody reads it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), file: file::open("the trace", path)? })
    }

    /// Starts to write what the recorder is shown, in a thread of its own.
    ///
    /// # Errors
    ///
    /// If there are no threads left.
    pub(crate) fn start(self) -> Result<(Box<dyn Trace<ProcReport>>, TraceLog)> {
        let Self { path, file } = self;
        let (recorder, recording) =
            Recorder::start(Fresh::new(file)).context("cannot start a thread")?;
        Ok((Box::new(recorder), TraceLog { path, recording }))
    }
}

impl TraceLog {
    /// Waits until the controller has gone and its trace is written. Returns whether all of it was;
    /// if not, that is said.
    pub(crate) async fn finish(self, voice: &Voice) -> bool {
        let recorded = self.recording.finish().await;
        let (path, lost) = (self.path.display(), recorded.lost);
        match recorded.error {
            Some(error) => voice.say(format_args!(
                "meshwarden: the trace is not whole, {path} cannot be written: {error}; {lost} steps \
                 are lost"
            )),
            None if lost > 0 => voice.say(format_args!(
                "meshwarden: the trace is not whole, {path} was written too slowly: {lost} steps are \
                 lost"
            )),
            None => return true,
        }
        false
    }
}
