//! supervise: the loop on paused time, one module for each topic.

#[cfg(feature = "actor")]
mod actor;
mod ages;
mod clock;
mod effects;
mod lifetime;
mod local;
mod ranks_as_tasks;
mod requests;
mod stalls;
mod subscribers;
mod support;
