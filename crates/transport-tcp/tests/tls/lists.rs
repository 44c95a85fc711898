//! lists: what an authority has taken back, in as many lists as there are.

use mesh_core::Distrust;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use transport_tcp::{Peers, Tls, TlsError, TlsPem};

use crate::authority::{Authority, Card, Face};

fn made(authority: &str, card: &Card, revoked: &str) -> Result<Tls, TlsError> {
    let pem = TlsPem {
        authority: authority.as_bytes(),
        chain: card.chain.as_bytes(),
        key: card.key.as_bytes(),
        revoked: revoked.as_bytes(),
    };
    Tls::from_pem(pem, Peers::with_roles(["agent"]).expect("it is a role"))
}

/// It would be read, and have no effect.
#[test]
fn a_list_of_somebody_else_is_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("others"));
    let card = ours.sign(&Face::of("agent/a"));
    let refused = |list: &str| made(&ours.pem(), &card, list).err();
    let foreign = TlsError::ForeignRevocations { issuer: "others".to_owned() };
    assert_eq!(refused(&other.revoking(1)), Some(foreign.clone()));
    assert_eq!(refused(&(ours.revoking(1) + &other.revoking(1))), Some(foreign));
    assert_eq!(refused(&ours.revoking(1)), None);
    // That of one that was replaced may still be there, as it may itself.
    let old = Authority::lasting("old", (2010, 2020));
    let both = made(&(old.pem() + &ours.pem()), &card, &(old.revoking(1) + &ours.revoking(1)));
    assert_eq!(both.err(), None);
}

/// A new list behind the old one in its file counts, and the old one does not stand for it.
#[test]
fn of_several_lists_the_newest_counts() {
    let authority = Authority::new("ours");
    let card = authority.sign(&Face { serial: 99, ..Face::of("agent/a") });
    let (old, new) =
        (authority.revoking_for(1, (2021, 2100)), authority.revoking_for(99, (2022, 2100)));
    for lists in [old.clone() + &new, new + &old] {
        let refused = made(&authority.pem(), &card, &lists).err();
        assert_eq!(refused, Some(TlsError::Distrusted(Distrust::Revoked)));
    }
}

/// What was taken back stays so, and what was taken back since is not known: that is shown.
#[test]
fn a_list_that_is_overdue_counts_and_is_complained_of() {
    let authority = Authority::new("ours");
    let overdue = authority.revoking_for(99, (2020, 2021));
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    // By how much it has changed since this was asked last.
    let shown = || {
        let all = snapshotter.snapshot().into_vec().into_iter();
        let of = |name: &str| name == "meshwarden_revocations_overdue";
        let mut values = all.filter(|(key, ..)| of(key.key().name())).map(|(.., value)| value);
        values.next_back().map(|value| match value {
            DebugValue::Gauge(n) => n.into_inner(),
            other => panic!("{other:?} is no gauge"),
        })
    };
    metrics::with_local_recorder(&recorder, || {
        let good = authority.sign(&Face::of("agent/a"));
        let tls = made(&authority.pem(), &good, &overdue).unwrap();
        assert_eq!(shown(), Some(1.0));
        let (both, pem) = (overdue.clone() + &authority.revoking(99), authority.pem());
        let renewed = TlsPem {
            authority: pem.as_bytes(),
            chain: good.chain.as_bytes(),
            key: good.key.as_bytes(),
            revoked: both.as_bytes(),
        };
        assert_eq!(tls.renew_from_pem(renewed), Ok(()));
        assert_eq!(shown(), Some(-1.0), "a newer one has come");
        let bad = authority.sign(&Face { serial: 99, ..Face::of("agent/a") });
        let refused = made(&authority.pem(), &bad, &overdue).err();
        assert_eq!(refused, Some(TlsError::Distrusted(Distrust::Revoked)));
    });
}
