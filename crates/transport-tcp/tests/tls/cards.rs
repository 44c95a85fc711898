//! cards: every kind of bad certificate, shown by whoever dials and by whoever listens.

use std::sync::OnceLock;

use mesh_core::{DialError, Distrust, Lane, Transport};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use rcgen::ExtendedKeyUsagePurpose;
use transport_tcp::{Peers, TcpConfig};

use crate::authority::{Authority, Card, Face};
use crate::sessions::secured;
use crate::stranger::{self, Speech};
use crate::support::{Ear, listening, port, transport, until};

/// One of ours, that trusts an authority and lets in agents of two hosts.
struct World {
    authority: Authority,
    config: TcpConfig,
}

/// The number of the certificate that was taken back.
const REVOKED: u64 = 99;

impl World {
    fn new() -> Self {
        let authority = Authority::new("ours");
        let card = authority.sign(&Face::of("agent/a"));
        let peers = Peers::with_roles(["agent"]).and_then(|all| all.on_hosts(["a", "b"]));
        let tls =
            authority.tls_with(&card, peers.expect("they are names"), &authority.revoking(REVOKED));
        Self { authority, config: secured(tls) }
    }

    /// Why we do not talk to who listens with `card`.
    async fn dials(&self, card: &Card, speech: Speech) -> DialError {
        let at = stranger::listens(card, speech).await;
        let (here, there) = (Ear::new(1, 0), Ear::new(2, 0).peer().proc);
        let dialled = transport(self.config.clone()).dial(&at, there, Lane::Control, here).await;
        match dialled.err() {
            Some(DialError::Untrusted { to, why }) => {
                assert_eq!(to, at);
                DialError::Untrusted { to, why }
            }
            other => panic!("it was not distrusted: {other:?}"),
        }
    }

    /// Fails if who dials with `card` gets in, or is refused and not counted for `reason`.
    async fn listens(&self, (what, reason): (&str, &str), card: Option<&Card>, speech: Speech) {
        let there = Ear::new(2, 0);
        let (_listener, at) = listening(&there, Lane::Control, self.config.clone()).await;
        let said = stranger::dials(port(&at), card, speech).await;
        assert_eq!(said, [], "{what}");
        until(what, || refusals().contains(&(reason.to_owned(), 1))).await;
        assert_eq!(there.heard().back.len(), 0, "{what}");
    }
}

/// How often somebody was refused for which reason, since this was asked last.
fn refusals() -> Vec<(String, u64)> {
    static SNAPSHOTTER: OnceLock<Snapshotter> = OnceLock::new();
    let snapshotter = SNAPSHOTTER.get_or_init(|| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().expect("there is no other");
        snapshotter
    });
    let all = snapshotter.snapshot().into_vec().into_iter();
    let reasons = all.filter_map(|(key, _, _, value)| match value {
        DebugValue::Counter(n) if n > 0 => {
            let key = key.key();
            let reason = key.labels().find(|label| label.key() == "reason")?;
            let is_refusal = key.name() == "meshwarden_handshakes_refused_total";
            is_refusal.then(|| (reason.value().to_owned(), n))
        }
        _ => None,
    });
    reasons.collect()
}

