//! Broadcast and merged replies over a mesh.
//!
//! [`Plan`] is the tree of a broadcast, as pure arithmetic over positions: a subtree is a range. What sends
//! messages down such a tree and merges replies on the way up is to come.
#![forbid(unsafe_code)]

mod members;
mod plan;

pub use members::{Member, Members, MembersError};
pub use plan::{FanOut, FanOutError, Plan, Split};
