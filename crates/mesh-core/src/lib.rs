//! The words and seams of Meshwarden: what the crates say to each other, and nothing that runs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | which mesh, which life of a rank, which report of it, which controller |
//! | [`time`] | [`Timestamp`]: time as an argument |
//! | [`status`] | what a rank is: [`Status`] and its [`Progress`] |
//! | [`within`] | what a rank is, given what it lives in: [`Place`] |
//! | [`cause`] | why a rank ended: [`Cause`], data that becomes text only when shown |
//! | [`message`] | what actors are sent: [`Message`] |
//! | [`blob`] | bytes in a message that are not copied on their way: [`Blob`] |
//! | [`address`] | where it is sent: processes, actors, typed ports ([`PortRef`]) |
//! | [`envelope`] | what goes from process to process: [`Envelope`] |
//! | [`pieces`] | the bytes of one message as they are encoded: [`Pieces`] |
//! | [`transport`] | who carries it: the traits [`Transport`], [`Outbound`], [`Inbound`] |
//! | [`event`] | what owners and subscribers are told: [`Failures`], [`MeshEvent`] |
//! | [`owner_news`] | what the owner of a mesh is told: [`OwnerNews`] |
//! | [`protocol`] | what a controller asks of agents and what they answer; the trait [`Agents`] |
//! | [`request`] | what a program asks of a controller, and what it answers: [`MeshRequest`], [`Reply`] |
//! | [`restart`] | which ends lead to a restart, and how many: [`RestartConfig`] |
//! | [`launch`] | how a process is started: the trait [`Launcher`] |
//! | [`procs`] | what actors live on: the trait [`Procs`] |
//! | [`sentences`] | what codes in the docs, such as (N1), stand for |
//!
//! There is no runtime, clock, randomness, logging or I/O here.

#![forbid(unsafe_code)]

pub mod address;
pub mod arrival;
pub mod blob;
pub mod brief;
pub mod cause;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod launch;
pub mod message;
mod one_line;
pub mod owner_news;
pub mod pieces;
pub mod procs;
pub mod protocol;
pub mod request;
pub mod restart;
pub mod sentences;
pub mod sheaf;
pub mod status;
pub mod stop_reason;
pub mod time;
pub mod transport;
pub mod within;

pub use address::{ActorId, Plane, PortId, PortRef, ProcId};
pub use arrival::{Arrival, Casts};
pub use blob::Blob;
pub use brief::Brief;
pub use cause::{Cause, LaunchProblem, Link, Reason, Subject};
pub use envelope::{
    Body, CallId, EncodeError, End, Envelope, Fault, Head, Payload, PeerId, WhyUndelivered,
};
pub use event::{
    Change, Escalation, EscalationReason, Failures, Interest, MeshEvent, MeshPhase, MeshState,
    News, Part, RankState, Snapshot, Trouble, Withdrawal,
};
pub use ids::{
    AgentId, BeatSeq, Epoch, Generation, Incarnation, MeshId, MeshLabel, NameError, SubscriberId,
};
pub use launch::{
    Amount, Bind, BindError, Cgroup, Command, Inherit, Launcher, OwnCgroup, OwnCgroupError,
    Resource, Rlimit, RlimitError, Seat, Surroundings, SurroundingsError, Umask, UmaskError,
};
pub use message::Message;
pub use one_line::OneLine;
pub use owner_news::OwnerNews;
pub use pieces::Pieces;
pub use procs::{ProcSeat, Procs};
pub use protocol::{Agents, Answer, Answers, Echo, Order, Request, Undelivered, Update};
pub use request::{MeshRequest, Refusal, Reply, Subscribe, Unsubscribe};
pub use restart::{RestartConfig, RestartError, RestartPolicy, Strategy};
pub use sheaf::Sheaf;
pub use status::{Progress, Silence, Stall, StalledHandler, Status, StatusKind};
pub use stop_reason::StopReason;
pub use time::Timestamp;
pub use transport::{
    Addr, AddrError, Credit, DialError, Distrust, Doors, FarEnd, GiveBack, Identity, Inbound, Lane,
    Lasting, ListenError, Lost, Outbound, Returned, SessionEnd, Transport, WhyReturned,
};
pub use within::{Health, Place};
