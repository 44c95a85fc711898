//! Which ends lead to a restart, of which ranks, and how many are too many: OTP's words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happens when a rank has ended.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mesh_core::{RestartConfig, Strategy};
///
/// // A training job: if one rank fails all begin again, at most three times an hour.
/// let restart = RestartConfig {
///     strategy: Strategy::OneForAll,
///     period: Some(Duration::from_secs(3_600)),
///     ..RestartConfig::on_failure(3)
/// };
/// assert_eq!(restart.validate(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartConfig {
    /// Which ends lead to a restart.
    pub policy: RestartPolicy,
    /// Which ranks are started again then.
    pub strategy: Strategy,
    /// Restarts of the whole mesh allowed within `period` (OTP: intensity). Under a strategy that
    /// restarts many ranks together, that counts once.
    pub max_restarts: u32,
    /// The sliding window in which restarts are counted; the whole life of the mesh if `None`.
    pub period: Option<Duration>,
    /// The delay before the first restart of a rank. It doubles with each further one, and is this
    /// again for a rank that has then lived for twice `backoff_max`.
    pub backoff_min: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
    /// How long a rank that is healthy, but is restarted because of another, may take to end by
    /// itself before it is killed.
    pub grace: Duration,
}

impl RestartConfig {
    /// A rank that has ended stays so.
    pub const NEVER: Self = Self {
        policy: RestartPolicy::Temporary,
        strategy: Strategy::OneForOne,
        max_restarts: 0,
        period: None,
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
        grace: Duration::from_secs(5),
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
    /// - [`RestartError::NoPeriod`] or [`RestartError::NoBackoff`] if a time is zero that keeps
    ///   restarts apart.
    /// - [`RestartError::Backoff`] if the longest delay is shorter than the first.
    pub fn validate(&self) -> Result<(), RestartError> {
        if self.period.is_some_and(|period| period.is_zero()) {
            return Err(RestartError::NoPeriod);
        }
        if self.backoff_min.is_zero() {
            return Err(RestartError::NoBackoff);
        }
        if self.backoff_max < self.backoff_min {
            return Err(RestartError::Backoff { min: self.backoff_min, max: self.backoff_max });
        }
        Ok(())
    }
}

/// Which ends lead to a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Every end, also a good one.
    Permanent,
    /// An abnormal end; and a good one that is none of its own: that of an actor which lived as its process ended well and
    /// begins again, as all do that start together with one that has failed.
    Transient,
    /// None.
    Temporary,
}

/// Which ranks are started again when one has ended that is to be.
///
/// Ranks that live are stopped first, and nothing starts before all of them have ended. Ranks that
/// had ended well before begin again with the others.
///
/// Where ranks start together, one that has failed and cannot be started again (nothing is there to be started, or
/// nowhere to begin) keeps the others from it. As an OTP supervisor then gives up, that escalates
/// ([`CannotStart`](crate::EscalationReason::CannotStart)): from then on no restart is granted, whatever fails; one that
/// was promised goes on. Whoever lives does, too, which is for the owner to judge (H7). One that has ended well where
/// nothing can begin any more is no failure, and escalates when others are to start together with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Strategy {
    /// That rank only.
    OneForOne,
    /// All ranks of the mesh. One that times out cannot be started again either: its agent is gone.
    OneForAll,
    /// That rank, and all of higher rank. When one times out the others go on: it escalates only if a lower rank is to
    /// be started again together with it.
    RestForOne,
}

/// Why rules of restarting were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// A window without width counts nothing.
    #[error("restart_period must be more than zero")]
    NoPeriod,
    /// Restarts without a delay can fill a machine.
    #[error("backoff_min must be more than zero")]
    NoBackoff,
    /// The longest delay is shorter than the first.
    #[error("backoff_max is {max:?}, but must be at least backoff_min ({min:?})")]
    Backoff {
        /// The first delay.
        min: Duration,
        /// The longest delay.
        max: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
