//! Which messages an actor takes by address.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;

use mesh_core::{ActorId, Body, MeshId, Message, PortId, Sheaf, WhyUndelivered};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actor::{Actor, Handler};
use crate::codec::{self, Outgoing};
use crate::endpoint::{Arrived, Away};
use crate::letter::bundle::{Bundle, Opening};
use crate::letter::parcels::Parcels;
use crate::letter::{AnyLetter, Back, BackAway, Letter, Parcel, Sealed};
use crate::reply::ReplyTo;

/// The messages that actors of type `A` take by address, through a [`PortRef`](mesh_core::PortRef).
///
/// # Examples
///
/// ```
/// # use mesh_core::Message;
/// # use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
/// # use serde::{Deserialize, Serialize};
/// # struct Counter;
/// #[derive(Serialize, Deserialize)]
/// struct Count(String);
///
/// # impl Message for Count { const NAME: &'static str = "words.Count"; type Reply = usize; }
/// # impl Handler<Count> for Counter {
/// #     async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Result<usize, Failure> { Ok(0) }
/// # }
/// impl Actor for Counter {
///     // …
/// #    const NAME: &'static str = "counter";
/// #    type Params = ();
/// #    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
///     fn handlers(handlers: &mut Handlers<Self>) {
///         handlers.takes::<Count>();
///     }
/// }
///
/// assert_eq!(Handlers::<Counter>::of().names().collect::<Vec<_>>(), ["words.Count"]);
/// ```
pub struct Handlers<A: Actor> {
    takers: BTreeMap<PortId, Taker<A>>,
    conflicts: Vec<NameConflict>,
}

struct Taker<A: Actor> {
    name: &'static str,
    version: u32,
    parcel: ToParcel<A>,
    open: Open,
    put: PutAll<A>,
    put_alike: PutAlike<A>,
}

/// A letter of the right type as a parcel for the actor; any other one comes back.
type ToParcel<A> = fn(Box<dyn AnyLetter>) -> Result<Box<dyn Parcel<A>>, Box<dyn AnyLetter>>;

/// A letter made of a message of another process. The body comes back if it is none.
type Open = fn(Body, Away<'_>) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)>;

/// Puts casts that came for one port behind what waits for the actor. Their bytes are taken out of them.
type PutAll<A> = fn(&mut Parcels<A>, &mut [Arrived]);

/// Puts casts by one sender to one port behind what waits for the actor.
type PutAlike<A> = fn(&mut Parcels<A>, (Option<ActorId>, Sheaf));

/// Two messages that cannot be told apart by their address: they have the same name, or names with the
/// same hash. The second was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the messages {first:?} and {second:?} have the same port: give one of them another NAME")]
pub struct NameConflict {
    /// The name that was there first.
    pub first: &'static str,
    /// The name that was refused.
    pub second: &'static str,
}

impl<A: Actor> Handlers<A> {
    /// What [`Actor::handlers`] names.
    #[must_use]
    pub fn of() -> Self {
        let mut handlers = Self { takers: BTreeMap::new(), conflicts: Vec::new() };
        A::handlers(&mut handlers);
        handlers
    }

    /// Messages of type `M` can be sent by address.
    pub fn takes<M>(&mut self) -> &mut Self
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
    {
        let taker = Taker {
            name: M::NAME,
            version: M::VERSION,
            parcel: to_parcel::<M, A>,
            open: open::<M>,
            put: put_all::<M, A>,
            put_alike: put_alike::<M, A>,
        };
        match self.takers.entry(PortId::of::<M>()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(taker);
            }
            std::collections::btree_map::Entry::Occupied(entry) => {
                self.conflicts.push(NameConflict { first: entry.get().name, second: M::NAME });
            }
        }
        self
    }

    /// The names of the messages, in the order of their ports.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.takers.values().map(|taker| taker.name)
    }

    /// Each port with the name and the version of its message, in order: what two processes compare
    /// before they talk.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &'static str, u32)> {
        self.takers.iter().map(|(port, taker)| (*port, taker.name, taker.version))
    }

    /// Fails if two messages have the same port.
    ///
    /// # Errors
    ///
    /// The first [`NameConflict`].
    pub fn check(&self) -> Result<(), NameConflict> {
        self.conflicts.first().map_or(Ok(()), |conflict| Err(*conflict))
    }

    /// The letter as a parcel for the actor, if it takes what comes through `port`.
    pub(crate) fn parcel(
        &self,
        port: PortId,
        letter: Box<dyn AnyLetter>,
    ) -> Result<Box<dyn Parcel<A>>, Box<dyn AnyLetter>> {
        match self.takers.get(&port) {
            Some(taker) => (taker.parcel)(letter),
            None => Err(letter),
        }
    }

    /// Whether the actor takes what comes through `port`.
    pub(crate) fn has(&self, port: PortId) -> bool {
        self.takers.contains_key(&port)
    }

    /// Puts casts behind what waits for the actor, which takes what comes through their ports. Their bytes are taken
    /// out of them.
    pub(crate) fn put_all(&self, casts: &mut [Arrived], parcels: &mut Parcels<A>) {
        for of_one in casts.chunk_by_mut(|one, next| one.port == next.port) {
            let taker = of_one.first().and_then(|first| self.takers.get(&first.port));
            if let Some(taker) = taker {
                (taker.put)(parcels, of_one);
            }
        }
    }

    /// The same for casts by one sender to one port.
    pub(crate) fn put_alike(
        &self,
        port: PortId,
        casts: (Option<ActorId>, Sheaf),
        parcels: &mut Parcels<A>,
    ) {
        if let Some(taker) = self.takers.get(&port) {
            (taker.put_alike)(parcels, casts);
        }
    }

    /// A letter made of a message of another process.
    pub(crate) fn open(
        &self,
        port: PortId,
        body: Body,
        from: Away<'_>,
    ) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)> {
        match self.takers.get(&port) {
            Some(taker) => (taker.open)(body, from),
            None => Err((WhyUndelivered::NoPort, body)),
        }
    }
}

