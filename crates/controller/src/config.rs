//! The times of supervision, all derived from one lease; the rules of restarting; the limits.

use std::time::Duration;

use mesh_core::{RestartConfig, RestartError};
use serde::{Deserialize, Serialize};

/// How a mesh is supervised. A plain value with no `Default`: a preset says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When silence means what.
    pub times: Times,
    /// What happens to a rank that has ended.
    pub restart: RestartConfig,
    /// How many may be told and may wait.
    pub limits: Limits,
}

impl Config {
    /// For ranks on this machine: a lease of 4 s, no restarts.
    #[must_use]
    pub const fn local() -> Self {
        Self::from_times(Times::local())
    }

    /// For ranks in one data centre: a lease of 10 s, no restarts.
    #[must_use]
    pub const fn lan() -> Self {
        Self::from_times(Times::lan())
    }

    /// For ranks far apart: a lease of 30 s, no restarts.
    #[must_use]
    pub const fn wan() -> Self {
        Self::from_times(Times::wan())
    }

    /// With these times: no restarts, large limits.
    #[must_use]
    pub const fn from_times(times: Times) -> Self {
        Self { times, restart: RestartConfig::NEVER, limits: Limits::LARGE }
    }

    /// Whether all of it can hold together.
    ///
    /// # Errors
    ///
    /// See [`Times::validate`] and [`RestartConfig::validate`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.times.validate()?;
        Ok(self.restart.validate()?)
    }
}

/// When silence means what. Everything follows from the lease; each may be set, and
/// [`validate`](Self::validate) refuses what cannot hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How long an agent keeps its ranks without hearing that its beats are heard.
    pub lease: Duration,
    /// How often an agent beats.
    pub heartbeat: Duration,
    /// The silence after which an agent's ranks are `Suspect`. At least three heartbeats, so that two
    /// lost ones do no harm.
    pub suspect: Duration,
    /// How often the controller polls, and tells its subscribers that it lives.
    pub check: Duration,
    /// How long a poll may take. At most a check period, so that one is in flight at most.
    pub poll_deadline: Duration,
    /// The silence after which an agent's ranks are `Unreachable`.
    pub unreachable: Duration,
    /// The silence after which an agent's ranks are given up: by then their leases have run out and
    /// they were culled, also if the clocks differ by 2 %. At least 1.03 (T + max(1 s, T/10)).
    pub timeout: Duration,
}

impl Times {
    /// The shortest lease that can be kept on a busy machine.
    pub const LEASE_MIN: Duration = Duration::from_millis(200);
    /// The longest lease: more is a unit mistaken.
    pub const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// For ranks on this machine.
    #[must_use]
    pub const fn local() -> Self {
        Self::from_lease(Duration::from_secs(4))
    }

    /// For ranks in one data centre.
    #[must_use]
    pub const fn lan() -> Self {
        Self::from_lease(Duration::from_secs(10))
    }

    /// For ranks far apart.
    #[must_use]
    pub const fn wan() -> Self {
        Self::from_lease(Duration::from_secs(30))
    }

    /// All times from the lease `T`: heartbeat T/20, suspect T/5, check T/4, poll deadline T/5,
    /// unreachable 7T/20, timeout 1.01 T + max(2 s, T/5).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use controller::Times;
    ///
    /// let times = Times::from_lease(Duration::from_secs(10));
    /// assert_eq!(times.unreachable, Duration::from_millis(3_500));
    /// assert_eq!(times.timeout, Duration::from_millis(12_100));
    /// assert_eq!(times.validate(), Ok(()));
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it divides by numbers that are not zero")]
    pub const fn from_lease(lease: Duration) -> Self {
        let fifth = lease.checked_div(5).expect("5 is not zero");
        let twentieth = lease.checked_div(20).expect("20 is not zero");
        let hundredth = lease.checked_div(100).expect("100 is not zero");
        let two_seconds = Duration::from_secs(2);
        let slack = if fifth.as_nanos() > two_seconds.as_nanos() { fifth } else { two_seconds };
        Self {
            lease,
            heartbeat: twentieth,
            suspect: fifth,
            check: lease.checked_div(4).expect("4 is not zero"),
            poll_deadline: fifth,
            unreachable: twentieth.saturating_mul(7),
            timeout: lease.saturating_add(hundredth).saturating_add(slack),
        }
    }

    /// The shortest timeout after which no rank lives: an agent's clock may be 1 % slow, the
    /// controller's 1 % fast, and a cull takes up to max(1 s, T/10) (K2). The search in
    /// `silence/exhaustive.rs` finds two lives at less.
    fn timeout_min(&self) -> Duration {
        let cull = (self.lease / 10).max(Duration::from_secs(1));
        self.lease.saturating_add(cull).saturating_mul(103) / 100
    }

