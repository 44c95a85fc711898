//! How sessions behave: limits and times.

use std::time::Duration;

use mesh_core::{Addr, Lane, ProcId};
use tokio::time::Instant;

use crate::connection::{Limits, Side};
use crate::rhythm::Rhythm;
use crate::secret::Secret;
use crate::tls::Tls;

/// Limits and times of a transport. A preset says what it is for; every number may be changed.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// What proves that a process belongs to the mesh.
    pub secret: Secret,
    /// How long a connection and its handshake may take.
    pub handshake: Duration,
    /// How long a session lives without a connection. More than zero.
    pub no_contact: Duration,
    /// On the lanes of control and liveness: how often something is said at least. Whoever has dialled asks,
    /// and the other answers.
    pub ping: Duration,
    /// On the lanes of control and liveness: after what silence a connection is given up. At least three
    /// times `ping`, so that two that are lost do no harm.
    pub silence: Duration,
    /// How many bytes a peer may have sent that nobody here has taken, for each session.
    pub window: u64,
    /// How long a frame may be on the lanes of control and liveness.
    pub control_frame_max: usize,
    /// How long a frame may be on the data lane.
    pub data_frame_max: usize,
    /// How many connections may be in their handshake; others wait in the accept queue.
    pub unauthenticated_max: usize,
    /// How many of them may come from one address of another machine, or from one network of IPv6 (64 bits);
    /// more are closed.
    pub unauthenticated_per_address_max: usize,
    /// Who we are to other machines, and whom we trust there. On loopback, and over Unix sockets, the secret
    /// is enough.
    pub tls: Option<Tls>,
    /// Addresses off loopback that are listened at and dialled without TLS all the same, exactly as they are
    /// named here: for networks that nobody else is on. Whoever can read what is sent there can read it all,
    /// and whoever can change it can run programs on this machine.
    pub insecure: Vec<Addr>,
}

/// Numbers that cannot hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A time is zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// Two lost pings would end a connection.
    #[error("a silence of {silence:?} must be at least three pings of {ping:?}")]
    Silence {
        /// The silence.
        silence: Duration,
        /// The ping.
        ping: Duration,
    },
    /// A frame could not hold an acknowledgement, or the head of a message.
    #[error("a frame must be allowed at least {min} bytes")]
    FrameTooShort {
        /// The limit of the limit.
        min: usize,
    },
    /// A frame could be longer than its length can say.
    #[error("a frame may have at most {max} bytes")]
    FrameTooLong {
        /// The limit of the limit.
        max: usize,
    },
}

impl TcpConfig {
    /// For a mesh whose lease is `lease`: the times derive from it.
    #[must_use]
    pub const fn for_lease(secret: Secret, lease: Duration) -> Self {
        // Whole nanoseconds of the lease; a lease of centuries saturates.
        let nanos = lease.as_nanos();
        let lease = if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 };
        Self {
            secret,
            handshake: Duration::from_secs(5),
            no_contact: Duration::from_nanos(lease),
            ping: Duration::from_nanos(lease / 20),
            silence: Duration::from_nanos(lease / 10 * 3),
            window: 4 << 20,
            control_frame_max: 1 << 20,
            data_frame_max: 16 << 20,
            unauthenticated_max: 64,
            unauthenticated_per_address_max: 16,
            tls: None,
            insecure: Vec::new(),
        }
    }

    /// Refuses numbers that cannot hold together.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let times = [
            ("handshake", self.handshake.is_zero()),
            ("no_contact", self.no_contact.is_zero()),
            ("ping", self.ping.is_zero()),
            ("window", self.window == 0),
            ("unauthenticated_max", self.unauthenticated_max == 0),
            ("unauthenticated_per_address_max", self.unauthenticated_per_address_max == 0),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero(name));
        }
        if self.silence < self.ping.saturating_mul(3) {
            return Err(ConfigError::Silence { silence: self.silence, ping: self.ping });
        }
        if self.control_frame_max.min(self.data_frame_max) < FRAME_MIN {
            return Err(ConfigError::FrameTooShort { min: FRAME_MIN });
        }
        if self.control_frame_max.max(self.data_frame_max) > FRAME_MAX {
            return Err(ConfigError::FrameTooLong { max: FRAME_MAX });
        }
        Ok(())
    }

    /// What a connection of a lane is held to that a peer has made.
    pub(crate) const fn limits(&self, lane: Lane) -> Limits {
        let (watch, frame_max) = (self.watch(lane), self.frame_max(lane));
        Limits { watch, frame_max, side: Side::Accepted, asks: None }
    }

    /// The same of one that we have made: we ask whether the other side is there.
    pub(crate) fn limits_to(&self, peer: ProcId, lane: Lane, began: Instant) -> Limits {
        let limits = self.limits(lane);
        let asks = limits.watch.map(|(every, _)| Rhythm::new(began, every, peer));
        Limits { side: Side::Dialled, asks, ..limits }
    }

    pub(crate) const fn frame_max(&self, lane: Lane) -> usize {
        match lane {
            Lane::Control | Lane::Liveness => self.control_frame_max,
            Lane::Data => self.data_frame_max,
        }
    }

    const fn watch(&self, lane: Lane) -> Option<(Duration, Duration)> {
        match lane {
            Lane::Control | Lane::Liveness => Some((self.ping, self.silence)),
            // Bulk can hold up a ping, and that is no evidence of anything.
            Lane::Data => None,
        }
    }
}

/// Enough for every head, and for acknowledgements.
const FRAME_MIN: usize = 2 * crate::wire::HEAD_MAX;

/// A frame's length has 32 bits, and leaves some for itself.
const FRAME_MAX: usize = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn lan() -> TcpConfig {
        TcpConfig::for_lease(Secret::from_bytes([1; 32]), Duration::from_secs(10))
    }

    #[test]
    fn times_derive_from_the_lease() {
        let config = lan();
        assert_eq!(config.check(), Ok(()));
        let times = [config.no_contact, config.ping, config.silence];
        assert_eq!(times, [10_000, 500, 3_000].map(Duration::from_millis));
    }

    #[test]
    fn what_cannot_hold_together_is_refused() {
        assert_eq!(TcpConfig { window: 0, ..lan() }.check(), Err(ConfigError::Zero("window")));
        let (silence, ping) = (Duration::from_secs(1), Duration::from_millis(500));
        let error = ConfigError::Silence { silence, ping };
        assert_eq!(TcpConfig { silence, ..lan() }.check(), Err(error));
        let long = TcpConfig { data_frame_max: usize::MAX, ..lan() };
        assert_eq!(long.check(), Err(ConfigError::FrameTooLong { max: 1 << 31 }));
        let short = TcpConfig { data_frame_max: 16, ..lan() };
        assert_eq!(short.check(), Err(ConfigError::FrameTooShort { min: 128 * 1024 }));
        let ever = TcpConfig::for_lease(Secret::from_bytes([1; 32]), Duration::MAX);
        assert_eq!((ever.check(), ever.no_contact), (Ok(()), Duration::from_nanos(u64::MAX)));
    }
}
