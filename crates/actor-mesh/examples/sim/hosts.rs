//! Attached hosts: agents with leases, and controllers that die, are cut off, and have successors.
//!
//! The loop, the controller, the lease and the reporter are the real code, and so are the sessions between; the agent
//! around lease and reporter is of the simulation, since hosts that outlive their controller are not in the library.

pub(crate) mod agent;
pub(crate) mod judge;
mod plan;
mod reach;
pub(crate) mod record;
pub(crate) mod reign;
pub(crate) mod town;

pub(crate) use plan::{Deed, Plan};
pub(crate) use town::run;
