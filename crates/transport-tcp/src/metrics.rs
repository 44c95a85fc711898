//! Every metric of this crate: its name, unit and labels.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::{Addr, Distrust, Lane};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::handshake::Refused;
use crate::wire::Malformed;

/// Sessions that live, by `lane`.
const SESSIONS: &str = "meshwarden_sessions";
/// Connections that were made again for a session, by `lane`.
const RECONNECTS_TOTAL: &str = "meshwarden_reconnects_total";
/// Bytes that were written to connections, by `lane`.
const SENT_BYTES_TOTAL: &str = "meshwarden_sent_bytes_total";
/// Bytes that were read from connections, by `lane`.
const RECEIVED_BYTES_TOTAL: &str = "meshwarden_received_bytes_total";
/// Frames that were written: envelopes, acknowledgements, pings; by `lane`.
const SENT_FRAMES_TOTAL: &str = "meshwarden_sent_frames_total";
/// Frames that were read, by `lane`.
const RECEIVED_FRAMES_TOTAL: &str = "meshwarden_received_frames_total";
/// Envelopes that were written again on another connection, by `lane`.
const RETRANSMITS_TOTAL: &str = "meshwarden_retransmits_total";
/// Bytes that are kept until they are acknowledged, by `lane`.
const UNACKED_BYTES: &str = "meshwarden_unacked_bytes";
/// From a write until it is acknowledged, or from a ping until it is answered, by `lane`. Where nothing is said in
/// return, an acknowledgement waits for up to 40 ms, and for twice that if others went meanwhile.
const ROUND_TRIP_SECONDS: &str = "meshwarden_round_trip_seconds";
/// Sessions that were lost, by `lane`.
const LOST_TOTAL: &str = "meshwarden_sessions_lost_total";
/// Connections that did not become a peer, by `reason`.
const REFUSED_TOTAL: &str = "meshwarden_handshakes_refused_total";
/// Frames of peers that ended their sessions, by `reason`.
const FRAMES_REFUSED_TOTAL: &str = "meshwarden_frames_refused_total";
/// Connections that were given up since the certificate of the other side is trusted no more, by `reason`.
const DISTRUSTED_TOTAL: &str = "meshwarden_connections_distrusted_total";
/// Revocation lists in use of which the next is overdue.
const OVERDUE: &str = "meshwarden_revocations_overdue";
/// Addresses that other machines can reach without TLS.
const INSECURE: &str = "meshwarden_insecure";

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it.
pub fn describe() {
    describe_gauge!(SESSIONS, Unit::Count, "Sessions with other processes.");
    describe_counter!(RECONNECTS_TOTAL, Unit::Count, "Connections made again for a session.");
    describe_counter!(SENT_BYTES_TOTAL, Unit::Bytes, "Bytes written to connections.");
    describe_counter!(RECEIVED_BYTES_TOTAL, Unit::Bytes, "Bytes read from connections.");
    describe_counter!(SENT_FRAMES_TOTAL, Unit::Count, "Frames written to connections.");
    describe_counter!(RECEIVED_FRAMES_TOTAL, Unit::Count, "Frames read from connections.");
    describe_counter!(RETRANSMITS_TOTAL, Unit::Count, "Messages written again after a reconnect.");
    describe_gauge!(UNACKED_BYTES, Unit::Bytes, "Bytes kept until they are acknowledged.");
    describe_histogram!(
        ROUND_TRIP_SECONDS,
        Unit::Seconds,
        "From a write until it is acknowledged, of one write in 16, and from a ping to its answer."
    );
    describe_counter!(LOST_TOTAL, Unit::Count, "Sessions that were lost.");
    describe_counter!(REFUSED_TOTAL, Unit::Count, "Connections that did not become a peer.");
    describe_counter!(
        FRAMES_REFUSED_TOTAL,
        Unit::Count,
        "Frames of peers that broke the protocol."
    );
    describe_counter!(
        DISTRUSTED_TOTAL,
        Unit::Count,
        "Connections given up since a certificate is trusted no more."
    );
    describe_gauge!(OVERDUE, Unit::Count, "Revocation lists of which the next is overdue.");
    describe_gauge!(
        INSECURE,
        Unit::Count,
        "Addresses where other machines are listened to without TLS."
    );
}

/// The metrics of one session.
#[derive(Debug)]
pub(crate) struct SessionMetrics {
    alive: Gauge,
    reconnects: Counter,
    retransmits: Counter,
    lost: Counter,
    sent_bytes: Counter,
    sent_frames: Counter,
    received_bytes: Counter,
    received_frames: Counter,
    /// Of all sessions of the lane, and what this one has added to it.
    unacked: Gauge,
    unacked_here: AtomicUsize,
    round_trip: Histogram,
}

