//! The times of supervision, all derived from one lease, and the rules of restarting.

use std::time::Duration;

/// How a mesh is supervised. A plain value with no `Default`: a preset says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// When silence means what.
    pub times: Times,
    /// What happens to a rank that has ended.
    pub restart: RestartConfig,
}

impl Config {
    /// For ranks on this machine: a lease of 4 s, no restarts.
    #[must_use]
    pub const fn local() -> Self {
        Self { times: Times::local(), restart: RestartConfig::NEVER }
    }

    /// For ranks in one data centre: a lease of 10 s, no restarts.
    #[must_use]
    pub const fn lan() -> Self {
        Self { times: Times::lan(), restart: RestartConfig::NEVER }
    }

    /// For ranks far apart: a lease of 30 s, no restarts.
    #[must_use]
    pub const fn wan() -> Self {
        Self { times: Times::wan(), restart: RestartConfig::NEVER }
    }

    /// Whether all of it can hold together.
    ///
    /// # Errors
    ///
    /// See [`Times::validate`] and [`RestartConfig::validate`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.times.validate()?;
        self.restart.validate()
    }
}

/// When silence means what. Everything follows from the lease; each may be set, and
/// [`validate`](Self::validate) refuses what cannot hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The silence after which an agent's ranks are given up: by then their leases have run out, also
    /// on a clock that is 1 % slow.
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
                "1.01 times the lease",
                self.lease.saturating_add(self.lease / 100),
            ),
        ];
        for (name, time, bound, minimum) in at_least {
            if time < minimum {
                return Err(ConfigError::TooShort { name, time, bound, minimum });
            }
        }
        Ok(())
    }
}

/// What happens to a rank that has ended (OTP's words).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartConfig {
    /// Which ends lead to a restart.
    pub policy: RestartPolicy,
    /// Restarts of the whole mesh allowed within `period` (OTP: intensity).
    pub max_restarts: u32,
    /// The sliding window in which restarts are counted; the whole life of the mesh if `None`.
    pub period: Option<Duration>,
    /// The delay before the first restart of a rank; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
}

impl RestartConfig {
    /// A rank that has ended stays so.
    pub const NEVER: Self = Self {
        policy: RestartPolicy::Temporary,
        max_restarts: 0,
        period: None,
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
    };

    /// Ranks that fail are restarted, up to `max_restarts` times in the life of the mesh.
    #[must_use]
    pub const fn on_failure(max_restarts: u32) -> Self {
        Self { policy: RestartPolicy::Transient, max_restarts, ..Self::NEVER }
    }

    /// Whether the bounds bound anything.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Zero`] if the period or the first delay is zero: restarts would have no bound.
    /// - [`ConfigError::TooShort`] if the longest delay is shorter than the first.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.backoff_min, self.backoff_max);
        if self.period.is_some_and(|period| period.is_zero()) {
            return Err(ConfigError::Zero { name: "restart_period" });
        }
        if min.is_zero() {
            return Err(ConfigError::Zero { name: "backoff_min" });
        }
        if max < min {
            let (name, bound) = ("backoff_max", "backoff_min");
            return Err(ConfigError::TooShort { name, time: max, bound, minimum: min });
        }
        Ok(())
    }
}

/// Which ends lead to a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Every end, also a good one.
    Permanent,
    /// An abnormal end.
    Transient,
    /// None.
    Temporary,
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
    fn restarts_without_bound_are_refused() {
        let ok = RestartConfig::on_failure(3);
        assert_eq!(ok.validate(), Ok(()));
        let second = Duration::from_secs(1);
        let refused = [
            (RestartConfig { period: Some(Duration::ZERO), ..ok }, "restart_period"),
            (RestartConfig { backoff_min: Duration::ZERO, ..ok }, "backoff_min"),
            (RestartConfig { backoff_min: second * 2, backoff_max: second, ..ok }, "backoff_max"),
        ];
        for (config, named) in refused {
            let error = config.validate().unwrap_err();
            assert!(error.to_string().starts_with(named), "{error}");
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
        let times = Times { timeout: lan.lease, ..lan };
        assert!(matches!(times.validate(), Err(ConfigError::TooShort { name: "timeout", .. })));
        let times = Times { check: Duration::ZERO, ..lan };
        assert_eq!(times.validate(), Err(ConfigError::Zero { name: "check" }));
        let times = Times { lease: Duration::from_millis(1), ..lan };
        assert_eq!(times.validate(), Err(ConfigError::Lease { lease: Duration::from_millis(1) }));
    }
}
