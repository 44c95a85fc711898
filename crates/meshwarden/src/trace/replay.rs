//! Gives a recorded trace to a controller again.

use std::io::BufRead;

use controller::{Controlled, Controller, Effect, Event, SpecError};
use mesh_core::Timestamp;
use serde::de::DeserializeOwned;

use crate::trace::{Reader, Step, TraceError};

/// The steps of a trace and the effects that they lead to, computed anew.
#[derive(Debug)]
pub struct Replay<B, C: Controlled> {
    reader: Reader<B, C::Report>,
    controller: Controller<C>,
}

/// One step, replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed<R> {
    /// Its number, from 1.
    pub number: u64,
    /// When it was.
    pub now: Timestamp,
    /// What happened.
    pub event: Event<R>,
    /// What that leads to.
    pub effects: Vec<Effect>,
    /// How many effects it led to when it was recorded.
    pub n_recorded: u64,
}

/// Why a trace cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It is of a mesh of another kind.
    #[error("it is of a mesh of kind {found}, not {expected}")]
    OtherKind {
        /// The kind it is to be.
        expected: &'static str,
        /// The kind it is.
        found: String,
    },
    /// What was supervised cannot be: the trace was changed.
    #[error("the mesh of its first line cannot be supervised")]
    Spec(#[from] SpecError),
}

impl<B, C> Replay<B, C>
where
    B: BufRead,
    C: Controlled,
    C::Report: DeserializeOwned + PartialEq,
{
    /// A controller of what was recorded, at its beginning.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::OtherKind`] if the trace is of another kind of mesh than `C`.
    /// - [`ReplayError::Spec`] if there cannot be such a controller.
    pub fn new(reader: Reader<B, C::Report>, kind: C) -> Result<Self, ReplayError> {
        if reader.kind() != C::KIND {
            let found = reader.kind().to_owned();
            return Err(ReplayError::OtherKind { expected: C::KIND, found });
        }
        let controller = Controller::new(reader.spec().clone(), kind)?;
        Ok(Self { reader, controller })
    }
}

/// After an error there is nothing more.
impl<B, C> Iterator for Replay<B, C>
where
    B: BufRead,
    C: Controlled,
    C::Report: DeserializeOwned + PartialEq + Clone,
{
    type Item = Result<Replayed<C::Report>, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let replayed = self.reader.next()?.map(|step| {
            let Step { number, now, event, n_effects } = step;
            let effects = self.controller.step(now, event.clone());
            Replayed { number, now, event, effects, n_recorded: n_effects }
        });
        Some(replayed)
    }
}

impl<R> Replayed<R> {
    /// Whether it comes to as many effects as when it was recorded: if not, the trace was changed, or
    /// made by another version of the controller.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.n_recorded == self.effects.len() as u64
    }
}
