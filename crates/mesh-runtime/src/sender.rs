//! Who sends.

use std::num::NonZeroU64;

use mesh_core::ActorId;

use crate::proc::Proc;

/// Whoever can send: an actor by its [`Context`](crate::Context), a program by its [`Proc`].
///
/// Nothing is ambient: what is sent has a process that knows the way, and, from an actor, a sender to
/// whom it comes back if it cannot be delivered (R3).
pub trait Sender {
    /// Where it is sent from.
    fn origin(&self) -> Origin<'_>;
}

/// Where something is sent from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub(crate) proc: &'a Proc,
    /// The actor that sends; `None` for a program.
    pub(crate) actor: Option<NonZeroU64>,
}

impl Origin<'_> {
    /// The process that it is sent from.
    #[must_use]
    pub const fn proc(&self) -> &Proc {
        self.proc
    }

    /// The actor that it is sent from, if it is one.
    #[must_use]
    pub fn actor(&self) -> Option<ActorId> {
        self.actor.map(|actor| self.proc.actor_id(actor))
    }

    /// Sends in the same name, elsewhere and later.
    #[must_use]
    pub fn deputy(&self) -> Deputy {
        Deputy { proc: self.proc.clone(), actor: self.actor }
    }
}

/// Sends in the name of somebody else: of an actor, for work that is attached to it
/// ([`Context::deputy`](crate::Context::deputy)), or of whoever [`Origin`] is of.
#[derive(Clone, Debug)]
pub struct Deputy {
    pub(crate) proc: Proc,
    pub(crate) actor: Option<NonZeroU64>,
}

impl Sender for Deputy {
    fn origin(&self) -> Origin<'_> {
        Origin { proc: &self.proc, actor: self.actor }
    }
}

impl<S: Sender> Sender for &S {
    fn origin(&self) -> Origin<'_> {
        S::origin(self)
    }
}

impl<S: Sender> Sender for &mut S {
    fn origin(&self) -> Origin<'_> {
        S::origin(self)
    }
}
