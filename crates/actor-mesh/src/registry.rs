//! The types of actors that a program can be asked to spawn, by name.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use mesh_cast::ReducerId;
use mesh_cast::shell::{Merge, Reducers};
use mesh_core::{ActorId, PortId};
use mesh_runtime::codec::{self, DecodeError};
use mesh_runtime::{Actor, ActorRef, Handlers, Milestone, NameConflict, Proc, Stop};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::reducer::{Reducer, id_of, known, merge_of};

/// The types of actors that a program can be asked to spawn, by [`Actor::NAME`]. Every process of a program
/// registers the same.
///
/// # Examples
///
/// ```
/// use actor_mesh::ActorRegistry;
/// use mesh_runtime::{Actor, Context, Failure};
///
/// struct Lamp;
///
/// impl Actor for Lamp {
///     const NAME: &'static str = "lamp";
///     type Params = u32;
///
///     async fn start(_: u32, _: &mut Context<Self>) -> Result<Self, Failure> {
///         Ok(Self)
///     }
/// }
///
/// let mut registry = ActorRegistry::new();
/// registry.actor::<Lamp>();
/// assert_eq!(registry.names().collect::<Vec<_>>(), ["lamp"]);
/// ```
pub struct ActorRegistry {
    types: BTreeMap<&'static str, Type>,
    reducers: BTreeMap<&'static str, (TypeId, ReducerId, Merge)>,
    conflict: Option<RegistryError>,
    /// All reducers, once a process was to know them.
    all: OnceLock<Reducers>,
}

/// Why a program cannot be asked to spawn what it has registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two types of actors have the same name.
    #[error("two types of actors are called {0:?}: give one of them another NAME")]
    SameName(&'static str),
    /// Two reducers have the same name.
    #[error("two reducers are called {0:?}: give one of them another NAME")]
    SameReducer(&'static str),
    /// An actor takes two messages that cannot be told apart.
    #[error(transparent)]
    Messages(#[from] NameConflict),
}

/// How reducers are called that are known without being registered.
const BUILT_IN: &str = "meshwarden.";

/// One type of actors.
struct Type {
    /// Which one it is here: two that take the same are two.
    id: TypeId,
    spawn: Spawn,
    /// A hash of its name and of what it takes.
    hash: u64,
}

type Spawn = fn(&Proc, &str, &Bytes, Told) -> Box<dyn Spawned>;

/// Who is told of the milestones of an actor.
pub(crate) type Told = Box<dyn Fn(Milestone) + Send + Sync>;

/// An actor of any type.
pub(crate) trait Spawned: Send + Sync {
    fn id(&self) -> ActorId;
    fn stop(&self, how: Stop);
}

impl<A: Actor> Spawned for ActorRef<A> {
    fn id(&self) -> ActorId {
        self.id()
    }

    fn stop(&self, how: Stop) {
        self.stop(how);
    }
}

/// No actor of that name can be spawned here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnknownActor {
    #[error(
        "no actor is registered here as {name:?}; there are: {}. Register it where the program begins",
        known.join(", ")
    )]
    None { name: String, known: Vec<&'static str> },
    #[error(
        "another type of actors is registered here as {name:?}, which takes other messages: give one of them another NAME"
    )]
    Other { name: String },
}

/// An actor cannot be created from what it was to be created from.
#[derive(Debug, thiserror::Error)]
#[error("the parameters are not those of {name}: {why}")]
struct BadParams {
    name: &'static str,
    why: DecodeError,
}

