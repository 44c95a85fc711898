//! Which mesh, which life of a rank, which report of it, which controller.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a mesh. Compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeshId(Uuid);

impl MeshId {
    /// An id from 128 random bits, drawn by the caller so that a simulation can choose them.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// The bare bits.
    pub(crate) const fn bits(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for MeshId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What messages say about the mesh they are about: its id, the name its user gave it, its kind.
///
/// Shared, because every message carries one. One that is decoded is [checked](Self::check): whoever sends it may have
/// made up anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LabelParts")]
pub struct MeshLabel(Arc<LabelParts>);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LabelParts {
    id: MeshId,
    name: String,
    kind: String,
}

/// Why a mesh cannot have a name, or a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing in it.
    #[error("the name of the mesh is empty")]
    Empty,
    /// It is too long for what it is in: each line that tells of the mesh.
    #[error("the name of the mesh has {chars} characters, and {max} are allowed")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// It would make lines of its own in reports, or do something to a terminal.
    #[error("the name of the mesh has the control character {0:?}")]
    Control(char),
    /// Each line that tells of the mesh has its kind, too.
    #[error("the kind of the mesh is empty, too long, or has control characters")]
    Kind,
}

impl MeshLabel {
    /// The most characters that the name of a mesh has, and its kind.
    pub const NAME_MAX: usize = 256;

    /// The label of the mesh `id` of the given kind (`proc`, `host`, `actor`, or yours).
    #[must_use]
    pub fn new(id: MeshId, name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self(Arc::new(LabelParts { id, name: name.into(), kind: kind.into() }))
    }

    /// Whether a mesh may be called so: by at least one and at most [`NAME_MAX`](Self::NAME_MAX) characters, none of
    /// which controls anything; and whether its kind may.
    ///
    /// # Errors
    ///
    /// See [`NameError`].
    pub fn check(&self) -> Result<(), NameError> {
        check_word(self.name())?;
        check_word(self.kind()).or(Err(NameError::Kind))
    }

    /// The identity of the mesh.
    #[must_use]
    pub fn id(&self) -> MeshId {
        self.0.id
    }

    /// The name that the user gave the mesh.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The kind of its ranks: the `mesh_kind` label of metrics.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }
}

impl TryFrom<LabelParts> for MeshLabel {
    type Error = NameError;

    fn try_from(parts: LabelParts) -> Result<Self, NameError> {
        let label = Self(Arc::new(parts));
        label.check()?;
        Ok(label)
    }
}

impl fmt::Display for MeshLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mesh {}", self.0.kind, self.0.name)
    }
}

fn check_word(word: &str) -> Result<(), NameError> {
    let (chars, max) = (word.chars().count(), MeshLabel::NAME_MAX);
    match word.chars().find(|c| c.is_control()) {
        _ if chars == 0 => Err(NameError::Empty),
        _ if chars > max => Err(NameError::TooLong { chars, max }),
        Some(control) => Err(NameError::Control(control)),
        None => Ok(()),
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $first:ident, $(#[$first_doc:meta])*) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            $(#[$first_doc])*
            pub const $first: Self = Self(0);

            /// The value with this number; for tests and for reading it off a wire.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The bare number.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }

            /// The one after this. Saturates: a counter of 2^64 steps is never reached.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// How many times a rank was started, given by the controller.
    ///
    /// A report of an older incarnation is stale and changes nothing (SWIM's word).
    Incarnation, FIRST,
    /// The first life of every rank.
}
counter! {
    /// The agent's counter of its reports about one rank, from 0 in each incarnation.
    Generation, FIRST,
    /// The first report about an incarnation.
}
counter! {
    /// Which controller: agents obey the highest they have heard and refuse lower ones.
    Epoch, FIRST,
    /// The first controller of a mesh.
}
counter! {
    /// The number of a beat that an agent sent. A controller echoes it to renew the lease.
    BeatSeq, FIRST,
    /// The first beat of an agent.
}
counter! {
    /// A subscriber of one controller: a number that its shell gives and maps to a queue.
    SubscriberId, FIRST,
    /// The first subscriber.
}

/// An agent of one mesh: its index in the controller's list of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(usize);

impl AgentId {
    /// The agent at `index` in the controller's list.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The index in the controller's list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
