//! The actor that things are done to. It notes what reaches it where its end takes nothing away.

use std::fs::{self, File};
use std::io::Write;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use meshwarden::mesh_core::Reason;
use meshwarden::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Obeys, and notes the numbers that it is sent.
pub(crate) struct Victim {
    home: Home,
    notes: File,
}

/// Where a victim notes what reaches it, and looks whether it may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) rank: usize,
}

impl Home {
    /// Where it notes what reaches it, in all of its lives.
    pub(crate) fn notes(&self) -> PathBuf {
        self.dir.join(format!("{}.notes", self.rank))
    }

    /// What is there while it is to be held up by its handler.
    pub(crate) fn held(&self) -> PathBuf {
        self.dir.join(format!("{}.held", self.rank))
    }
}

/// A number that is cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Number(pub(crate) u64);

/// A number that is answered with itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask(pub(crate) u64);

/// Panics.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Panic;

/// Returns an error.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Fail;

/// Waits as long as it is held.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Wait;

/// Blocks its thread as long as it is held.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Block;

macro_rules! message {
    ($type:ident, $name:literal, $reply:ty) => {
        impl Message for $type {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }
    };
}

message!(Number, "chaos.Number", ());
message!(Ask, "chaos.Ask", u64);
message!(Panic, "chaos.Panic", ());
message!(Fail, "chaos.Error", ());
message!(Wait, "chaos.Wait", ());
message!(Block, "chaos.Block", ());

impl Actor for Victim {
    const NAME: &'static str = "victim";
    type Params = Home;

    async fn start(home: Home, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let mut notes = File::options().append(true).create(true).open(home.notes())?;
        notes.write_all(Note::Born(cx.id().to_string()).line().as_bytes())?;
        Ok(Self { home, notes })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers
            .takes::<Number>()
            .takes::<Ask>()
            .takes::<Panic>()
            .takes::<Fail>()
            .takes::<Wait>()
            .takes::<Block>();
    }
}

impl Handler<Number> for Victim {
    async fn handle(&mut self, Number(n): Number, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(self.notes.write_all(Note::Cast(n).line().as_bytes())?)
    }
}

impl Handler<Ask> for Victim {
    async fn handle(&mut self, Ask(n): Ask, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.notes.write_all(Note::Called(n).line().as_bytes())?;
        Ok(n)
    }
}

impl Handler<Panic> for Victim {
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        self.notes.write_all(Note::Ending(monotonic()).line().as_bytes())?;
        _ = panics(true);
        Ok(())
    }
}

impl Handler<Fail> for Victim {
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) -> Result<(), Failure> {
        self.notes.write_all(Note::Ending(monotonic()).line().as_bytes())?;
        Err(Failure::new(WORDS))
    }
}

impl Handler<Wait> for Victim {
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) -> Result<(), Failure> {
        while self.home.held().exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Handler<Block> for Victim {
    async fn handle(&mut self, _: Block, _: &mut Context<Self>) -> Result<(), Failure> {
        while self.home.held().exists() {
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// What all processes of the machine have as the time.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// How a victim that panics is to be told to have ended.
pub(crate) fn panicked() -> Reason {
    let location = Some(panics(false).to_string());
    Reason::Panic { message: WORDS.to_owned(), location }
}

/// How a victim that returns an error is to be told to have ended.
pub(crate) fn errored() -> Reason {
    Reason::Error { message: WORDS.to_owned() }
}

/// Panics, or says where it would.
fn panics(does: bool) -> &'static Location<'static> {
    #[track_caller]
    fn here(does: bool) -> &'static Location<'static> {
        assert!(!does, "{WORDS}");
        Location::caller()
    }
    here(does)
}

/// What a victim has noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A life has begun, of the actor of this id.
    Born(String),
    /// This number was cast to it.
    Cast(u64),
    /// It was called with this number.
    Called(u64),
    /// It ends itself, at this time of the machine's monotonic clock.
    Ending(Duration),
}

impl Note {
    fn line(&self) -> String {
        match self {
            Self::Born(actor) => format!("born {actor}\n"),
            Self::Cast(n) => format!("cast {n}\n"),
            Self::Called(n) => format!("called {n}\n"),
            Self::Ending(at) => format!("ending {}\n", at.as_nanos()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("born", actor) => Some(Self::Born(actor.to_owned())),
            ("cast", n) => Some(Self::Cast(n.parse().ok()?)),
            ("called", n) => Some(Self::Called(n.parse().ok()?)),
            ("ending", at) => Some(Self::Ending(Duration::from_nanos(at.parse().ok()?))),
            _ => None,
        }
    }
}

/// Everything that a rank has noted, in order; `None` of a line that is none of a victim.
pub(crate) fn notes(path: &Path) -> std::io::Result<Vec<Option<Note>>> {
    Ok(fs::read_to_string(path)?.lines().map(Note::parse).collect())
}

const WORDS: &str = "as it was told";
/// How often a victim that is held looks whether it still is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for note in [
            Note::Born("a/0/2".to_owned()),
            Note::Cast(7),
            Note::Called(0),
            Note::Ending(Duration::from_nanos(7)),
        ] {
            assert_eq!(Note::parse(note.line().trim_end()), Some(note));
        }
        assert_eq!(Note::parse("cast off"), None);
    }
}
