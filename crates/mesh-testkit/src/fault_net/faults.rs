//! What a network may do to packets, and how sessions deal with it: [`Faults`], [`SessionConfig`].

use std::ops::RangeInclusive;
use std::time::Duration;

/// What a link does to each packet, one way.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mesh_testkit::fault_net::Faults;
///
/// let far = Duration::from_millis(80)..=Duration::from_millis(120);
/// let faults = Faults { delay: far, ..Faults::moderate() };
/// assert!(faults.loss < Faults::heavy().loss);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// How probable it is that a packet is lost, from 0 to 1.
    pub loss: f64,
    /// How probable it is that a packet arrives twice, each time after a delay of its own.
    pub duplication: f64,
    /// How probable it is that a packet is held back by up to two of the longest delays, so that later
    /// ones overtake it. The others keep their order.
    pub reordering: f64,
    /// How long a packet is on its way.
    pub delay: RangeInclusive<Duration>,
}

impl Faults {
    /// Nothing goes wrong: each packet arrives once, in order, after a millisecond.
    #[must_use]
    pub const fn none() -> Self {
        let delay = Duration::from_millis(1)..=Duration::from_millis(1);
        Self { loss: 0.0, duplication: 0.0, reordering: 0.0, delay }
    }

    /// A bad network: a packet in twenty is lost, as many arrive twice, and one in ten late.
    #[must_use]
    pub const fn moderate() -> Self {
        let delay = Duration::from_millis(1)..=Duration::from_millis(20);
        Self { loss: 0.05, duplication: 0.05, reordering: 0.1, delay }
    }

    /// A network that one would not stay on: a packet in four is lost, as many arrive twice or late.
    #[must_use]
    pub const fn heavy() -> Self {
        let delay = Duration::from_millis(1)..=Duration::from_millis(200);
        Self { loss: 0.25, duplication: 0.25, reordering: 0.25, delay }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

/// Limits and times of sessions. A time that is less than a millisecond is taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// How many envelopes a peer may have sent that nobody here has taken, besides answers; at least one.
    pub window: u64,
    /// How many bytes the body of an envelope may have.
    pub body_bytes_max: usize,
    /// How long an acknowledgement is waited for before a packet is sent again; twice as long each time.
    pub resend: Duration,
    /// How long at most.
    pub resend_max: Duration,
    /// How often something is said at least.
    pub keepalive: Duration,
    /// How long a peer may be silent, and how long what was sent may make no progress, before the session
    /// is lost. Several times `keepalive` and `resend_max`, so that a few losses do no harm.
    pub delivery: Duration,
    /// How long a dial may take.
    pub dial: Duration,
    /// How many events of the history are kept: the newest.
    pub history_max: usize,
}

impl SessionConfig {
    /// The same without what would let nothing go on, or overflow a clock: no time is less than a
    /// millisecond or more than a hundred years, and no window is closed for ever.
    pub(crate) fn bounded(self) -> Self {
        let bounded = |time: Duration| time.clamp(SHORTEST, LONGEST);
        Self {
            window: self.window.clamp(1, WINDOW_MAX),
            resend: bounded(self.resend),
            resend_max: bounded(self.resend_max),
            keepalive: bounded(self.keepalive),
            delivery: bounded(self.delivery),
            dial: bounded(self.dial),
            ..self
        }
    }
}

/// Times that are shorter would have everything sent again at once.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longer than any run.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// More than any memory holds.
const WINDOW_MAX: u64 = 1 << 32;

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            window: 64,
            body_bytes_max: 16 * 1024 * 1024,
            resend: Duration::from_millis(100),
            resend_max: Duration::from_secs(1),
            keepalive: Duration::from_secs(1),
            delivery: Duration::from_secs(10),
            dial: Duration::from_secs(5),
            history_max: 1 << 20,
        }
    }
}
