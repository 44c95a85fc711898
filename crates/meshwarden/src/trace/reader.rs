//! Reads a trace, and believes nothing.

use std::io::{self, BufRead, ErrorKind, Read};
use std::marker::PhantomData;
use std::time::Duration;

use controller::{Event, Spec};
use mesh_core::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::trace::{FORMAT, Header, LINE_BYTES_MAX, Line, StepLine, VERSION};

/// The steps of a trace, in order, up to its end or to what is wrong with it.
#[derive(Debug)]
pub struct Reader<B, R> {
    lines: Lines<B>,
    kind: String,
    spec: Spec,
    n_steps: u64,
    is_over: bool,
    reports: PhantomData<fn() -> R>,
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<R> {
    /// Its number, from 1.
    pub number: u64,
    /// When it was.
    pub now: Timestamp,
    /// What happened.
    pub event: Event<R>,
    /// How many effects that led to.
    pub n_effects: u64,
}

/// Why a text is no trace, or not a whole one. The steps before it are as they were recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// The first line is something else.
    #[error("it is not a trace: the first line must begin with {{\"format\":\"{FORMAT}\"")]
    NotATrace,
    /// It was written by another version.
    #[error("it has version {found} of the format; this program knows version {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
    /// A line is not what it must be.
    #[error("line {line}, column {column}: {problem}")]
    Line {
        /// The number of the line, from 1.
        line: u64,
        /// The byte in the line, from 1; 0 if the line as a whole is wrong.
        column: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A line is longer than any that is written.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        /// The number of the line, from 1.
        line: u64,
        /// The longest that is read.
        limit: usize,
    },
    /// It ends before its last line: it is still being written, or its writer was killed.
    #[error("it is cut off after step {steps}: its last line is missing")]
    Truncated {
        /// The steps before that.
        steps: u64,
    },
    /// Steps are missing that could not be recorded.
    #[error("after step {steps}, {lost} steps were lost: what came of the others cannot be judged")]
    Lost {
        /// The steps before that.
        steps: u64,
        /// The steps that are missing.
        lost: u64,
    },
    /// The last line tells of another number of steps.
    #[error("its last line tells of {said} steps, but there are {steps}")]
    OtherSteps {
        /// The steps that the last line tells of.
        said: u64,
        /// The steps that are there.
        steps: u64,
    },
    /// Something follows the last line.
    #[error("line {line} comes after the last")]
    AfterEnd {
        /// The number of the line, from 1.
        line: u64,
    },
    /// It could not be read.
    #[error("it cannot be read: {kind}")]
    Unreadable {
        /// What kind of error the system gave.
        kind: ErrorKind,
    },
}

impl<B: BufRead, R: DeserializeOwned + PartialEq> Reader<B, R> {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// [`TraceError`] if it is not that of a trace of this version.
    pub fn open(text: B) -> Result<Self, TraceError> {
        let mut lines = Lines { text, line: Vec::new(), number: 0 };
        if !lines.advance()? {
            return Err(TraceError::Empty);
        }
        let Ok(Preamble { format, version }) = serde_json::from_slice(&lines.line) else {
            return Err(TraceError::NotATrace);
        };
        if format != FORMAT {
            return Err(TraceError::NotATrace);
        }
        if version != VERSION {
            return Err(TraceError::Version { found: version });
        }
        let Header { kind, spec, .. } = lines.parse()?;
        Ok(Self { lines, kind, spec, n_steps: 0, is_over: false, reports: PhantomData })
    }

    /// The kind of the mesh that was supervised.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What was supervised.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    fn step(&mut self) -> Result<Option<Step<R>>, TraceError> {
        let truncated = TraceError::Truncated { steps: self.n_steps };
        if !self.lines.advance()? {
            return Err(truncated);
        }
        let line = match self.lines.parse() {
            Ok(line) => line,
            Err(_) if !self.lines.is_ended() => return Err(truncated),
            Err(error) => return Err(error),
        };
        match line {
            Line::Step(StepLine { t, effects, event }) => {
                self.n_steps += 1;
                let now = Timestamp::from_start(Duration::from_nanos(t));
                Ok(Some(Step { number: self.n_steps, now, event, n_effects: effects }))
            }
            Line::Lost(lost) => Err(TraceError::Lost { steps: self.n_steps, lost }),
            Line::End { steps, lost } => self.end(steps, lost).map(|()| None),
        }
    }

    fn end(&mut self, said: u64, lost: u64) -> Result<(), TraceError> {
        let steps = self.n_steps;
        if said != steps {
            return Err(TraceError::OtherSteps { said, steps });
        }
        if lost > 0 {
            return Err(TraceError::Lost { steps, lost });
        }
        if self.lines.advance()? {
            return Err(TraceError::AfterEnd { line: self.lines.number });
        }
        Ok(())
    }
}

/// After an error there is nothing more.
impl<B: BufRead, R: DeserializeOwned + PartialEq> Iterator for Reader<B, R> {
    type Item = Result<Step<R>, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let step = self.step().transpose();
        self.is_over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// What the first line of every version has.
#[derive(Deserialize)]
struct Preamble {
    format: String,
    version: u32,
}

/// Lines of bounded length, and their numbers.
#[derive(Debug)]
struct Lines<B> {
    text: B,
    /// The current one, with its end.
    line: Vec<u8>,
    number: u64,
}

impl<B: BufRead> Lines<B> {
    /// Reads the next line; false if there is none.
    fn advance(&mut self) -> Result<bool, TraceError> {
        self.line.clear();
        self.number += 1;
        let limit = LINE_BYTES_MAX as u64 + 1;
        let n_bytes = (&mut self.text)
            .take(limit)
            .read_until(b'\n', &mut self.line)
            .map_err(|error: io::Error| TraceError::Unreadable { kind: error.kind() })?;
        if n_bytes > LINE_BYTES_MAX {
            return Err(TraceError::TooLong { line: self.number, limit: LINE_BYTES_MAX });
        }
        Ok(n_bytes > 0)
    }

    /// Whether the current line is whole.
    fn is_ended(&self) -> bool {
        self.line.ends_with(b"\n")
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, TraceError> {
        serde_json::from_slice(&self.line).map_err(|error| {
            let problem = error.to_string();
            // It counts lines from the start of what it was given, which is one of ours.
            let (problem, _) = problem.rsplit_once(" at line ").unwrap_or((&problem, ""));
            TraceError::Line {
                line: self.number,
                column: error.column(),
                problem: problem.to_owned(),
            }
        })
    }
}

#[cfg(test)]
mod tests;
