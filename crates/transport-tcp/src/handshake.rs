//! How two processes come to know each other: four messages, and nothing else can be said before.
//!
//! ```text
//! dialler  ── Hello: version, who I am, whom I want, lane, session, nonce ──►  listener
//!          ◄── Challenge: who I am, nonce, proof that I know the secret ─────
//!          ── Answer: my proof, and how far I have received ────────────────►
//!          ◄── Welcome: how far I have received, whether the session is new ─
//! ```
//!
//! Each proof is over all that was said before, so that nothing of it can be changed or said again. The
//! types are the order: the only way to a [`Peer`] is through a proof that was right.

use mesh_core::{Identity, Lane, ProcId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::secret::{Proof, Secret};
use crate::wire::Ack;

/// The version of everything on the wire. Others are refused.
pub(crate) const VERSION: u16 = 2;

/// How long a message of the handshake may be. Less than what the first bytes of TLS are as a length, so that
/// it is known by them.
pub(crate) const MESSAGE_MAX: usize = 512;

/// The first bytes: something else that speaks here is known by them.
const MAGIC: [u8; 8] = *b"meshwrdn";

/// What a session is known by, drawn by the dialler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SessionId(pub(crate) [u8; 16]);

pub(crate) type Nonce = [u8; 32];

/// What ties the proofs to the one connection that they are made on, so that none can be carried over from
/// another by whoever sits between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing: the connection does not leave the machine, or was allowed to be without.
    Plain,
    /// What both ends of a TLS connection derive from it, and nobody else can.
    #[cfg_attr(
        not(any(feature = "tls", test)),
        expect(dead_code, reason = "there is no TLS to bind to")
    )]
    Tls([u8; 32]),
}

impl Binding {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain => &[],
            Self::Tls(exported) => exported,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    magic: [u8; 8],
    version: u16,
    from: Identity,
    to: ProcId,
    lane: Lane,
    session: SessionId,
    nonce: Nonce,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Challenge {
    version: u16,
    from: Identity,
    nonce: Nonce,
    proof: Proof,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    ack: Ack,
    /// Whether the dialler knows the session already.
    resumes: bool,
    proof: Proof,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Welcome {
    ack: Ack,
    is_new: bool,
}

/// Why the other side is not talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it does not speak our protocol")]
    Garbled,
    #[error("it speaks version {0} of the protocol, and we speak {VERSION}")]
    Version(u16),
    #[error("it is {0}")]
    Stranger(ProcId),
    #[error("its program has other messages")]
    OtherProgram,
    #[error("it does not know the secret of the mesh")]
    Unauthenticated,
    #[error("it speaks TLS, and we do not there: set up both sides alike")]
    Tls,
}

/// A peer whose proof was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) identity: Identity,
    pub(crate) lane: Lane,
    pub(crate) session: SessionId,
    /// Whether it knows the session already.
    pub(crate) resumes: bool,
    /// How far it has received.
    pub(crate) ack: Ack,
}

/// The dialler, who has said hello.
#[derive(Debug)]
pub(crate) struct Dialling {
    hello: Hello,
    said: Vec<u8>,
    binding: Binding,
}

impl Dialling {
    pub(crate) fn new(
        from: Identity,
        to: ProcId,
        (lane, session): (Lane, SessionId),
        (nonce, binding): (Nonce, Binding),
    ) -> Self {
        let hello = Hello { magic: MAGIC, version: VERSION, from, to, lane, session, nonce };
        let said = encode(&hello);
        Self { hello, said, binding }
    }

    /// What to send first.
    pub(crate) fn hello(&self) -> &[u8] {
        &self.said
    }

    /// The listener's challenge. Returns who it is, and our answer to it.
    pub(crate) fn challenged(
        &self,
        message: &[u8],
        secret: &Secret,
        (ack, resumes): (Ack, bool),
    ) -> Result<(Identity, Vec<u8>), Refused> {
        let challenge: Challenge = decode(message)?;
        if challenge.version != VERSION {
            return Err(Refused::Version(challenge.version));
        }
        let theirs = encode(&(challenge.from, challenge.nonce));
        let said: [&[u8]; 3] = [self.binding.bytes(), &self.said, &theirs];
        if !secret.check(LISTENER, &said, &challenge.proof) {
            return Err(Refused::Unauthenticated);
        }
        let found = challenge.from;
        if found.peer.proc != self.hello.to {
            return Err(Refused::Stranger(found.peer.proc));
        }
        if !is_same_program(found, self.hello.from) {
            return Err(Refused::OtherProgram);
        }
        let proof = secret.prove(DIALLER, &[said[0], said[1], said[2], &encode(&(ack, resumes))]);
        Ok((found, encode(&Answer { ack, resumes, proof })))
    }

    /// The listener's welcome: how far it has received, and whether it takes the session for a new one.
    pub(crate) fn welcomed(message: &[u8]) -> Result<(Ack, bool), Refused> {
        let Welcome { ack, is_new } = decode(message)?;
        Ok((ack, is_new))
    }
}

/// The listener, who was said hello to.
#[derive(Debug)]
pub(crate) struct Greeted {
    hello: Hello,
    said: [Vec<u8>; 2],
    binding: Binding,
}

impl Greeted {
    /// The dialler's hello. Returns our challenge to it.
    pub(crate) fn new(
        message: &[u8],
        us: Identity,
        (nonce, binding): (Nonce, Binding),
        secret: &Secret,
    ) -> Result<(Self, Vec<u8>), Refused> {
        let hello: Hello = decode(message)?;
        if hello.magic != MAGIC {
            return Err(Refused::Garbled);
        }
        if hello.version != VERSION {
            return Err(Refused::Version(hello.version));
        }
        let said = [message.to_vec(), encode(&(us, nonce))];
        let proof = secret.prove(LISTENER, &[binding.bytes(), &said[0], &said[1]]);
        let challenge = Challenge { version: VERSION, from: us, nonce, proof };
        Ok((Self { hello, said, binding }, encode(&challenge)))
    }

    /// The dialler's answer. Who gives the right one is a peer.
    pub(crate) fn answered(
        self,
        message: &[u8],
        us: Identity,
        secret: &Secret,
    ) -> Result<Peer, Refused> {
        let Answer { ack, resumes, proof } = decode(message)?;
        let last = encode(&(ack, resumes));
        let said: [&[u8]; 4] = [self.binding.bytes(), &self.said[0], &self.said[1], &last];
        if !secret.check(DIALLER, &said, &proof) {
            return Err(Refused::Unauthenticated);
        }
        let Hello { from: identity, to, lane, session, .. } = self.hello;
        if to != us.peer.proc {
            return Err(Refused::Stranger(to));
        }
        if !is_same_program(identity, us) {
            return Err(Refused::OtherProgram);
        }
        Ok(Peer { identity, lane, session, resumes, ack })
    }

    /// What to send a peer whose session goes on from here.
    pub(crate) fn welcome(ack: Ack, is_new: bool) -> Vec<u8> {
        encode(&Welcome { ack, is_new })
    }
}

/// Whether two programs know the same messages. One that names none is not compared.
const fn is_same_program(a: Identity, b: Identity) -> bool {
    a.registry == b.registry || a.registry == 0 || b.registry == 0
}

/// The sides have proofs of their own, so that none can be sent back to who made it.
const DIALLER: &[u8] = b"meshwarden dialler";
const LISTENER: &[u8] = b"meshwarden listener";

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("fixed fields can always be encoded")
}

fn decode<T: DeserializeOwned>(message: &[u8]) -> Result<T, Refused> {
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(Refused::Garbled),
    }
}

#[cfg(test)]
mod tests;