    /// Whether the times can hold together.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Lease`] if the lease is outside [`LEASE_MIN`](Self::LEASE_MIN) to
    ///   [`LEASE_MAX`](Self::LEASE_MAX).
    /// - [`ConfigError::Zero`] if a time is zero.
    /// - [`ConfigError::TooShort`] if a time is shorter than another needs it to be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.lease < Self::LEASE_MIN || self.lease > Self::LEASE_MAX {
            return Err(ConfigError::Lease { lease: self.lease });
        }
        let named = [
            ("heartbeat", self.heartbeat),
            ("check", self.check),
            ("poll_deadline", self.poll_deadline),
        ];
        if let Some((name, _)) = named.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(ConfigError::Zero { name });
        }
        let at_least = [
            ("suspect", self.suspect, "three heartbeats", self.heartbeat.saturating_mul(3)),
            ("check", self.check, "poll_deadline", self.poll_deadline),
            ("unreachable", self.unreachable, "suspect", self.suspect),
            ("lease", self.lease, "unreachable", self.unreachable),
            ("lease", self.lease, "check", self.check),
            (
                "timeout",
                self.timeout,
                "1.03 times (the lease and the time that a cull may take)",
                self.timeout_min(),
            ),
        ];
        for (name, time, bound, minimum) in at_least {
            if time < minimum {
                return Err(ConfigError::TooShort { name, time, bound, minimum });
            }
        }
        Ok(())
    }

    /// How long a handler of an actor, or the runtime of its process, may run without coming to an end
    /// until it is `Stalled`: as `asked`, or the lease: who works for as long as somebody may be silent
    /// until he is given up is told as working for long. It is no time of the controller's: agents and
    /// workers judge by it.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::TooShort`] if it is less than a heartbeat, which is as often as anybody looks.
    /// - [`ConfigError::TooLong`] if it is more than [`LEASE_MAX`](Self::LEASE_MAX).
    pub fn stalled_handler(&self, asked: Option<Duration>) -> Result<Duration, ConfigError> {
        let Some(time) = asked else { return Ok(self.lease) };
        let name = "stalled_handler";
        if time < self.heartbeat {
            let (bound, minimum) = ("a heartbeat", self.heartbeat);
            return Err(ConfigError::TooShort { name, time, bound, minimum });
        }
        if time > Self::LEASE_MAX {
            return Err(ConfigError::TooLong { name, time, maximum: Self::LEASE_MAX });
        }
        Ok(time)
    }
}

/// How many may be told, and may wait, at once. Whoever comes later is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Subscribers.
    pub subscribers: usize,
    /// Questions that wait for their answer: of stops and of waits.
    pub asks: usize,
}

impl Limits {
    /// More than a program needs, less than a machine minds.
    pub const LARGE: Self = Self { subscribers: 10_000, asks: 10_000 };
}

/// Why a configuration was refused. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The lease is out of bounds.
    #[error("a lease of {lease:?} is outside {:?} to {:?}", Times::LEASE_MIN, Times::LEASE_MAX)]
    Lease {
        /// The lease given.
        lease: Duration,
    },
    /// A time that must be more than zero is not.
    #[error("{name} must be more than zero")]
    Zero {
        /// The time.
        name: &'static str,
    },
    /// A time is shorter than another needs it to be.
    #[error("{name} is {time:?}, but must be at least {bound} ({minimum:?})")]
    TooShort {
        /// The time.
        name: &'static str,
        /// Its value.
        time: Duration,
        /// What it must be at least.
        bound: &'static str,
        /// The value of that.
        minimum: Duration,
    },
    /// A time is longer than any that makes sense: a unit mistaken.
    #[error("{name} is {time:?}, but can be {maximum:?} at most")]
    TooLong {
        /// The time.
        name: &'static str,
        /// Its value.
        time: Duration,
        /// What it can be at most.
        maximum: Duration,
    },
    /// The rules of restarting do not hold together.
    #[error(transparent)]
    Restart(#[from] RestartError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lease_within_bounds_gives_times_that_hold_together() {
        for lease in
            [Times::LEASE_MIN, Duration::from_secs(4), Duration::from_secs(30), Times::LEASE_MAX]
        {
            assert_eq!(Times::from_lease(lease).validate(), Ok(()), "{lease:?}");
        }
    }

    #[test]
    fn an_impossible_combination_is_refused_by_name() {
        let lan = Times::lan();
        let times = Times { suspect: lan.heartbeat * 2, ..lan };
        assert_eq!(
            times.validate(),
            Err(ConfigError::TooShort {
                name: "suspect",
                time: Duration::from_secs(1),
                bound: "three heartbeats",
                minimum: Duration::from_millis(1_500),
            })
        );
        let times = Times { timeout: Duration::from_millis(11_329), ..lan };
        assert!(matches!(times.validate(), Err(ConfigError::TooShort { name: "timeout", .. })));
        let times = Times { timeout: Duration::from_millis(11_330), ..lan };
        assert_eq!(times.validate(), Ok(()));
        let times = Times { check: Duration::ZERO, ..lan };
        assert_eq!(times.validate(), Err(ConfigError::Zero { name: "check" }));
        let times = Times { lease: Duration::from_millis(1), ..lan };
        assert_eq!(times.validate(), Err(ConfigError::Lease { lease: Duration::from_millis(1) }));
    }

    #[test]
    fn a_handler_may_take_a_lease_or_what_was_asked_within_bounds() {
        let lan = Times::lan();
        assert_eq!(lan.stalled_handler(None), Ok(lan.lease));
        assert_eq!(lan.stalled_handler(Some(lan.heartbeat)), Ok(lan.heartbeat));
        let short = lan.stalled_handler(Some(lan.heartbeat - Duration::from_nanos(1)));
        assert!(matches!(short, Err(ConfigError::TooShort { name: "stalled_handler", .. })));
        assert_eq!(lan.stalled_handler(Some(Times::LEASE_MAX)), Ok(Times::LEASE_MAX));
        let long = lan.stalled_handler(Some(Duration::MAX));
        assert!(matches!(long, Err(ConfigError::TooLong { name: "stalled_handler", .. })));
    }
}
