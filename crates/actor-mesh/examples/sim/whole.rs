//! The whole of it: attached hosts whose controllers die, are cut off and have successors that adopt them, and beside
//! that meshes of actors in their processes, of somebody else, that are sent to and watched meanwhile.
//!
//! Both judges judge it, each as if the other world were not there; a third one looks at what is between them.

mod judge;
mod plan;
mod street;
mod town;

pub(crate) use plan::Plan;
pub(crate) use street::{Resident, Street};
pub(crate) use town::run;