fn to_parcel<M: Message, A: Handler<M>>(
    letter: Box<dyn AnyLetter>,
) -> Result<Box<dyn Parcel<A>>, Box<dyn AnyLetter>> {
    if letter.as_any().is::<Sealed<M>>() {
        return match letter.into_any().downcast::<Sealed<M>>() {
            Ok(sealed) => Ok(sealed),
            Err(_) => unreachable!("it was looked at"),
        };
    }
    let letter: Box<Letter<M>> = downcast(letter)?;
    Ok(letter)
}

/// The letter, if its message is of type `M`.
pub(crate) fn downcast<M: Message>(
    letter: Box<dyn AnyLetter>,
) -> Result<Box<Letter<M>>, Box<dyn AnyLetter>> {
    if !letter.as_any().is::<Letter<M>>() {
        return Err(letter);
    }
    match letter.into_any().downcast() {
        Ok(letter) => Ok(letter),
        Err(_) => unreachable!("it was looked at"),
    }
}

/// A letter made of a message of another process.
pub(crate) fn open<M>(
    body: Body,
    from: Away<'_>,
) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)>
where
    M: Message<Reply: Serialize> + Serialize + DeserializeOwned,
{
    let back = |from| match from {
        Away::Cast(from) => cast_back(from),
        Away::PassedOn(None, _) => Back::Nobody,
        Away::Word => Back::Unmissed,
        Away::PassedOn(Some(from), mesh) => back_away(from, Some(mesh)),
        Away::Call { proc, from, call } => {
            Back::Caller(ReplyTo::away(proc.reply_away(M::NAME, from, call)))
        }
    };
    match body {
        Body::Bytes(bytes) => {
            Ok(Box::new(Sealed::<M> { bytes, back: back(from), decode: codec::decode_shared }))
        }
        Body::Value(value) => match value.into_any().downcast::<M>() {
            Ok(message) => Ok(Box::new(Letter { message: *message, back: back(from) })),
            Err(_) => Err((WhyUndelivered::Malformed, Body::EMPTY)),
        },
    }
}

fn put_all<M, A>(parcels: &mut Parcels<A>, casts: &mut [Arrived])
where
    A: Handler<M>,
    M: Message<Reply: Serialize> + Serialize + DeserializeOwned,
{
    parcels.push_all(casts.iter_mut().map(|cast| Sealed::<M> {
        bytes: mem::take(&mut cast.bytes),
        back: cast_back(cast.from),
        decode: codec::decode_shared,
    }));
}

fn put_alike<M, A>(parcels: &mut Parcels<A>, (from, bodies): (Option<ActorId>, Sheaf))
where
    A: Handler<M>,
    M: Message<Reply: Serialize> + Serialize + DeserializeOwned,
{
    let n = bodies.len();
    let opening = Opening::<M> {
        back: cast_back,
        decode_first: codec::decode_first,
        decode: codec::decode_shared,
    };
    parcels.push_together(Bundle { bodies, from, opening }, n);
}

/// The way back of a cast.
pub(crate) fn cast_back<M: Message + Serialize>(from: Option<ActorId>) -> Back<M> {
    from.map_or(Back::Nobody, |from| back_away(from, None))
}

fn back_away<M: Message + Serialize>(from: ActorId, passed_on: Option<MeshId>) -> Back<M> {
    let body = |message| Body::Value(Box::new(Outgoing(message)));
    Back::Away(Box::new(BackAway { from, passed_on, body }))
}

impl<A: Actor> fmt::Debug for Handlers<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.takers.values().map(|taker| taker.name)).finish()
    }
}
