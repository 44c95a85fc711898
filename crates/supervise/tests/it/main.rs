//! supervise: the loop on paused time, one module for each topic.

mod effects;
mod lifetime;
mod ranks_as_tasks;
mod stalls;
mod subscribers;
mod support;
