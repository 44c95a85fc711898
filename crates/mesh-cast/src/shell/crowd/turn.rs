//! `Turn`: what a crowd wants done, and what it is to know for that.

use mesh_core::ActorId;
use mesh_shape::RankSet;

use super::places::Bound;

/// What a crowd knows of one that waits.
#[derive(Clone, Debug)]
pub(in crate::shell) struct Who {
    pub(in crate::shell) from: Option<ActorId>,
    /// The ranks that it is for, by the table by which it came.
    pub(in crate::shell) ranks: RankSet,
    pub(in crate::shell) is_call: bool,
    pub(in crate::shell) bytes: usize,
    /// Whether room was kept for it: it stands behind its sender only.
    pub(in crate::shell) is_ahead: bool,
}

/// What is to be done next.
#[derive(Debug)]
pub(in crate::shell) enum Turn<T> {
    /// Cast it, and say what came of it: [`Crowd::done`](super::Crowd::done) or [`Crowd::wait`](super::Crowd::wait).
    Try(u64, T),
    /// It may not wait.
    Refuse(Refused<T>),
}

/// One that may not wait.
#[derive(Debug)]
pub(in crate::shell) struct Refused<T> {
    pub(in crate::shell) what: T,
    /// The ranks that have no room for it, or for what stands before it.
    pub(in crate::shell) ranks: RankSet,
    pub(in crate::shell) bound: Bound,
    /// Whether it is the first of several.
    pub(in crate::shell) is_first: bool,
}

/// What ranks have no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell) enum Lack {
    /// More to take.
    Full,
    /// More calls.
    Silent,
}
