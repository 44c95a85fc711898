//! What an actor is told that is no message: of its children, of its meshes, and of what it has sent.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::pin::pin;

use mesh_core::Failures;
use tokio::sync::oneshot;

use super::children::{Case, on_failure};
use super::meshes::on_mesh_failure;
use super::{ActorTask, Life, Turn};
use crate::actor::Actor;
use crate::child_failure::ChildFailure;
use crate::panics::caught_async;
use crate::pulse::Slot;
use crate::undelivered::Undelivered;

/// What an actor is to be told before its next message, and is asked about now. Bound: [`ASIDES_MAX`] and one for each
/// child.
// Made for the first: most actors are told nothing, and it is asked for with each message.
#[derive(Default)]
pub(super) struct Asides(Option<Box<Told>>);

#[derive(Default)]
struct Told {
    waiting: VecDeque<Aside>,
    asked: Option<Asked>,
}

/// Something the actor is told that is no message.
pub(super) enum Aside {
    /// The child in this place.
    ChildFailed(NonZeroU64, ChildFailure),
    Returned(Undelivered),
    /// A mesh that it owns, which waits until it was told.
    MeshFailed(Box<Failures>, oneshot::Sender<()>),
}

/// Failures that the actor is asked about.
pub(super) enum Asked {
    Child(Box<ChildFailure>),
    Mesh(Box<Failures>),
}

impl Asides {
    pub(super) fn push_back(&mut self, aside: Aside) {
        self.0.get_or_insert_default().waiting.push_back(aside);
    }

    pub(super) fn pop_front(&mut self) -> Option<Aside> {
        self.0.as_mut()?.waiting.pop_front()
    }

    pub(super) fn take_waiting(&mut self) -> VecDeque<Aside> {
        self.0.as_mut().map(|told| std::mem::take(&mut told.waiting)).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |told| told.waiting.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The actor is asked about it now.
    fn ask(&mut self, asked: Asked) {
        self.0.get_or_insert_default().asked = Some(asked);
    }

    /// It is asked no more.
    pub(super) fn take_asked(&mut self) -> Option<Asked> {
        self.0.as_mut()?.asked.take()
    }
}

impl<A: Actor> ActorTask<A> {
    pub(super) fn begin_aside(&mut self, aside: Aside) {
        // A mesh that it has let go of meanwhile is nothing to it.
        if matches!(&aside, Aside::MeshFailed(_, told) if told.is_closed()) {
            return;
        }
        let Some(mut life) = self.life.take() else { return };
        life.cx.set_sender(None);
        self.is_busy = true;
        self.runs(self.word.begin(match aside {
            Aside::ChildFailed(..) | Aside::MeshFailed(..) => Slot::ON_FAILURE,
            Aside::Returned(_) => Slot::ON_UNDELIVERED,
        }));
        match aside {
            Aside::ChildFailed(place, failure) => {
                self.asides.ask(Asked::Child(Box::new(failure.clone())));
                let could_restart = self.shared.family().can_restart(place);
                let case = Case { place, could_restart, failure };
                self.turn.set_once(async move {
                    let Life { actor, cx } = &mut *life;
                    let outcome = on_failure(actor, case, cx).await;
                    Turn { life: Some(life), outcome }
                });
            }
            Aside::Returned(undelivered) => self.turn.set_once(async move {
                let Life { actor, cx } = &mut *life;
                let outcome = caught_async(pin!(actor.on_undelivered(undelivered, cx))).await;
                Turn { life: Some(life), outcome: outcome.map(|()| None) }
            }),
            Aside::MeshFailed(failures, told) => {
                self.asides.ask(Asked::Mesh(failures.clone()));
                self.turn.set_once(async move {
                    let Life { actor, cx } = &mut *life;
                    let outcome = on_mesh_failure(actor, *failures, cx).await;
                    _ = told.send(()).is_ok();
                    Turn { life: Some(life), outcome: outcome.map(|()| None) }
                });
            }
        }
    }
}

/// How many messages that came back may wait for the actor to be told of them.
pub(super) const ASIDES_MAX: usize = 1024;
