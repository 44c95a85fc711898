//! Resource limits of a process, by the names of `prlimit(1)`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One resource limit of a process.
///
/// Its text is `name=both`, `name=soft:hard`, `name=soft:` or `name=:hard`, each a number, perhaps with
/// `K`, `M`, `G` or `T` (of 1,024) behind it, or `unlimited`. What is not given stays as the caller has
/// it.
///
/// # Examples
///
/// ```
/// use mesh_core::{Amount, Resource, Rlimit};
///
/// let limit: Rlimit = "nofile=4K".parse()?;
/// assert_eq!(limit.resource, Resource::Nofile);
/// assert_eq!((limit.soft, limit.hard), (Some(Amount::Of(4096)), Some(Amount::Of(4096))));
/// assert_eq!("core=unlimited:".parse::<Rlimit>()?.to_string(), "core=unlimited:");
/// # Ok::<(), mesh_core::RlimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit that holds, which the process itself may move up to the hard one.
    pub soft: Option<Amount>,
    /// The limit that only a privileged process can raise.
    pub hard: Option<Amount>,
}

/// How much of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Amount {
    /// So much, in the unit of the resource.
    Of(u64),
    /// As much as there is.
    Unlimited,
}

/// Why a text is no resource limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlimitError {
    /// There is no `=`.
    #[error("expected a resource, = and a limit, as in nofile=1024; found {text}")]
    NoValue {
        /// The text.
        text: String,
    },
    /// There is no such resource.
    #[error("there is no resource {name}; there are {}", Names)]
    UnknownResource {
        /// The name.
        name: String,
    },
    /// What stands for an amount is none.
    #[error("expected a number, perhaps with K, M, G or T, or unlimited; found {}", Quoted(text))]
    Amount {
        /// The text.
        text: String,
    },
    /// The limit that holds is higher than the one that it may be moved to.
    #[error("the soft limit of {resource} is above its hard limit: {soft} and {hard}")]
    SoftAboveHard {
        /// The resource.
        resource: Resource,
        /// The soft limit.
        soft: Amount,
        /// The hard limit.
        hard: Amount,
    },
}

macro_rules! resources {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// A resource that the system limits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Resource {
            $(#[doc = $doc] $variant,)*
        }

        impl Resource {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as `prlimit(1)` has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

resources! {
    As "as" "Address space, in bytes.",
    Core "core" "The size of a core file, in bytes.",
    Cpu "cpu" "Processor time, in seconds.",
    Data "data" "Private writable memory, in bytes.",
    Fsize "fsize" "The size of a file it writes, in bytes.",
    Locks "locks" "File locks.",
    Memlock "memlock" "Memory locked into RAM, in bytes.",
    Msgqueue "msgqueue" "POSIX message queues, in bytes.",
    Nice "nice" "20 minus the lowest nice value.",
    Nofile "nofile" "Open files.",
    Nproc "nproc" "Processes and threads of the user.",
    Rss "rss" "Resident memory, in bytes; Linux ignores it.",
    Rtprio "rtprio" "The real-time priority.",
    Rttime "rttime" "Real-time processor time without a blocking call, in microseconds.",
    Sigpending "sigpending" "Signals that wait.",
    Stack "stack" "The stack, in bytes.",
}

impl FromStr for Rlimit {
    type Err = RlimitError;

    fn from_str(text: &str) -> Result<Self, RlimitError> {
        let no_value = || RlimitError::NoValue { text: text.to_owned() };
        let (name, limits) = text.split_once('=').ok_or_else(no_value)?;
        let resource = name.parse()?;
        let amount = |text: &str| text.parse().map(Some);
        let (soft, hard) = match limits.split_once(':') {
            None => (amount(limits)?, amount(limits)?),
            Some((soft, "")) => (amount(soft)?, None),
            Some(("", hard)) => (None, amount(hard)?),
            Some((soft, hard)) => (amount(soft)?, amount(hard)?),
        };
        match (soft, hard) {
            (Some(soft), Some(hard)) if soft > hard => {
                Err(RlimitError::SoftAboveHard { resource, soft, hard })
            }
            _ => Ok(Self { resource, soft, hard }),
        }
    }
}

impl FromStr for Resource {
    type Err = RlimitError;

    fn from_str(text: &str) -> Result<Self, RlimitError> {
        let found = Self::ALL.iter().find(|resource| resource.name() == text);
        found.copied().ok_or_else(|| RlimitError::UnknownResource { name: text.to_owned() })
    }
}

impl FromStr for Amount {
    type Err = RlimitError;

    fn from_str(text: &str) -> Result<Self, RlimitError> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let wrong = || RlimitError::Amount { text: text.to_owned() };
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
            Some(b't' | b'T') => (&text[..text.len() - 1], 40),
            _ => (text, 0),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().ok().ok_or_else(wrong)?;
        let amount = number.checked_mul(1 << shift).filter(|amount| *amount < u64::MAX);
        amount.map(Self::Of).ok_or_else(wrong)
    }
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.resource)?;
        match (self.soft, self.hard) {
            (Some(soft), Some(hard)) if soft == hard => write!(f, "{soft}"),
            (soft, hard) => {
                let shown = |amount: Option<Amount>| amount.map(|it| it.to_string());
                let (soft, hard) = (shown(soft), shown(hard));
                write!(f, "{}:{}", soft.unwrap_or_default(), hard.unwrap_or_default())
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(amount) => write!(f, "{amount}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// The names of all resources.
struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, resource) in Resource::ALL.iter().enumerate() {
            write!(f, "{}{resource}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A text that may be empty.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("nothing") } else { f.write_str(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_it_is_shown() {
        for text in ["nofile=1024", "core=unlimited:", "cpu=:60", "nproc=1:2", "as=0:unlimited"] {
            assert_eq!(text.parse::<Rlimit>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
        let limit: Rlimit = "stack=8M:1g".parse().unwrap();
        assert_eq!(limit.to_string(), "stack=8388608:1073741824");
        assert_eq!("as=2:2".parse::<Rlimit>().unwrap().to_string(), "as=2");
    }

    #[test]
    fn what_is_no_limit_is_refused_with_the_reason() {
        let cases = [
            ("", "expected a resource"),
            ("nofile", "expected a resource, = and a limit, as in nofile=1024; found nofile"),
            ("NOFILE=1", "there is no resource NOFILE; there are as, core, cpu, data, fsize"),
            ("=1", "there is no resource ; there are"),
            ("nofile=", "found nothing"),
            ("nofile=:", "found nothing"),
            ("nofile=-1", "found -1"),
            ("nofile=+1", "found +1"),
            ("nofile=1e3", "found 1e3"),
            ("nofile=K", "found K"),
            ("nofile=1:2:3", "found 2:3"),
            ("nofile=16777216T", "found 16777216T"),
            ("nofile=18446744073709551615", "found 18446744073709551615"),
            ("nofile=2:1", "the soft limit of nofile is above its hard limit: 2 and 1"),
            ("core=unlimited:1", "above its hard limit: unlimited and 1"),
            ("nofile=1µ", "found 1µ"),
        ];
        for (text, says) in cases {
            let error = text.parse::<Rlimit>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
