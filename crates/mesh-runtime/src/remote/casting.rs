//! Casts to other processes.

use std::num::NonZeroU64;
use std::time::Duration;

use mesh_core::{Body, Envelope, Head, Message, PortRef, WhyUndelivered};
use serde::Serialize;

use super::routes::Attempt;
use super::{Unsent, WhyUnsent};
use crate::codec::Outgoing;
use crate::error::TryCastError;
use crate::panics::discard;
use crate::proc::Proc;

impl Proc {
    /// Casts a message to another process.
    pub(crate) async fn cast_away<M: Message>(
        &self,
        to: PortRef<M>,
        from: Option<NonZeroU64>,
        body: Body,
    ) {
        let head = self.cast_head(to, from);
        if let Err(returned) = self.send_away(Envelope { head, body }).await {
            self.came_back(*returned);
        }
    }

    /// The same; but what is not sent comes back to nobody: whoever sends it is told why.
    pub(crate) async fn cast_away_told<M: Message>(
        &self,
        to: PortRef<M>,
        from: Option<NonZeroU64>,
        body: Body,
    ) -> Result<(), WhyUndelivered> {
        let envelope = Envelope { head: self.cast_head(to, from), body };
        let Err(unsent) = self.send_or_unsent(envelope, |body, _| body).await else {
            return Ok(());
        };
        let Unsent { envelope, why } = *unsent;
        discard(envelope.body);
        Err(match why {
            WhyUnsent::Returned(why) => self.why_returned(&why),
            WhyUnsent::NoSession | WhyUnsent::NoRoom => self.why_no_route(to.actor().peer()),
        })
    }

    /// Casts to another process a message that grows older while there is no room for it.
    pub(crate) async fn cast_away_aging<M: Message + Serialize>(
        &self,
        to: PortRef<M>,
        from: Option<NonZeroU64>,
        (message, age): (M, fn(&mut M, Duration)),
    ) {
        let (head, outgoing) = (self.cast_head(to, from), Outgoing(message));
        // So it is almost always, and then there is nothing to keep it in.
        if self.remote().routes.send_now(self.way(&head), &head, &outgoing) {
            return;
        }
        let body = Body::Value(Box::new(outgoing));
        let older = |body, waited| match body {
            // What waits for room has not been encoded.
            Body::Value(value) => match value.into_any().downcast::<M>() {
                Ok(mut message) => {
                    age(&mut message, waited);
                    Body::Value(Box::new(Outgoing(*message)))
                }
                Err(_) => unreachable!("what waits is what was sent"),
            },
            bytes @ Body::Bytes(_) => bytes,
        };
        if let Err(returned) = self.send_away_aging(Envelope { head, body }, older).await {
            self.came_back(*returned);
        }
    }

    fn cast_head<M: Message>(&self, to: PortRef<M>, from: Option<NonZeroU64>) -> Head {
        self.remote().learn_name::<M>();
        let from = from.map(|from| self.actor_id(from));
        Head::Cast { to: to.actor(), port: to.port(), from }
    }

    /// Casts a message to another process if there is room for it now, and nothing before it that is on its way by
    /// another session.
    pub(crate) fn try_cast_away<M: Message + Serialize>(
        &self,
        to: PortRef<M>,
        from: Option<NonZeroU64>,
        message: M,
    ) -> Result<(), TryCastError<M>> {
        self.remote().learn_name::<M>();
        let from = from.map(|from| self.actor_id(from));
        let head = Head::Cast { to: to.actor(), port: to.port(), from };
        let mut envelope = Some(Envelope { head, body: Body::Value(Box::new(Outgoing(message))) });
        let way = (to.actor().peer(), to.actor().plane().lane());
        match self.remote().routes.try_send(way, &mut envelope) {
            Attempt::Over(Ok(())) => Ok(()),
            Attempt::Over(Err(returned)) => {
                self.came_back(*returned);
                Ok(())
            }
            Attempt::Nowhere => {
                self.no_route(envelope);
                Ok(())
            }
            Attempt::Waits { .. } => match envelope.map(|envelope| envelope.body) {
                Some(Body::Value(value)) => match value.into_any().downcast() {
                    Ok(message) => {
                        let actor = to.actor().to_string();
                        Err(TryCastError::Full { actor, message: *message })
                    }
                    Err(_) => unreachable!("what comes back is what was sent"),
                },
                // Not reached: what waits for room has not been encoded.
                Some(Body::Bytes(_)) | None => Ok(()),
            },
        }
    }
}
