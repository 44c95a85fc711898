//! Where something that goes back goes next: [`route`].

use mesh_core::{ActorId, PeerId};

use super::super::table::Book;

/// How often something is passed on: more often than any tree is deep.
const HOPS_MAX: u8 = 32;

/// Why something goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// The process that has sent it is over: another life of it has begun.
    Over,
    /// There is no way for now.
    Stuck(&'static str),
}

/// What decides where something goes from here.
pub(super) struct Station<'a> {
    pub(super) me: PeerId,
    pub(super) book: &'a Book,
    /// From whom the casts of its sender came last.
    pub(super) parent: Option<ActorId>,
    /// By whom it does not go: it came from there, or could not be sent there.
    pub(super) avoid: Option<PeerId>,
}

/// Where something that was sent from the process `home` goes next, and that was passed on `n_hops` times: straight to
/// the relay of that process if there is a session with it, else to whom the cast came from. If that one is gone, a
/// session is opened. Nothing goes to a process of which the table has a later life. A sender that is no rank of the
/// mesh is reached by its caster, which alone is known to others.
///
/// # Errors
///
/// Why it goes nowhere, for now or for good.
pub(super) fn route(
    (home, n_hops): (PeerId, u8),
    station: &Station<'_>,
    has_way: impl Fn(ActorId) -> bool,
) -> Result<ActorId, Nowhere> {
    let Station { me, book, parent, avoid } = *station;
    if n_hops >= HOPS_MAX {
        return Err(Nowhere::Stuck("it was passed on too often"));
    }
    if book.is_over(home) {
        return Err(Nowhere::Over);
    }
    let may = |to: &ActorId| to.peer() != me && Some(to.peer()) != avoid;
    let is_open = |to: &ActorId| may(to) && has_way(*to);
    // Only these take what goes back.
    let is_of_it = |to: &ActorId| to.peer() == home || book.has_relay(*to);
    let at_home = book.relay(home).filter(may);
    let parent = parent.filter(|to| is_of_it(to) && is_open(to));
    let straight = at_home.filter(is_open).or(parent);
    // There a session can be opened; the others are where perhaps one is that leads on.
    let next = straight.or(at_home).or_else(|| book.relays().find(is_open));
    next.ok_or(Nowhere::Stuck("nobody is left who could pass it on"))
}

#[cfg(test)]
mod tests;
