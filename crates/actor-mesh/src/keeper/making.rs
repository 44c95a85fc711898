//! `making`: what the actor of each rank is created from, made where it holds nobody up.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{EncodeError, Incarnation, Message, Plane, Reason, Status};
use mesh_runtime::{Context, Failure, Handler, caught};
use mesh_shape::{Point, Rank};

use super::{Keeper, Kept};
use crate::report::{ActorEnd, ActorState, HowActorEnded};

/// What the actor of each rank is created from, as it travels.
pub(crate) enum ParamsOf {
    /// The same for all.
    Same(Result<Bytes, EncodeError>),
    /// Each its own: code of a user, which may block and panic.
    Each(Arc<Encode>),
}

type Encode = dyn Fn(Point<'_>) -> Result<Bytes, EncodeError> + Send + Sync;

/// How far the parameters of a life are. They are kept until its agent has heard of it: it may have to be told
/// again.
#[derive(Clone, Debug, Default)]
pub(super) enum Making {
    #[default]
    NotYet,
    Begun,
    Done(Bytes),
}

/// Parameters have been made, or cannot be.
pub(super) struct Made {
    rank: Rank,
    incarnation: Incarnation,
    params: Result<Bytes, HowActorEnded>,
}

impl Message for Made {
    const NAME: &'static str = "meshwarden.keeper.Made";
    type Reply = ();
}

impl Keeper {
    /// What a life of a rank is created from, if that is known: otherwise it is made on the user's plane, and
    /// its actor is spawned then.
    pub(super) fn params(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        cx: &Context<Self>,
    ) -> Result<Option<Bytes>, HowActorEnded> {
        let encode = match &self.params {
            ParamsOf::Same(params) => return params.clone().map(Some).map_err(errored),
            ParamsOf::Each(encode) => Arc::clone(encode),
        };
        let Some(kept) = self.ranks.get_mut(rank.index()) else { return Ok(None) };
        match &kept.making {
            Making::Done(params) => return Ok(Some(params.clone())),
            Making::Begun => return Ok(None),
            Making::NotYet => kept.making = Making::Begun,
        }
        let point = self.procs.region().extent().unravel(rank).map_err(errored)?.to_owned();
        let (me, deputy) = (cx.me().clone(), cx.deputy());
        // It ends with the keeper, which takes no message then.
        drop(cx.proc().on(Plane::User).runtime().spawn(async move {
            let params = made(|| encode(point.as_point()));
            me.cast(&deputy, Made { rank, incarnation, params }).await.is_ok()
        }));
        Ok(None)
    }

    /// The actor of a rank cannot even be asked for.
    pub(super) fn ended_here(&mut self, rank: Rank, how: HowActorEnded) {
        if let Some(kept) = self.ranks.get_mut(rank.index()) {
            let end = ActorEnd { how, alive: Duration::ZERO, chain: Vec::new() };
            kept.state = ActorState::Ended(Arc::new(end));
            kept.making = Making::NotYet;
            self.untold.remove(&rank);
            self.report(rank);
        }
    }
}

impl Kept {
    /// Whether it never was, since its process has ended well before that, and not because it was asked to end. Whoever
    /// spawns it is told so, as where its process has not ended well (C4): as one that has stopped it would look as if it had
    /// run. That an end of its process ends well what lives there is for all later lives (ST3).
    pub(super) fn has_missed_its_process(&self) -> bool {
        let is_first = self.incarnation == Some(Incarnation::FIRST);
        is_first
            && !self.is_to_end
            && self.state == ActorState::Creating
            && self.proc.status == Status::Stopped
            && !self.proc.will_restart
    }
}

impl Handler<Made> for Keeper {
    async fn handle(&mut self, made: Made, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Made { rank, incarnation, params } = made;
        let Some(kept) = self.ranks.get_mut(rank.index()) else { return Ok(()) };
        let is_awaited = kept.incarnation == Some(incarnation)
            && matches!(kept.making, Making::Begun)
            && kept.state == ActorState::Creating;
        if is_awaited {
            match params {
                Ok(params) => {
                    kept.making = Making::Done(params);
                    self.begin(rank, cx);
                }
                Err(how) => self.ended_here(rank, how),
            }
            self.flush_soon(cx);
            self.wait_for_room(cx);
        }
        Ok(())
    }
}

/// Runs code of a user, which is no reason for anybody else to end.
fn made(make: impl FnOnce() -> Result<Bytes, EncodeError>) -> Result<Bytes, HowActorEnded> {
    match caught(make) {
        Ok(params) => params.map_err(errored),
        Err(failure) => Err(match &failure.cause().reason {
            Reason::Panic { message, location } => {
                let message = format!("making its parameters: {message}");
                HowActorEnded::Panicked { message, location: location.clone() }
            }
            other => HowActorEnded::Errored { message: other.to_string() },
        }),
    }
}

/// The words of an error, as many as travel.
fn errored(error: impl Error) -> HowActorEnded {
    let message = match &Failure::from(error).cause().reason {
        Reason::Error { message } => message.clone(),
        other => other.to_string(),
    };
    HowActorEnded::Errored { message }
}
