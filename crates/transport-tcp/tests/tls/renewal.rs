//! renewal: certificates change while a process lives; and roles are not mixed up.

use mesh_core::{DialError, Distrust, Lane, Transport};
use transport_tcp::{Peers, Tls, TlsError, TlsPem};

use crate::authority::{Authority, Card, Face};
use crate::sessions::secured;
use crate::stranger;
use crate::support::{Ear, listening, port, send, transport, until};

fn roles(roles: &[&str]) -> Peers {
    Peers::with_roles(roles.iter().copied()).expect("they are roles")
}

/// Renews `tls` with these.
fn renewed(tls: &Tls, authority: &str, card: &Card, revoked: &str) -> Result<(), TlsError> {
    tls.renew_from_pem(TlsPem {
        authority: authority.as_bytes(),
        chain: card.chain.as_bytes(),
        key: card.key.as_bytes(),
        revoked: revoked.as_bytes(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_renewed_holds_for_the_next_connection_and_disturbs_none() {
    let authority = Authority::new("ours");
    let ours = authority.sign(&Face::of("agent/a"));
    let theirs = authority.sign(&Face::of("agent/b"));
    let revoked = authority.sign(&Face { serial: 99, ..Face::of("agent/b") });
    let tls = authority.tls(&ours);
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Control, secured(tls.clone())).await;
    let (first, second) = (Ear::new(1, 0), Ear::new(3, 0));
    let dialler = transport(secured(authority.tls(&theirs)));
    let peer = there.peer().proc;
    let out = dialler.dial(&at, peer, Lane::Control, first.clone()).await.unwrap();
    // The clone that the listener has is renewed with it.
    assert_eq!(renewed(&tls, &authority.pem(), &ours, &authority.revoking(99)), Ok(()));
    let dialler = transport(secured(authority.tls(&revoked)));
    let dialled = dialler.dial(&at, peer, Lane::Control, second.clone()).await.err();
    assert_eq!(dialled, Some(DialError::Untrusted { to: at.clone(), why: Distrust::Ours }));
    send(&*out, 1, 64).await;
    until("arriving", || there.heard().numbers == [1]).await;
    assert_eq!((first.heard().lost.len(), there.heard().lost.len()), (0, 0));
    // Another authority replaces the first, and another certificate of the same name.
    let next = Authority::new("next");
    let both = authority.pem() + &next.pem();
    assert_eq!(renewed(&tls, &both, &next.sign(&Face::of("agent/a")), ""), Ok(()));
    let mixed = transport(secured(next.tls(&next.sign(&Face::of("agent/b")))));
    assert!(mixed.dial(&at, peer, Lane::Control, second).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_renewed_stays_as_it_is() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let other = authority.sign(&Face::of("agent/b"));
    let refused = renewed(&tls, &authority.pem(), &other, "");
    let name = |text: &str| text.parse().unwrap();
    let expected = TlsError::OtherName { ours: name("agent/a"), found: name("agent/b") };
    assert_eq!(refused, Err(expected));
    assert_eq!(renewed(&tls, "", &other, ""), Err(TlsError::NoAuthority));
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_listener, at) = listening(&there, Lane::Data, secured(tls.clone())).await;
    let dialled = transport(secured(tls)).dial(&at, there.peer().proc, Lane::Data, here).await;
    assert!(dialled.is_ok(), "{:?}", dialled.err());
}

/// A client that has sat down at the port of an agent is let in where it dials, and is no agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_let_in_is_not_dialled_for_that() {
    let authority = Authority::new("ours");
    let tls = |name: &str| {
        let card = authority.sign(&Face::of(name));
        authority.tls_with(&card, roles(&["agent", "client"]), "").dialling(roles(&["agent"]))
    };
    let (agent, client) = (tls("agent/a"), tls("client/b"));
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (_agents, at) = listening(&there, Lane::Data, secured(agent.clone())).await;
    let (_clients, at_client) = listening(&here, Lane::Data, secured(client.clone())).await;
    let dialled = transport(secured(client));
    let dialled = dialled.dial(&at, there.peer().proc, Lane::Data, here.clone()).await;
    assert!(dialled.is_ok(), "{:?}", dialled.err());
    let dialled = transport(secured(agent));
    let dialled = dialled.dial(&at_client, here.peer().proc, Lane::Data, there).await.err();
    let why = Distrust::Role("client/b".to_owned());
    assert_eq!(dialled, Some(DialError::Untrusted { to: at_client, why }));
}

/// A ticket would be another secret to keep. And without one nothing can be said before the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_resumed() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&authority.sign(&Face::of("agent/a")));
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Data, secured(tls)).await;
    let card = authority.sign(&Face::of("agent/b"));
    assert!(stranger::starts_anew(port(&at), &card).await);
}
