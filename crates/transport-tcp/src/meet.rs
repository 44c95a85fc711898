//! The handshake on a connection: its four messages, each with its length, within a deadline.

use std::io;

use mesh_core::{Distrust, Identity, Lane, ProcId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::budget::is_used_up;
use crate::handshake::{Binding, Dialling, Greeted, MESSAGE_MAX, Nonce, Peer, Refused, SessionId};
use crate::secret::Secret;
use crate::stream::Stream;
use crate::wire::Ack;

/// Why two did not meet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMet {
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Untrusted(#[from] Distrust),
    #[error("too much was said before it was known who says it")]
    TooMuch,
}

impl From<io::Error> for NotMet {
    fn from(error: io::Error) -> Self {
        if is_used_up(&error) { Self::TooMuch } else { Self::Broken(error) }
    }
}

/// Whom a dialler has met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub(crate) identity: Identity,
    pub(crate) ack: Ack,
    /// Whether the listener takes the session for a new one.
    pub(crate) is_new: bool,
}

/// What a dialler says of itself and of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) from: Identity,
    pub(crate) to: ProcId,
    pub(crate) lane: Lane,
    pub(crate) session: SessionId,
    pub(crate) ack: Ack,
    pub(crate) resumes: bool,
}

/// The dialler's side.
pub(crate) async fn call(
    (stream, binding): (&mut dyn Stream, Binding),
    call: Call,
    secret: &Secret,
) -> Result<Met, NotMet> {
    let Call { from, to, lane, session, ack, resumes } = call;
    let dialling = Dialling::new(from, to, (lane, session), (nonce()?, binding));
    say(stream, dialling.hello()).await?;
    let challenge = hear(stream).await?;
    let (identity, answer) = dialling.challenged(&challenge, secret, (ack, resumes))?;
    say(stream, &answer).await?;
    let (ack, is_new) = Dialling::welcomed(&hear(stream).await?)?;
    Ok(Met { identity, ack, is_new })
}

/// The listener's side, up to where it knows whom it has met. It then says [`welcome`].
pub(crate) async fn answer(
    (stream, binding): (&mut dyn Stream, Binding),
    us: Identity,
    secret: &Secret,
) -> Result<Peer, NotMet> {
    let hello = hear(stream).await?;
    let (greeted, challenge) = Greeted::new(&hello, us, (nonce()?, binding), secret)?;
    say(stream, &challenge).await?;
    Ok(greeted.answered(&hear(stream).await?, us, secret)?)
}

/// The listener's last word.
pub(crate) async fn welcome(stream: &mut dyn Stream, ack: Ack, is_new: bool) -> io::Result<()> {
    say(stream, &Greeted::welcome(ack, is_new)).await
}

async fn say(stream: &mut dyn Stream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn hear(stream: &mut dyn Stream) -> Result<Vec<u8>, NotMet> {
    let length = stream.read_u16_le().await?;
    if usize::from(length) > MESSAGE_MAX {
        let is_tls = TLS_RECORDS.contains(&length.to_le_bytes());
        return Err(if is_tls { Refused::Tls } else { Refused::Garbled }.into());
    }
    let length = usize::from(length);
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// How records of TLS begin that may come first: those of a handshake, and alerts.
const TLS_RECORDS: [[u8; 2]; 2] = [[0x16, 0x03], [0x15, 0x03]];

pub(crate) fn nonce() -> io::Result<Nonce> {
    random()
}

pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
