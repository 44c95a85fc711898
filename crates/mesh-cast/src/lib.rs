//! Broadcast and merged replies over a mesh.
//!
//! **Not written yet: this crate is empty.** It will have a pure plan, from a region, a fan-out and
//! the set of live ranks to a tree of forwarders, and a forwarder that sends bytes down that tree and
//! merges replies on the way up.
//!
//! A cast will reach every live rank of the region exactly once and in order, also when a forwarder
//! is dead; a leg that cannot be delivered will come back to the caster and name its rank.
#![forbid(unsafe_code)]
