//! The actor of each rank, and messages that count how often they are written and read.

use std::sync::atomic::{AtomicU64, Ordering};

use meshwarden::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::wakeups;

/// Answers at once, or counts casts.
pub(crate) struct Tool {
    n_casts: u64,
}

/// 64 bytes, and the same for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping(pub(crate) [u8; 32], pub(crate) [u8; 32]);

/// 64 bytes that are not answered. The process counts how often one was written and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) [u8; 32], pub(crate) [u8; 32]);

/// How many were counted by this actor, and how often were they written and read in its process?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counted;

/// How often has its process been woken, in all its threads?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Woken;

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) n_casts: u64,
    pub(crate) n_written: u64,
    pub(crate) n_read: u64,
}

/// How often a [`Count`] was written in this process, and how often it was read.
static WRITTEN: AtomicU64 = AtomicU64::new(0);
static READ: AtomicU64 = AtomicU64::new(0);

/// The counts of this process, without casts.
pub(crate) fn here() -> Counts {
    let (n_written, n_read) = (WRITTEN.load(Ordering::Relaxed), READ.load(Ordering::Relaxed));
    Counts { n_casts: 0, n_written, n_read }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        (self.0, self.1).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        READ.fetch_add(1, Ordering::Relaxed);
        <([u8; 32], [u8; 32])>::deserialize(from).map(|(a, b)| Self(a, b))
    }
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("cast.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Ping, Ping);
message!(Count, ());
message!(Counted, Counts);
message!(Woken, u64);

impl Actor for Tool {
    const NAME: &'static str = "tool";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { n_casts: 0 })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Ping>().takes::<Count>().takes::<Counted>().takes::<Woken>();
    }
}

impl Handler<Ping> for Tool {
    async fn handle(&mut self, ping: Ping, _: &mut Context<Self>) -> Result<Ping, Failure> {
        Ok(ping)
    }
}

impl Handler<Count> for Tool {
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Result<(), Failure> {
        self.n_casts += 1;
        Ok(())
    }
}

impl Handler<Counted> for Tool {
    async fn handle(&mut self, _: Counted, _: &mut Context<Self>) -> Result<Counts, Failure> {
        Ok(Counts { n_casts: self.n_casts, ..here() })
    }
}

impl Handler<Woken> for Tool {
    async fn handle(&mut self, _: Woken, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(wakeups::of(std::process::id())?)
    }
}
