//! later: a certificate that was good when a connection was made.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_core::{Lane, Lost, Transport};
use transport_tcp::{TcpConfig, Tls, TlsPem};

use crate::authority::{Authority, Card, Face};
use crate::sessions::secured;
use crate::support::{Ear, listening, send, transport, until};

/// How long a session lives without a connection.
const NO_CONTACT: Duration = Duration::from_millis(500);

fn brief(tls: Tls) -> TcpConfig {
    TcpConfig { no_contact: NO_CONTACT, ..secured(tls) }
}

fn renew(tls: &Tls, authority: &Authority, card: &Card, revoked: &str) {
    let authority = authority.pem();
    let pem = TlsPem {
        authority: authority.as_bytes(),
        chain: card.chain.as_bytes(),
        key: card.key.as_bytes(),
        revoked: revoked.as_bytes(),
    };
    assert_eq!(tls.renew_from_pem(pem), Ok(()));
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a certificate is good until some time of the wall clock"
)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}

/// Whichever side it is whose certificate expires, the session ends, unless there is another one by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_the_certificate_it_was_judged_by() {
    tokio::join!(
        expires(false, false),
        expires(true, false),
        expires(false, true),
        expires(true, true)
    );
}

async fn expires(is_listener: bool, is_renewed: bool) {
    let authority = Authority::new("ours");
    let good = || authority.sign(&Face::of("agent/a"));
    let until_second = now() + 3;
    let dated = authority.sign(&Face { until: Some(until_second), ..Face::of("agent/a") });
    let (dated, lasting) = (authority.tls(&dated), authority.tls(&good()));
    let [listens, dials] =
        if is_listener { [&dated, &lasting] } else { [&lasting, &dated] }.map(Tls::clone);
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, brief(listens)).await;
    let (dialler, peer) = (transport(brief(dials)), there.peer().proc);
    let out = dialler.dial(&at, peer, Lane::Data, here.clone()).await.expect("it is good");
    send(&*out, 0, 64).await;
    until("arriving", || there.heard().numbers == [0]).await;
    if is_renewed {
        renew(&dated, &authority, &good(), "");
        until("expiring", || now() > until_second + 1).await;
        send(&*out, 1, 64).await;
        until("arriving", || there.heard().numbers == [0, 1]).await;
        assert_eq!((here.heard().lost.len(), there.heard().lost.len()), (0, 0));
    } else {
        for (ear, other) in [(&here, &there), (&there, &here)] {
            until("ending", || !ear.heard().lost.is_empty()).await;
            assert_eq!(ear.heard().lost, [(other.peer(), Lost::NoContact(NO_CONTACT))]);
        }
        assert!(now() > until_second, "not before");
    }
}

/// Whoever is taken back is not only not let in again: it is shown out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_the_certificate_it_was_judged_by_is_taken_back() {
    let authority = Authority::new("ours");
    let ours = authority.sign(&Face::of("agent/a"));
    let theirs = authority.sign(&Face { serial: 99, ..Face::of("agent/b") });
    let other = authority.sign(&Face { serial: 98, ..Face::of("agent/c") });
    let tls = authority.tls(&ours);
    let (here, there, third) = (Ear::new(1, 0), Ear::new(2, 0), Ear::new(3, 0));
    let (_listener, at) = listening(&there, Lane::Data, brief(tls.clone())).await;
    let (one, another) =
        (transport(brief(authority.tls(&theirs))), transport(brief(authority.tls(&other))));
    let peer = there.peer().proc;
    let _out = one.dial(&at, peer, Lane::Data, here.clone()).await.unwrap();
    let stays = another.dial(&at, peer, Lane::Data, third.clone()).await.unwrap();
    renew(&tls, &authority, &ours, &authority.revoking(99));
    until("being shown out", || !there.heard().lost.is_empty()).await;
    assert_eq!(there.heard().lost, [(here.peer(), Lost::NoContact(NO_CONTACT))]);
    send(&*stays, 1, 64).await;
    until("arriving", || there.heard().numbers == [1]).await;
    assert_eq!(third.heard().lost, []);
}
