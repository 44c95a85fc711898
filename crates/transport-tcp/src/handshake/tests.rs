//! The handshake: who meets whom, and that nothing of it can be changed.

use mesh_core::{Incarnation, PeerId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn who(proc: u128, registry: u64) -> Identity {
    let peer = PeerId { proc: ProcId::from_random(proc), life: Incarnation::new(3) };
    Identity { peer, registry }
}

const DIALLER_ACK: Ack = Ack { received: 4, granted: 5 };
const LISTENER_ACK: Ack = Ack { received: 6, granted: 7 };

fn secret(byte: u8) -> Secret {
    Secret::from_bytes([byte; 32])
}

fn dialling(from: Identity, to: Identity) -> Dialling {
    let of = (Lane::Control, SessionId([9; 16]));
    Dialling::new(from, to.peer.proc, of, ([1; 32], Binding::Plain))
}

/// What the dialler comes to.
type Welcomed = Result<(Identity, Ack, bool), Refused>;

/// Both sides, each with a secret of its own, and what passes between them changed on the way.
fn meet(
    (dialler, listener): (&Secret, &Secret),
    mut change: impl FnMut(usize, &mut Vec<u8>),
) -> (Welcomed, Option<Result<Peer, Refused>>) {
    let (a, b) = (who(1, 8), who(2, 8));
    let dialling = dialling(a, b);
    let mut hello = dialling.hello().to_vec();
    change(0, &mut hello);
    let (greeted, mut challenge) =
        match Greeted::new(&hello, b, ([2; 32], Binding::Plain), listener) {
            Ok(greeted) => greeted,
            Err(refused) => return (Err(Refused::Garbled), Some(Err(refused))),
        };
    change(1, &mut challenge);
    let (identity, mut answer) = match dialling.challenged(&challenge, dialler, (DIALLER_ACK, true))
    {
        Ok(challenged) => challenged,
        Err(refused) => return (Err(refused), None),
    };
    change(2, &mut answer);
    let peer = greeted.answered(&answer, b, listener);
    let welcome = Greeted::welcome(LISTENER_ACK, true);
    let welcomed = Dialling::welcomed(&welcome).map(|(ack, is_new)| (identity, ack, is_new));
    (welcomed, Some(peer))
}

#[test]
fn two_that_know_the_secret_meet() {
    let (dialler, listener) = meet((&secret(1), &secret(1)), |_, _| ());
    assert_eq!(dialler, Ok((who(2, 8), LISTENER_ACK, true)));
    let (lane, session) = (Lane::Control, SessionId([9; 16]));
    let peer = Peer { identity: who(1, 8), lane, session, resumes: true, ack: DIALLER_ACK };
    assert_eq!(listener, Some(Ok(peer)));
}

#[test]
fn a_listener_that_does_not_know_the_secret_gets_no_proof_of_ours() {
    let (dialler, listener) = meet((&secret(1), &secret(2)), |_, _| ());
    assert_eq!((dialler, listener), (Err(Refused::Unauthenticated), None));
}

#[test]
fn a_dialler_that_does_not_know_the_secret_is_no_peer() {
    let (a, b) = (who(1, 8), who(2, 8));
    let dialling = dialling(a, b);
    let (greeted, _) =
        Greeted::new(dialling.hello(), b, ([2; 32], Binding::Plain), &secret(1)).unwrap();
    let answer = encode(&Answer { ack: DIALLER_ACK, resumes: true, proof: [0; 32] });
    assert_eq!(greeted.answered(&answer, b, &secret(1)), Err(Refused::Unauthenticated));
}

/// What was recorded is of no use against another nonce.
#[test]
fn a_replayed_answer_is_refused() {
    let (a, b) = (who(1, 8), who(2, 8));
    let dialling = dialling(a, b);
    let ours = secret(1);
    let (_, challenge) =
        Greeted::new(dialling.hello(), b, ([2; 32], Binding::Plain), &ours).unwrap();
    let (_, answer) = dialling.challenged(&challenge, &ours, (DIALLER_ACK, true)).unwrap();
    let (again, _) = Greeted::new(dialling.hello(), b, ([3; 32], Binding::Plain), &ours).unwrap();
    assert_eq!(again.answered(&answer, b, &ours), Err(Refused::Unauthenticated));
}

/// A proof cannot be sent back to who made it.
#[test]
fn a_reflected_proof_is_refused() {
    let (a, b) = (who(1, 8), who(2, 8));
    let ours = secret(1);
    let dialling = dialling(a, b);
    let (greeted, challenge) =
        Greeted::new(dialling.hello(), b, ([2; 32], Binding::Plain), &ours).unwrap();
    let challenge: Challenge = decode(&challenge).unwrap();
    let answer = encode(&Answer { ack: DIALLER_ACK, resumes: true, proof: challenge.proof });
    assert_eq!(greeted.answered(&answer, b, &ours), Err(Refused::Unauthenticated));
}

#[test]
fn strangers_and_other_programs_are_told_apart() {
    let (a, b) = (who(1, 8), who(2, 8));
    let ours = secret(1);
    let challenge =
        |us| Greeted::new(dialling(a, b).hello(), us, ([2; 32], Binding::Plain), &ours).unwrap().1;
    let challenged = |us| {
        dialling(a, b)
            .challenged(&challenge(us), &ours, (DIALLER_ACK, true))
            .map(|(identity, _)| identity)
    };
    assert_eq!(challenged(who(7, 8)), Err(Refused::Stranger(ProcId::from_random(7))));
    assert_eq!(challenged(who(2, 9)), Err(Refused::OtherProgram));
    assert_eq!(challenged(who(2, 0)), Ok(who(2, 0)), "one that names no program");
}

#[test]
fn another_version_is_named() {
    let (a, b) = (who(1, 8), who(2, 8));
    let mut hello = dialling(a, b).hello;
    hello.version = VERSION + 1;
    let refused =
        Greeted::new(&encode(&hello), b, ([2; 32], Binding::Plain), &secret(1)).map(|_| ());
    assert_eq!(refused, Err(Refused::Version(VERSION + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// One bit that is changed on the way, in whichever message, and the two do not meet as they are.
    #[test]
    fn nothing_that_is_said_can_be_changed(
        message in 0..3_usize,
        at in any::<prop::sample::Index>(),
    ) {
        let ours = secret(1);
        let (dialler, listener) = meet((&ours, &ours), |index, bytes| {
            if index == message {
                let bit = at.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        });
        let met = dialler.is_ok() && matches!(listener, Some(Ok(_)));
        prop_assert!(!met, "{dialler:?} {listener:?}");
    }

    #[test]
    fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..200)) {
        let (us, ours) = (who(2, 8), secret(1));
        prop_assert!(Greeted::new(&bytes, us, ([2; 32], Binding::Plain), &ours).is_err());
        let challenged = dialling(who(1, 8), us).challenged(&bytes, &ours, (DIALLER_ACK, true));
        prop_assert!(challenged.is_err());
    }
}

/// Whoever sits between two connections cannot carry the proofs of one over to the other, also if both sides
/// trust its certificate.
#[test]
fn proofs_hold_on_the_connection_alone_that_they_were_made_on() {
    let ((a, b), ours) = ((who(1, 8), who(2, 8)), secret(1));
    let of = (Lane::Control, SessionId([9; 16]));
    let met = |dialler: Binding, listener: Binding| {
        let dialling = Dialling::new(a, b.peer.proc, of, ([1; 32], dialler));
        let (_, challenge) = Greeted::new(dialling.hello(), b, ([2; 32], listener), &ours).unwrap();
        dialling.challenged(&challenge, &ours, (DIALLER_ACK, true)).map(|_| ())
    };
    let [one, other] = [1, 2].map(|byte| Binding::Tls([byte; 32]));
    assert_eq!(met(one, one), Ok(()));
    assert_eq!(met(one, other), Err(Refused::Unauthenticated));
    assert_eq!(met(one, Binding::Plain), Err(Refused::Unauthenticated));
    assert_eq!(met(Binding::Plain, one), Err(Refused::Unauthenticated));
}
