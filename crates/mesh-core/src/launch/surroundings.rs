//! What the processes of a mesh are started in.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{Bind, Cgroup, Resource, Rlimit, Umask};

/// What every process of a mesh is started in; what the caller has, where nothing else is said.
///
/// # Examples
///
/// ```
/// use mesh_core::{Inherit, Surroundings};
///
/// let surroundings = Surroundings {
///     dir: Some("/tmp".into()),
///     inherit: Inherit::Only(vec!["PATH".into(), "HOME".into()]),
///     ..Surroundings::default()
/// };
/// assert_eq!(surroundings.validate(), Ok(()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The working directory; the caller's if `None`.
    pub dir: Option<PathBuf>,
    /// What there is of the caller's environment, before the variables of the rank.
    pub inherit: Inherit,
    /// The mask of files that it makes; the caller's if `None`.
    pub umask: Option<Umask>,
    /// Its resource limits, each resource at most once; the caller's for those that are not there.
    pub rlimits: Vec<Rlimit>,
    /// On which processors it runs.
    pub bind: Bind,
    /// Whether it has a cgroup of its own, and what limits by that.
    pub cgroup: Cgroup,
}

/// What a process has of its caller's environment, as that was when the hosts were started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// All of it.
    #[default]
    All,
    /// Nothing.
    Nothing,
    /// The variables of these names, as far as the caller has them.
    Only(Vec<OsString>),
}

/// Why no process can be started in that, whatever the system says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SurroundingsError {
    /// [`Inherit::Only`] names nothing. That is most often a list that somebody forgot to fill.
    #[error("no variable to inherit is named: name some, or say that nothing is inherited")]
    EmptyInherit,
    /// No variable can have that name.
    #[error(
        "no variable can be named \"{}\": a name is not empty, and has no = and no zero byte",
        name.display()
    )]
    VariableName {
        /// The name.
        name: OsString,
    },
    /// A resource has two limits.
    #[error("the limit of {resource} is given twice")]
    RlimitTwice {
        /// The resource.
        resource: Resource,
    },
}

impl Surroundings {
    /// Whether there can be such at all. What only the system knows shows when a process is started.
    ///
    /// # Errors
    ///
    /// See [`SurroundingsError`].
    pub fn validate(&self) -> Result<(), SurroundingsError> {
        let mut seen = BTreeSet::new();
        match self.rlimits.iter().find(|limit| !seen.insert(limit.resource)) {
            Some(Rlimit { resource, .. }) => {
                Err(SurroundingsError::RlimitTwice { resource: *resource })
            }
            None => self.inherit.validate(),
        }
    }
}

impl Inherit {
    /// Whether it names variables that there can be.
    ///
    /// # Errors
    ///
    /// - [`SurroundingsError::EmptyInherit`] if it is an empty list.
    /// - [`SurroundingsError::VariableName`] for the first impossible name.
    pub fn validate(&self) -> Result<(), SurroundingsError> {
        let Self::Only(names) = self else { return Ok(()) };
        if names.is_empty() {
            return Err(SurroundingsError::EmptyInherit);
        }
        let is_name = |name: &OsString| {
            let bytes = name.as_encoded_bytes();
            !bytes.is_empty() && !bytes.contains(&b'=') && !bytes.contains(&0)
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(SurroundingsError::VariableName { name: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_one_limit() {
        let rlimits = |texts: &[&str]| Surroundings {
            rlimits: texts.iter().map(|text| text.parse().unwrap()).collect(),
            ..Surroundings::default()
        };
        assert_eq!(rlimits(&["core=0", "nofile=9"]).validate(), Ok(()));
        assert_eq!(
            rlimits(&["core=0:", "core=:9"]).validate(),
            Err(SurroundingsError::RlimitTwice { resource: Resource::Core })
        );
    }

    #[test]
    fn a_list_of_variables_names_some_that_there_can_be() {
        let only = |names: &[&str]| Inherit::Only(names.iter().map(Into::into).collect());
        let wrong = |name: &str| Err(SurroundingsError::VariableName { name: name.into() });
        assert_eq!(Inherit::All.validate(), Ok(()));
        assert_eq!(Inherit::Nothing.validate(), Ok(()));
        assert_eq!(only(&["PATH", "A b"]).validate(), Ok(()));
        assert_eq!(only(&[]).validate(), Err(SurroundingsError::EmptyInherit));
        assert_eq!(only(&["A", ""]).validate(), wrong(""));
        assert_eq!(only(&["A=b"]).validate(), wrong("A=b"));
        assert_eq!(only(&["A\0"]).validate(), wrong("A\0"));
    }
}
