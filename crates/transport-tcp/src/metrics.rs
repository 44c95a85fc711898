//! Every metric of this crate: its name, unit and labels.

use mesh_core::{Addr, Distrust, Lane};
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::handshake::Refused;
use crate::wire::Malformed;

/// Sessions that live, by `lane`.
const SESSIONS: &str = "meshwarden_sessions";
/// Connections that were made again for a session, by `lane`.
const RECONNECTS_TOTAL: &str = "meshwarden_reconnects_total";
/// Sessions that were lost, by `lane`.
const LOST_TOTAL: &str = "meshwarden_sessions_lost_total";
/// Connections that did not become a peer, by `reason`.
const REFUSED_TOTAL: &str = "meshwarden_handshakes_refused_total";
/// Frames of peers that ended their sessions, by `reason`.
const FRAMES_REFUSED_TOTAL: &str = "meshwarden_frames_refused_total";
/// Addresses that other machines can reach without TLS.
const INSECURE: &str = "meshwarden_insecure";

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it.
pub fn describe() {
    describe_gauge!(SESSIONS, Unit::Count, "Sessions with other processes.");
    describe_counter!(RECONNECTS_TOTAL, Unit::Count, "Connections made again for a session.");
    describe_counter!(LOST_TOTAL, Unit::Count, "Sessions that were lost.");
    describe_counter!(REFUSED_TOTAL, Unit::Count, "Connections that did not become a peer.");
    describe_counter!(
        FRAMES_REFUSED_TOTAL,
        Unit::Count,
        "Frames of peers that broke the protocol."
    );
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
    lost: Counter,
}

impl SessionMetrics {
    pub(crate) fn new(lane: Lane) -> Self {
        let lane = lane.label();
        let alive = gauge!(SESSIONS, "lane" => lane);
        alive.increment(1.0);
        Self {
            alive,
            reconnects: counter!(RECONNECTS_TOTAL, "lane" => lane),
            lost: counter!(LOST_TOTAL, "lane" => lane),
        }
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.increment(1);
    }

    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }
}

impl Drop for SessionMetrics {
    fn drop(&mut self) {
        self.alive.decrement(1.0);
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
