//! What runs the machines: an actor in each process that relays, and one in each process that casts.
//!
//! A [`RelayActor`] lives on the control plane of every process of a mesh, and an actor for each mesh that a
//! process casts to: [`CasterRef`] sends by it. They talk over the sessions of their processes, which are
//! opened as they are needed. The [`Table`] of a mesh goes down the tree before the first cast that needs it,
//! once by each session, so nobody holds one back for it.
//!
//! What is larger than a frame of the control lane travels in pieces, and replies that are large together are not
//! merged into one message. A message or a reply of more than 16 MiB is refused with
//! [`TooLarge`](mesh_core::WhyUndelivered::TooLarge), as most transports refuse it that goes directly.
//!
//! What an actor has taken and not handled goes back to who sent it (R3). Where the two processes have no session with
//! each other it goes from relay to relay, beside what goes down and up. Each keeps it until the process of the sender
//! has it, so it is not lost with one of them, and is given back once; only relays of the mesh are believed, and at most
//! [`Limits::back_bytes`](crate::Limits::back_bytes) of it wait in a process.
//!
//! A caster that nobody uses ends, and says farewell.
//!
//! No user's code runs here: messages travel as bytes, and are decoded by whoever handles them. What is for an
//! actor that has no room waits in a queue of its own, of which each caster fills no more than
//! [`Limits::rank`](crate::Limits::rank): then what is for that rank waits at the caster, and nothing else does; and of
//! each sender no more than [`Limits::waiting`](crate::Limits::waiting), of all together no more than
//! [`Limits::waiting_in_all`](crate::Limits::waiting_in_all), with a deadline if it has one
//! ([`CasterRef::cast_until`]). What waits goes on in its order when a caster begins anew after a pause.
//!
//! # Who comes first
//!
//! Of casts that wait for the same rank, and for no other, the one that came first, and so of calls; and of one sender
//! always the one that it has cast first. So whoever sends much comes again behind all that wait, and holds up for ever nobody who waits for
//! one rank which takes what it is sent. What is for several ranks is cast when all of them have room at once: it keeps
//! its turn at those that have refused it last, and others pass it at the rest. Where always another of its ranks is full
//! it may wait until its deadline: give it one.
//!
//! Nobody fills what all share alone. An actor has its own bound, and nobody has more than a third of what others have left:
//! who has half as much as is left has no more of it. At the bound only what would have to wait is refused, and nothing
//! that is for ranks with room; and each place that becomes free is for those who have little waiting: who has nothing
//! has one as long as there is any, of whatever size. What programs send that are no actors counts for the rank that it
//! waits for, as if each rank were a sender; but of what all share they have no more than one sender together.

mod ahead;
mod backs;
mod books;
mod carrier;
mod caster_actor;
mod casters;
mod crowd;
mod downs;
mod heard;
mod inboxes;
mod links;
mod message;
mod pieces;
mod posts;
mod queue;
mod reducers;
mod relay_actor;
mod rolls;
mod submit;
mod table;
mod ticket;
mod ups;

pub use casters::{Cast, CasterRef, NotCast, Tellings, Told};
pub use message::{Body, GetSeats, Payload};
pub use pieces::MESSAGE_MAX;
pub use reducers::{Merge, MergeError, Reducers};
pub use relay_actor::RelayActor;
pub use table::{Seat, Table};
