//! What all actors of one type share in a process.

use std::sync::{Arc, OnceLock};

use crate::actor::Actor;
use crate::handlers::Handlers;
use crate::metrics::{Alive, KindMetrics};
use crate::pulse::Names;

/// The messages that actors of type `A` take by address, and their metrics.
pub(crate) struct Kind<A: Actor> {
    /// Made when the first message comes by address.
    handlers: OnceLock<Handlers<A>>,
    metrics: Arc<KindMetrics>,
    /// What the messages that they have handled are called.
    names: Names,
}

impl<A: Actor> Kind<A> {
    pub(crate) fn new() -> Self {
        Self { handlers: OnceLock::new(), metrics: KindMetrics::new(A::NAME), names: Names::new() }
    }

    pub(crate) fn handlers(&self) -> &Handlers<A> {
        self.handlers.get_or_init(|| {
            let handlers = Handlers::of();
            if let Err(conflict) = handlers.check() {
                tracing::error!(actor = A::NAME, %conflict, "a message cannot be sent by address");
            }
            handlers
        })
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn metrics(&self) -> &KindMetrics {
        &self.metrics
    }

    /// Counts one more actor while it is kept.
    pub(crate) fn alive(&self) -> Alive {
        self.metrics.alive()
    }
}
