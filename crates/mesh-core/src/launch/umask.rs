//! The file mode creation mask of a process.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The permissions that files of a process do not get when it makes them. Its text is octal: `027`.
///
/// # Examples
///
/// ```
/// use mesh_core::Umask;
///
/// let mask: Umask = "027".parse()?;
/// assert_eq!(mask.bits(), 0o27);
/// # Ok::<(), mesh_core::UmaskError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Umask(u16);

/// A text is no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a mask of one to four octal digits, at most 0777, as in 027")]
pub struct UmaskError;

impl Umask {
    /// The permission bits of `bits`; what else is in it is left out, as `umask(2)` does.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0o777)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl FromStr for Umask {
    type Err = UmaskError;

    fn from_str(text: &str) -> Result<Self, UmaskError> {
        let is_octal =
            (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = u16::from_str_radix(text, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
        bits.map(Self).ok_or(UmaskError)
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_octal_and_has_permissions_only() {
        for (text, bits) in [("0", 0), ("22", 0o22), ("027", 0o27), ("0777", 0o777)] {
            assert_eq!(text.parse(), Ok(Umask::from_bits(bits)), "{text}");
        }
        for text in ["", "8", "1000", "+22", "00022", "0o22", "rwx"] {
            assert_eq!(text.parse::<Umask>(), Err(UmaskError), "{text}");
        }
        assert_eq!(Umask::from_bits(0o7022).to_string(), "022");
    }
}