impl ActorRegistry {
    /// Nothing is registered.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            types: BTreeMap::new(),
            reducers: BTreeMap::new(),
            conflict: None,
            all: OnceLock::new(),
        }
    }

    /// Actors of type `A` can be spawned, from parameters that travel. The same type twice counts once.
    pub fn actor<A>(&mut self) -> &mut Self
    where
        A: Actor<Params: Serialize + DeserializeOwned>,
    {
        if let Err(conflict) = Handlers::<A>::of().check() {
            self.conflict = self.conflict.or_else(|| Some(conflict.into()));
        }
        let hash = hash_of::<A>();
        let (id, spawn) = (TypeId::of::<A>(), spawn::<A> as Spawn);
        match self.types.entry(A::NAME) {
            Entry::Vacant(entry) => {
                entry.insert(Type { id, spawn, hash });
            }
            Entry::Occupied(entry) if entry.get().id == id => (),
            Entry::Occupied(_) => {
                self.conflict = self.conflict.or(Some(RegistryError::SameName(A::NAME)));
            }
        }
        self
    }

    /// Replies of type `T` can be merged on their way by `R`. The same one twice counts once.
    pub fn reducer<R, T>(&mut self, _: R) -> &mut Self
    where
        R: Reducer<T>,
        T: Serialize + DeserializeOwned + 'static,
    {
        let (name, id) = (R::NAME, id_of::<R, T>());
        // Which one it is here, and of what.
        let is = TypeId::of::<(R, T)>();
        let is_known = known().any(|(known, _)| known == id);
        if is_known && name.starts_with(BUILT_IN) {
            return self;
        }
        self.all.take();
        let (first, ..) = self.reducers.entry(name).or_insert_with(|| (is, id, merge_of::<R, T>()));
        if *first != is || is_known {
            self.conflict = self.conflict.or(Some(RegistryError::SameReducer(name)));
        }
        self
    }

    /// Makes all reducers known to a process.
    pub(crate) fn install_reducers(&self, proc: &Proc) {
        let ours = || self.reducers.values().map(|(_, id, merge)| (*id, *merge));
        self.all.get_or_init(|| known().chain(ours()).collect()).install(proc);
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.types.keys().copied()
    }

    /// A hash of all names, of reducers too, and of the names and versions of the messages: processes of different programs
    /// refuse each other by it.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = PortId::named("meshwarden").number();
        let types = self.types.values().map(|kind| kind.hash);
        for part in types.chain(self.reducers.values().map(|(_, id, _)| id.0)) {
            hash = (hash ^ part).wrapping_mul(0x0100_0000_01b3);
        }
        hash
    }

    /// Fails if two types, or two messages of one, cannot be told apart.
    ///
    /// # Errors
    ///
    /// The first [`RegistryError`].
    pub fn check(&self) -> Result<(), RegistryError> {
        self.conflict.map_or(Ok(()), Err)
    }

    /// Spawns an actor of the type that is registered under `kind`, if it takes the same messages.
    pub(crate) fn spawn(
        &self,
        proc: &Proc,
        (kind, hash, name): (&str, u64, &str),
        params: &Bytes,
        told: Told,
    ) -> Result<Box<dyn Spawned>, UnknownActor> {
        match self.types.get(kind) {
            Some(known) if known.hash == hash => Ok((known.spawn)(proc, name, params, told)),
            Some(_) => Err(UnknownActor::Other { name: kind.to_owned() }),
            None => {
                let known = self.names().collect();
                Err(UnknownActor::None { name: kind.to_owned(), known })
            }
        }
    }
}

/// A hash of the name of a type of actors, and of what it takes.
pub(crate) fn hash_of<A: Actor>() -> u64 {
    let mut hash = PortId::named(A::NAME).number();
    for (port, _, version) in Handlers::<A>::of().ports() {
        // FNV-1a's step, with what is added for its byte.
        hash = (hash ^ port.number() ^ u64::from(version)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

fn spawn<A>(proc: &Proc, name: &str, params: &Bytes, told: Told) -> Box<dyn Spawned>
where
    A: Actor<Params: DeserializeOwned>,
{
    let params = params.clone();
    let decoded = move || {
        let params = codec::decode::<A::Params>(&params);
        params.map_err(|why| BadParams { name: A::NAME, why }.into())
    };
    Box::new(proc.spawn_for::<A>(name, decoded, told))
}

impl Default for ActorRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ActorRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types.keys()).finish()
    }
}
