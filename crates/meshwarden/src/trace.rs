//! A recorded supervision: every event that a controller was given, when, and to how much it led.
//!
//! [`Recorder`] is shown every step of a loop and writes it down, without holding the loop up.
//! [`Reader`] reads that again and believes nothing; [`Replay`] gives it to a controller made of the
//! same spec, which comes to the same effects: an incident can be looked at as often as one likes.
//!
//! It is here and not beside the loop, because files and formats meet a mesh only at this height; the
//! seam, [`supervise::Trace`], is for whoever takes the loop alone.
//!
//! # The format
//!
//! One JSON text on each line, at most [`LINE_BYTES_MAX`] long:
//!
//! ```text
//! {"format":"meshwarden-trace","version":2,"kind":"proc","spec":{…}}
//! {"step":{"t":20417,"effects":1,"event":"Opened"}}
//! {"lost":3}
//! {"end":{"steps":1,"lost":3}}
//! ```
//!
//! - The first says what was supervised: [`kind`](Controlled::KIND) and [`Spec`].
//! - A step says when it was, in nanoseconds from the start of the clock; how many effects it led to,
//!   so that a replay can tell whether it comes to the same; and its event.
//! - `lost` stands where that many steps are missing, because they could not be written in time.
//! - The last says how many steps there are, and how many were lost: without it the trace is not
//!   whole.
//!
//! # Examples
//!
//! ```no_run
//! use std::fs::File;
//! use std::io::BufReader;
//!
//! use meshwarden::proc_mesh::ProcKind;
//! use meshwarden::trace::{Reader, Replay};
//!
//! let file = BufReader::new(File::open("run.trace")?);
//! for step in Replay::new(Reader::open(file)?, ProcKind)? {
//!     let step = step?;
//!     println!("{:?}: {:?} led to {:?}", step.now, step.event, step.effects);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod reader;
mod recorder;
mod replay;

use controller::{Event, Spec};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use controller::Controlled;

pub use reader::{Reader, Step, TraceError};
pub use recorder::{Recorded, Recorder, Recording};
pub use replay::{Replay, ReplayError, Replayed};

/// The longest line that is written or read: more than a step of a mesh of 10⁵ ranks takes.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the first line calls the format.
const FORMAT: &str = "meshwarden-trace";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 2;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    kind: String,
    spec: Spec,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(bound(deserialize = "R: Deserialize<'de> + PartialEq"))]
enum Line<R> {
    Step(StepLine<R>),
    Lost(u64),
    End { steps: u64, lost: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "R: Deserialize<'de> + PartialEq"))]
struct StepLine<R> {
    t: u64,
    effects: u64,
    event: Event<R>,
}
