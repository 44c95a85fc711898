//! On which processors processes run.

use std::fmt;
use std::str::FromStr;

/// On which of the processors that its host may use a process runs. Its text is `none` or `core`.
///
/// # Examples
///
/// ```
/// use mesh_core::Bind;
///
/// assert_eq!("core".parse(), Ok(Bind::Core));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// On any.
    #[default]
    None,
    /// Each on one: the ranks of a host in their order take the processors that its agent may use, one
    /// of each physical core first, and begin anew when there are more ranks than processors. Ranks of
    /// other meshes, and of other hosts of the same machine, take the same ones.
    Core,
}

/// A text is no [`Bind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected none or core")]
pub struct BindError;

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        match text {
            "none" => Ok(Self::None),
            "core" => Ok(Self::Core),
            _ => Err(BindError),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Core => "core",
        })
    }
}
