//! What a program can be as a worker.

use std::fmt;
use std::process::ExitCode;

use proc_mesh::Worker;

/// What a program can be as a worker: a `main` of its own, or a home for actors. Every process of the
/// program registers the same.
pub struct Registry {
    pub(crate) workers: proc_mesh::Registry,
    #[cfg(feature = "actors")]
    pub(crate) actors: actor_mesh::ActorRegistry,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            workers: proc_mesh::Registry::default(),
            #[cfg(feature = "actors")]
            actors: actor_mesh::ActorRegistry::new(),
        }
    }

    /// Registers `entry`, the `main` of a worker, under `name`; of two with one name the first stays.
    pub fn worker<F>(&mut self, name: &'static str, entry: impl FnOnce(Worker) -> F + 'static)
    where
        F: Future<Output = ExitCode> + 'static,
    {
        self.workers.worker(name, entry);
    }

    /// Actors of type `A` can be spawned on meshes of processes, from parameters that travel.
    #[cfg(feature = "actors")]
    pub fn actor<A>(&mut self) -> &mut Self
    where
        A: mesh_runtime::Actor<Params: serde::Serialize + serde::de::DeserializeOwned>,
    {
        self.actors.actor::<A>();
        self
    }

    /// Replies of type `T` can be merged by `by` on their way; of numbers and truth values it is known how.
    #[cfg(feature = "actors")]
    pub fn reducer<R, T>(&mut self, by: R) -> &mut Self
    where
        R: actor_mesh::Reducer<T>,
        T: serde::Serialize + serde::de::DeserializeOwned + 'static,
    {
        self.actors.reducer(by);
        self
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("workers", &self.workers).finish_non_exhaustive()
    }
}
