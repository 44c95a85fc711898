//! Casts of another process that have come together: [`Bundle`].

use std::any::Any;

use bytes::Bytes;
use mesh_core::{ActorId, Message, PortId, Sheaf};

use super::parcels::{AnyStack, Stack};
use super::{AnyLetter, Back, Letter, Sealed};
use crate::actor::Handler;
use crate::codec::DecodeError;
use crate::panics::caught;
use crate::task::{Life, Turns};

/// Casts by one sender to one port, as they have come. As [`Sealed`], each is decoded by whoever takes it; until then
/// they stand where they were read.
pub(crate) struct Bundle<M: Message> {
    pub(crate) bodies: Sheaf,
    pub(crate) from: Option<ActorId>,
    pub(crate) opening: Opening<M>,
}

/// What is to be known of the type of a message.
#[derive(Clone, Copy)]
pub(crate) struct Opening<M: Message> {
    /// The way back to who has sent it, if an actor did.
    pub(crate) back: fn(Option<ActorId>) -> Back<M>,
    /// Decodes the first one.
    pub(crate) decode_first: fn(&Sheaf) -> Result<M, DecodeError>,
    /// Decodes one that stands alone.
    pub(crate) decode: fn(&Bytes) -> Result<M, DecodeError>,
}

impl<M: Message> Bundle<M> {
    /// Takes out the first cast.
    fn pop(&mut self) -> Option<Sealed<M>> {
        let Opening { back, decode, .. } = self.opening;
        Some(Sealed { bytes: self.bodies.pop()?, back: back(self.from), decode })
    }

    /// Takes out the first cast and decodes it. All of it comes back if it is no message, or if decoding panics.
    fn unseal(&mut self) -> Option<Result<Letter<M>, Sealed<M>>> {
        let Opening { back, decode_first, .. } = self.opening;
        match caught(|| decode_first(&self.bodies)) {
            Ok(Ok(message)) => {
                self.bodies.skip();
                Some(Ok(Letter { message, back: back(self.from) }))
            }
            Ok(Err(_)) | Err(_) => self.pop().map(Err),
        }
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for Stack<Bundle<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let sealed = self.first_mut()?.pop()?;
        drop_empty(self);
        Some(Box::new(sealed))
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        let unsealed = self.first_mut().and_then(Bundle::unseal);
        drop_empty(self);
        match unsealed {
            Some(Ok(letter)) => letter.begin_by(life, turn),
            Some(Err(sealed)) => sealed.refused_by(life),
            None => Some(life),
        }
    }
}

/// Lets go of the first bundle if nothing is left in it.
fn drop_empty<M: Message>(bundles: &mut Stack<Bundle<M>>) {
    if bundles.first().is_some_and(|first| first.bodies.is_empty()) {
        drop(bundles.take_first());
    }
}
