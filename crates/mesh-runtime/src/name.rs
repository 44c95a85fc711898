//! What an actor is called.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name of an actor: that of its type, or one that it was given. Cheap to clone.
///
/// For people: names need not be unique.
#[derive(Clone)]
pub struct Name(Kind);

#[derive(Clone)]
enum Kind {
    OfType(&'static str),
    Given(Arc<str>),
}

impl Name {
    pub(crate) const fn of_type(name: &'static str) -> Self {
        Self(Kind::OfType(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::OfType(name) => name,
            Kind::Given(name) => name,
        }
    }
}

impl<T: AsRef<str>> From<T> for Name {
    fn from(name: T) -> Self {
        Self(Kind::Given(name.as_ref().into()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
