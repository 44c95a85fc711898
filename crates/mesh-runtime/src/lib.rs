//! The runtime of a Meshwarden process: typed actors, and a thread of its own for supervision.
//!
//! | item | what it is |
//! |---|---|
//! | [`Actor`], [`Handler`] | what a user implements: a state of its own, and what it does with messages |
//! | [`Proc`] | one process that takes part: actors are spawned in it and found in it |
//! | [`Context`] | what an actor can do: send, supervise children ([`ChildSpec`]), have work done beside it |
//! | [`ActorRef`], [`Port`] | talk to one actor, by reference or by address: cast, call, stop, wait for its end |
//! | [`multi_call`], [`Broadcast`] | many calls with one gathering; one message for many, encoded once, or not at all ([`Near`]) |
//! | [`Network`] | the sessions of a process with others, over any transport; [`PeerLost`]: word of their end; [`NoWayBack`]: what can go back only by way of others |
//! | [`ControlThread`], [`Watchdog`] | a runtime on an OS thread of its own; word of what hangs |
//!
//! An actor ends with its parent, who is told if it fails. Its mailbox is bounded, and stops overtake messages. For codes such as (N1) see [`mesh_core::sentences`].
#![forbid(unsafe_code)]
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![cfg_attr(doctest, doc = include_str!("../../../docs/coming-from.md"))]

mod actor;
mod actor_ref;
mod answer;
mod attached;
mod broadcast;
mod call;
mod child;
mod child_failure;
mod child_spec;
pub mod codec;
mod context;
mod control_thread;
mod deadlines;
mod endpoint;
mod error;
mod failure;
mod family;
mod gather;
mod handlers;
mod inbound;
mod intensity;
mod kind;
mod letter;
mod listing;
mod local_transport;
mod mailbox;
#[cfg(test)]
mod mailbox_tests;
pub mod metrics;
mod multi_call;
mod name;
mod network;
mod panics;
mod passed_on;
mod peers;
mod port;
mod port_receiver;
mod proc;
mod pulse;
mod registry;
mod remote;
mod reply;
mod sender;
mod shared;
mod slots;
mod stalls;
mod sync;
mod task;
mod undelivered;
mod watchdog;

pub use actor::{Actor, Handler, Stop, Verdict};
pub use actor_ref::ActorRef;
pub use attached::{Attachment, Blocking, Cancellation};
pub use broadcast::{Answers, Broadcast, Callees, Near, Placed, Post, Wakes, WayTo};
pub use call::Call;
pub use child::Child;
pub use child_failure::{ChildFailure, Report};
pub use child_spec::ChildSpec;
pub use codec::DecodeError;
pub use context::Context;
pub use control_thread::{ControlThread, ThreadError};
pub use error::{CallError, CastError, TryCastError};
pub use failure::Failure;
pub use handlers::{Handlers, NameConflict};
pub use intensity::Intensity;
pub use local_transport::LocalTransport;
pub use mesh_core;
pub use multi_call::{MultiCall, multi_call};
pub use name::Name;
pub use network::Network;
pub use panics::{backtraces_logged, caught};
pub use passed_on::Asked;
pub use peers::{NoWayBack, PeerLost};
pub use port::Port;
pub use port_receiver::PortReceiver;
pub use proc::{Milestone, NoRuntime, Proc, ProcConfig, StillRunning};
pub use registry::{LookupError, RegisterError};
pub use reply::ReplyTo;
pub use sender::{Deputy, Origin, Sender};
pub use stalls::{LongHandler, Stalls};
pub use undelivered::Undelivered;
pub use watchdog::Watchdog;
