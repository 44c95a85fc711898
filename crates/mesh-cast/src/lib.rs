//! Broadcast and merged replies over a mesh: pure state machines, and the actors that run them.
//!
//! A cast goes down a tree of processes and reaches every live rank of its region exactly once, in order
//! among the casts of one sender to one mesh, also when nodes of the tree die or sessions are lost meanwhile
//! (R2). Replies and acknowledgements are merged on the way up; the caster is told one outcome for
//! each rank, a reply or a reason (R1, R3).
//!
//! | part | what it is |
//! |---|---|
//! | [`Members`], [`Plan`] | the tree, as arithmetic over positions: a subtree is a range |
//! | [`Relay`] | what each process does with casts that pass it; [the protocol](relay) is told there |
//! | [`Caster`] | the sender's side: numbers, a bounded window, one outcome for each rank |
//! | [`Leg`], [`Answer`], [`Settlement`] | what is sent: down, up, and word of what is settled |
//! | [`Limits`] | the bounds of every buffer |
//! | [`shell`] | the actors that run them: one relay in each process, one caster for each mesh |
//!
//! There is no clock, I/O, randomness, logging or runtime in the machines, and no process is known by more than a
//! value `N` that the shell maps to an address. Payloads and replies are opaque: `P: Clone` should be
//! cheap to clone, as shared bytes are.
//!
//! # What a shell does
//!
//! [`shell`] keeps to this, and so would another one.
//!
//! - One [`Relay`] for each process, one [`Caster`] at a time for each sender and mesh, with a higher index than
//!   those before it. An [`Answer`] goes to the one that its leg names ([`LegId::sender`]).
//! - Whoever loses a session tells its relay and its casters ([`relay::Event::Lost`],
//!   [`caster::Event::Lost`]), after what has arrived on it, and at both ends. A message that comes back
//!   is a [`relay::Event::LegFailed`] if it is a leg, is sent again if it is an answer, and is dropped if it is anything else.
//! - Supervision tells casters of ended processes ([`Unreached::Gone`]); later plans leave those out
//!   ([`Plan::without`]). That a rank has failed whose process lives its relay says, with what it had not handled; a
//!   shell that hears of it sooner may say so itself ([`caster::Event::Failed`]), which [`shell`] does not.
//! - A process that is started again is another `N` at the same position, in a [`Members`] of a higher
//!   version, of which casters are told ([`caster::Event::Members`]); a leg is handed over with a plan that
//!   is not older than it says.
//! - Time is the shell's: when to flush, when a call has waited long enough, when to say what is settled. A caster
//!   that ends when nothing of it is on its way says so ([`Caster::farewell`]).
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]
#![warn(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants,
    clippy::iter_over_hash_type
)]

pub mod caster;
mod gather;
mod limits;
mod members;
pub mod metrics;
mod plan;
pub mod relay;
pub mod shell;
mod wire;

pub use caster::{Busy, Caster, Full, Share, Until};
pub use limits::Limits;
pub use members::{Member, Members, MembersError};
pub use plan::{FanOut, FanOutError, Plan, Split};
pub use relay::Relay;
pub use wire::{
    Answer, CastId, Expect, Failure, Kind, Leg, LegId, Outcome, Part, Progress, ReducerId, Sender,
    Settled, Settlement, StreamId, Unreached,
};

/// The examples of the README are compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
