//! Names that actors are found by, within their process.

use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError, RwLock};

use crate::actor::Actor;
use crate::actor_ref::ActorRef;
use crate::name::Name;
use crate::proc::Proc;
use crate::shared::Shared;

/// Which living actor has which name.
#[derive(Default)]
pub(crate) struct Registry(RwLock<Table>);

#[derive(Default)]
struct Table {
    by_name: BTreeMap<Arc<str>, Entry>,
    /// The names of each, to be given back when it ends.
    by_actor: BTreeMap<NonZeroU64, Vec<Arc<str>>>,
}

struct Entry {
    index: NonZeroU64,
    actor: Arc<dyn Named>,
    type_name: &'static str,
}

/// An actor of any type.
trait Named: Any + Send + Sync {
    /// Its names are free then, also if it had no time yet to give them back.
    fn has_ended(&self) -> bool;
}

impl<A: Actor> Named for Shared<A> {
    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }
}

/// A name that was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A living actor has it. An actor may register again under a name that it has.
    #[error(
        "the name {name:?} is taken by an actor of type {by}: unregister it, or wait for its end"
    )]
    Taken {
        /// The name.
        name: String,
        /// The type of the actor that has it.
        by: &'static str,
    },
    /// The actor that was to have it has ended.
    #[error("the actor that was to be called {name:?} has ended")]
    Ended {
        /// The name.
        name: String,
    },
}

/// A name that leads to no such actor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No living actor has it.
    #[error("no actor is registered as {name:?}: it has not begun yet, or has ended")]
    Unknown {
        /// The name.
        name: String,
    },
    /// An actor of another type has it.
    #[error("{name:?} is an actor of type {found}, and not of type {wanted}")]
    OtherType {
        /// The name.
        name: String,
        /// The type of the actor that has it.
        found: &'static str,
        /// The type that was asked for.
        wanted: &'static str,
    },
}

impl Registry {
    fn register<A: Actor>(&self, name: &str, shared: &Arc<Shared<A>>) -> Result<(), RegisterError> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Entry { index, actor, type_name }) = table.by_name.get(name) {
            if *index == shared.index {
                return Ok(());
            }
            if !actor.has_ended() {
                return Err(RegisterError::Taken { name: name.to_owned(), by: type_name });
            }
            table.free(name);
        }
        let (name, index) = (Arc::<str>::from(name), shared.index);
        let actor = Arc::clone(shared) as Arc<dyn Named>;
        table.by_name.insert(Arc::clone(&name), Entry { index, actor, type_name: A::NAME });
        table.by_actor.entry(index).or_default().push(name);
        Ok(())
    }

    fn unregister(&self, name: &str) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).free(name)
    }

    /// An actor has ended: its names are free.
    pub(crate) fn ended(&self, index: NonZeroU64) {
        let has_names = |table: &Table| table.by_actor.contains_key(&index);
        if !has_names(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for name in table.by_actor.remove(&index).into_iter().flatten() {
            table.by_name.remove(&name);
        }
    }

    fn lookup<A: Actor>(&self, name: &str) -> Result<ActorRef<A>, LookupError> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = table.by_name.get(name).filter(|entry| !entry.actor.has_ended());
        let name = name.to_owned();
        let Some(Entry { actor, type_name: found, .. }) = entry else {
            return Err(LookupError::Unknown { name });
        };
        let any = Arc::clone(actor) as Arc<dyn Any + Send + Sync>;
        match any.downcast() {
            Ok(shared) => Ok(ActorRef::new(shared)),
            Err(_) => Err(LookupError::OtherType { name, found, wanted: A::NAME }),
        }
    }
}

impl Table {
    /// `false` if nobody had the name.
    fn free(&mut self, name: &str) -> bool {
        let Some(entry) = self.by_name.remove(name) else { return false };
        if let Some(names) = self.by_actor.get_mut(&entry.index) {
            names.retain(|its| **its != *name);
            if names.is_empty() {
                self.by_actor.remove(&entry.index);
            }
        }
        true
    }
}

impl Proc {
    /// The living actor of this process that is registered under `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Actor, Context, Failure, Handler};
    /// use mesh_runtime::{LookupError, Proc};
    ///
    /// # struct Counter;
    /// # impl Actor for Counter {
    /// #     const NAME: &'static str = "counter";
    /// #     type Params = ();
    /// #     async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let proc = Proc::local()?;
    /// proc.spawn::<Counter>(()).register("words")?;
    ///
    /// let counter = proc.lookup::<Counter>("words")?;
    /// counter.stop(mesh_runtime::Stop::Now);
    /// counter.ended().await;
    /// assert!(matches!(proc.lookup::<Counter>("words"), Err(LookupError::Unknown { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`LookupError::Unknown`] if no living actor has the name.
    /// - [`LookupError::OtherType`] if one of another type has it.
    pub fn lookup<A: Actor>(&self, name: &str) -> Result<ActorRef<A>, LookupError> {
        self.registry().lookup(name)
    }

    /// Frees a name. `false` if no living actor has it.
    pub fn unregister(&self, name: &str) -> bool {
        self.registry().unregister(name)
    }
}

impl<A: Actor> ActorRef<A> {
    /// Gives the actor a name that it is found by within its process ([`Proc::lookup`]), until it has ended. It
    /// may have several.
    ///
    /// An actor that is started again registers in its [`start`](Actor::start): each life is another actor.
    ///
    /// # Errors
    ///
    /// - [`RegisterError::Taken`] if another living actor has the name.
    /// - [`RegisterError::Ended`] if this one has ended.
    ///
    /// # Source
    ///
    /// `register` of Erlang.
    pub fn register(&self, name: impl Into<Name>) -> Result<(), RegisterError> {
        let name = name.into();
        let (shared, registry) = (self.shared(), self.proc().registry());
        // From now on its end frees its names.
        shared.list();
        registry.register(&name, shared)?;
        // It may have ended in between, and could not free what it did not have yet.
        if shared.has_ended() {
            registry.ended(shared.index);
            return Err(RegisterError::Ended { name: name.to_string() });
        }
        Ok(())
    }
}