impl SessionMetrics {
    pub(crate) fn new(lane: Lane) -> Self {
        let lane = lane.label();
        let alive = gauge!(SESSIONS, "lane" => lane);
        alive.increment(1.0);
        Self {
            alive,
            reconnects: counter!(RECONNECTS_TOTAL, "lane" => lane),
            retransmits: counter!(RETRANSMITS_TOTAL, "lane" => lane),
            lost: counter!(LOST_TOTAL, "lane" => lane),
            sent_bytes: counter!(SENT_BYTES_TOTAL, "lane" => lane),
            sent_frames: counter!(SENT_FRAMES_TOTAL, "lane" => lane),
            received_bytes: counter!(RECEIVED_BYTES_TOTAL, "lane" => lane),
            received_frames: counter!(RECEIVED_FRAMES_TOTAL, "lane" => lane),
            unacked: gauge!(UNACKED_BYTES, "lane" => lane),
            unacked_here: AtomicUsize::new(0),
            round_trip: histogram!(ROUND_TRIP_SECONDS, "lane" => lane),
        }
    }

    /// Another connection carries the session, on which so many envelopes are written again.
    pub(crate) fn reconnected(&self, n_again: u64) {
        self.reconnects.increment(1);
        self.retransmits.increment(n_again);
    }

    /// So many frames have gone to the connection, together.
    pub(crate) fn wrote(&self, n_frames: u64, n_bytes: usize) {
        self.sent_frames.increment(n_frames);
        self.sent_bytes.increment(n_bytes as u64);
    }

    /// So many bytes have come.
    pub(crate) fn read(&self, n_bytes: usize) {
        self.received_bytes.increment(n_bytes as u64);
    }

    /// So many frames were in them.
    pub(crate) fn received(&self, n_frames: usize) {
        self.received_frames.increment(n_frames as u64);
    }

    /// So many bytes are kept until they are acknowledged. Asked for under the lock of the session.
    pub(crate) fn keeps(&self, n_bytes: usize) {
        let before = self.unacked_here.swap(n_bytes, Ordering::Relaxed);
        if n_bytes > before {
            self.unacked.increment((n_bytes - before) as f64);
        } else if n_bytes < before {
            self.unacked.decrement((before - n_bytes) as f64);
        }
    }

    /// The peer has answered within this time.
    pub(crate) fn round_trip(&self, within: Duration) {
        self.round_trip.record(within);
    }

    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }
}

impl Drop for SessionMetrics {
    fn drop(&mut self) {
        self.alive.decrement(1.0);
        self.keeps(0);
    }
}

/// An address that other machines can reach without TLS. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Insecure(Gauge);

impl Insecure {
    pub(crate) fn new(at: &Addr) -> Self {
        tracing::warn!(%at, "other machines are listened to without TLS, as was asked for");
        let open = gauge!(INSECURE);
        open.increment(1.0);
        Self(open)
    }
}

impl Drop for Insecure {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Revocation lists that are overdue. They are counted until it is dropped.
#[cfg(feature = "tls")]
pub(crate) struct OverdueLists {
    overdue: Gauge,
    here: AtomicUsize,
}

#[cfg(feature = "tls")]
impl OverdueLists {
    /// So many are.
    pub(crate) fn are(&self, n: usize) {
        let before = self.here.swap(n, Ordering::Relaxed);
        self.overdue.increment(n as f64 - before as f64);
    }
}

#[cfg(feature = "tls")]
impl Default for OverdueLists {
    fn default() -> Self {
        Self { overdue: gauge!(OVERDUE), here: AtomicUsize::new(0) }
    }
}

#[cfg(feature = "tls")]
impl Drop for OverdueLists {
    fn drop(&mut self) {
        self.are(0);
    }
}

/// A connection is given up: the certificate of the other side is trusted no more.
pub(crate) fn distrusted_later(why: &Distrust) {
    counter!(DISTRUSTED_TOTAL, "reason" => distrusted(why)).increment(1);
}

/// A connection did not become a peer.
pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED_TOTAL, "reason" => reason).increment(1);
}

/// A peer has broken the protocol.
pub(crate) fn frame_refused(reason: &'static str) {
    counter!(FRAMES_REFUSED_TOTAL, "reason" => reason).increment(1);
}

/// The value of the `reason` label for a frame.
pub(crate) const fn malformed(why: &Malformed) -> &'static str {
    match why {
        Malformed::TooLong { .. } => "too_long",
        Malformed::UnknownKind(_) => "unknown_kind",
        Malformed::Garbled => "garbled",
    }
}

/// The value of the `reason` label.
pub(crate) const fn reason(refused: Refused) -> &'static str {
    match refused {
        Refused::Garbled => "garbled",
        Refused::Version(_) => "version",
        Refused::Stranger(_) => "stranger",
        Refused::OtherProgram => "other_program",
        Refused::Unauthenticated => "unauthenticated",
        Refused::Tls => "tls_on_plain",
    }
}

/// The value of the `reason` label for a certificate.
pub(crate) const fn distrusted(why: &Distrust) -> &'static str {
    match why {
        Distrust::NoTls => "no_tls",
        Distrust::Expired => "certificate_expired",
        Distrust::NotYetValid => "certificate_not_yet_valid",
        Distrust::UnknownIssuer => "certificate_issuer",
        Distrust::Revoked => "certificate_revoked",
        Distrust::Nameless => "certificate_nameless",
        Distrust::Role(_) => "certificate_role",
        Distrust::Host(_) | Distrust::OtherHost => "certificate_host",
        Distrust::Purpose => "certificate_purpose",
        Distrust::Protocol => "protocol",
        Distrust::Ours => "certificate_ours",
        _ => "certificate",
    }
}
