//! `Reducers`: how replies are merged in a process that others' casts pass.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{Fault, WhyUndelivered};
use mesh_runtime::{Proc, caught};

use super::pieces::MESSAGE_MAX;
use crate::wire::{Failure, ReducerId};

/// Merges encoded replies, at least one of them, in their order.
pub type Merge = fn(&[Bytes]) -> Result<Bytes, MergeError>;

/// Replies cannot be merged.
#[derive(Debug, thiserror::Error)]
#[error("replies cannot be merged")]
pub struct MergeError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Ways to merge. A clone costs nothing: so one of many processes in a program knows them.
#[derive(Clone, Default)]
pub struct Reducers(Arc<BTreeMap<ReducerId, Merge>>);

impl Reducers {
    /// Replies of casts that pass `proc` can be merged so. The same one twice counts once.
    pub fn install(&self, proc: &Proc) {
        proc.with_slot(|Self(known)| {
            if known.is_empty() {
                known.clone_from(&self.0);
            } else {
                let each = self.0.iter().map(|(id, merge)| (*id, *merge));
                Arc::make_mut(known).extend(each);
            }
        });
    }

    /// What merges replies, if `proc` knows it.
    fn find(proc: &Proc, id: ReducerId) -> Option<Merge> {
        proc.with_slot(|Self(known)| known.get(&id).copied())
    }
}

/// Merges replies on the runtime of the user, whose code that is: it may take its time, and may panic.
pub(super) async fn merge(user: Proc, id: ReducerId, values: Vec<Bytes>) -> Result<Bytes, Failure> {
    let Some(merge) = Reducers::find(&user, id) else {
        let unknown = "a process on the way knows no such reducer: register it in every program";
        return Err(failed(unknown.to_owned()));
    };
    let merged = user.runtime().spawn(async move { caught(|| merge(&values)) }).await;
    match merged {
        Ok(Ok(Ok(bytes))) if bytes.len() > MESSAGE_MAX => {
            let why = WhyUndelivered::too_large(bytes.len(), MESSAGE_MAX);
            Err(Failure::Fault(Fault::Undelivered(why)))
        }
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(MergeError(why)))) => Err(failed(format!("replies cannot be merged: {why}"))),
        // As it is told where replies are merged that have come directly.
        Ok(Err(panicked)) => Err(failed(panicked.to_string())),
        Err(error) => Err(failed(format!("a reducer was cancelled: {error}"))),
    }
}

fn failed(message: String) -> Failure {
    Failure::NotMerged(message.into())
}

impl FromIterator<(ReducerId, Merge)> for Reducers {
    fn from_iter<I: IntoIterator<Item = (ReducerId, Merge)>>(each: I) -> Self {
        Self(Arc::new(each.into_iter().collect()))
    }
}

impl fmt::Debug for Reducers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