fn bad_faces() -> Vec<(&'static str, &'static str, Face, Distrust)> {
    let good = || Face::of("agent/a");
    let uris = |uris: &[&str]| uris.iter().map(|&uri| uri.to_owned()).collect::<Vec<_>>();
    vec![
        (
            "expired",
            "certificate_expired",
            Face { years: (2020, 2021), ..good() },
            Distrust::Expired,
        ),
        (
            "not valid yet",
            "certificate_not_yet_valid",
            Face { years: (2099, 2100), ..good() },
            Distrust::NotYetValid,
        ),
        (
            "without a name",
            "certificate_nameless",
            Face { uris: vec![], ..good() },
            Distrust::Nameless,
        ),
        (
            "with two names",
            "certificate_nameless",
            Face { uris: uris(&["meshwarden:agent/a", "meshwarden:agent/b"]), ..good() },
            Distrust::Nameless,
        ),
        (
            "with a name that is none",
            "certificate_nameless",
            Face { uris: uris(&["meshwarden:agent/*"]), ..good() },
            Distrust::Nameless,
        ),
        (
            "of another role",
            "certificate_role",
            Face::of("client/a"),
            Distrust::Role("client/a".to_owned()),
        ),
        (
            "of another host",
            "certificate_host",
            Face::of("agent/c"),
            Distrust::Host("agent/c".to_owned()),
        ),
        ("revoked", "certificate_revoked", Face { serial: REVOKED, ..good() }, Distrust::Revoked),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_with_a_bad_certificate_is_not_talked_to() {
    let world = World::new();
    let why = async |card: &Card| match world.dials(card, Speech::OURS).await {
        DialError::Untrusted { why, .. } => why,
        other => panic!("{other}"),
    };
    for (what, _, face, expected) in bad_faces() {
        assert_eq!(why(&world.authority.sign(&face)).await, expected, "{what}");
    }
    let other = Authority::new("ours").sign(&Face::of("agent/a"));
    assert_eq!(why(&other).await, Distrust::UnknownIssuer, "an authority of the same name");
    assert_eq!(why(&Face::of("agent/a").self_signed()).await, Distrust::UnknownIssuer);
    let elsewhere = Face { addresses: vec!["192.0.2.1"], ..Face::of("agent/a") };
    assert_eq!(why(&world.authority.sign(&elsewhere)).await, Distrust::OtherHost);
    let client = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let wrong = Face { purposes: client, ..Face::of("agent/a") };
    assert_eq!(why(&world.authority.sign(&wrong)).await, Distrust::Purpose);
    assert_eq!(why(&world.authority.itself()).await, Distrust::Malformed, "an authority");
    // Whoever listens may choose the older version; we do not speak it.
    let old = world.dials(&world.authority.sign(&Face::of("agent/a")), Speech::OLD).await;
    assert!(matches!(old, DialError::Untrusted { why: Distrust::Ours, .. }), "{old}");
    for other in [Speech::WEB, Speech::UNSAID] {
        let other = world.dials(&world.authority.sign(&Face::of("agent/a")), other).await;
        assert!(matches!(other, DialError::Untrusted { why: Distrust::Protocol, .. }), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dials_with_a_bad_certificate_is_not_let_in() {
    refusals();
    let world = World::new();
    for (what, reason, face, _) in bad_faces() {
        world.listens((what, reason), Some(&world.authority.sign(&face)), Speech::OURS).await;
    }
    let other = Authority::new("ours").sign(&Face::of("agent/a"));
    world.listens(("of another authority", "certificate_issuer"), Some(&other), Speech::OURS).await;
    world
        .listens(
            ("signed by itself", "certificate_issuer"),
            Some(&Face::of("agent/a").self_signed()),
            Speech::OURS,
        )
        .await;
    let server = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let wrong = world.authority.sign(&Face { purposes: server, ..Face::of("agent/a") });
    world.listens(("for the other side", "certificate_purpose"), Some(&wrong), Speech::OURS).await;
    world
        .listens(("of an authority", "certificate"), Some(&world.authority.itself()), Speech::OURS)
        .await;
    world.listens(("none", "certificate_nameless"), None, Speech::OURS).await;
    let good = world.authority.sign(&Face::of("agent/b"));
    world.listens(("TLS 1.2", "no_tls"), Some(&good), Speech::OLD).await;
    // What is spoken within must be said, and be ours.
    world.listens(("another protocol", "protocol"), Some(&good), Speech::WEB).await;
    world.listens(("no protocol", "protocol"), Some(&good), Speech::UNSAID).await;
    // It is the certificate that the others fail by: with a good one there is an answer.
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Control, world.config.clone()).await;
    let tls = world.authority.tls(&good);
    let dialler = transport(secured(tls));
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Control, Ear::new(1, 0)).await;
    assert!(dialled.is_ok(), "{:?}", dialled.err());
}

/// Whoever dials hears that it is its own certificate that was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_certificate_is_refused_is_told() {
    let world = World::new();
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Control, world.config.clone()).await;
    // It does not know itself that it was taken back.
    let revoked = world.authority.sign(&Face { serial: REVOKED, ..Face::of("agent/b") });
    let dialler = transport(secured(world.authority.tls(&revoked)));
    let dialled = dialler.dial(&at, there.peer().proc, Lane::Control, Ear::new(1, 0)).await;
    let ours = DialError::Untrusted { to: at, why: Distrust::Ours };
    assert_eq!(dialled.err(), Some(ours));
}
