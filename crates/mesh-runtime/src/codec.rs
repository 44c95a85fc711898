//! `codec`: the bytes of messages: postcard, which is small and fast and knows no versions; those are compared
//! when processes meet.

use std::any::Any;

use bytes::Bytes;
use mesh_core::{EncodeError, Message, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are no message of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end too early, or say what the type does not know.
    #[error("not such a message: {0}")]
    Malformed(String),
    /// There are more than the message needs.
    #[error("{0} bytes are left over after the message")]
    LeftOver(usize),
    /// It is a value of another type.
    #[error("a message of another type")]
    OtherType,
}

/// The bytes of a value, which belongs to the message `name`.
///
/// # Errors
///
/// [`EncodeError`] if the type's `Serialize` fails.
pub fn encode<T: Serialize>(name: &'static str, value: &T) -> Result<Bytes, EncodeError> {
    // Most messages are no larger than their values; then memory is asked for once.
    let buffer = Vec::with_capacity(size_of::<T>().max(8));
    match postcard::to_extend(value, buffer) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(EncodeError { name, why: error.to_string() }),
    }
}

/// The value that the bytes are, all of them. This runs the `Deserialize` of a user's type.
///
/// # Errors
///
/// [`DecodeError`] if they are no such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::LeftOver(rest.len())),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// A message that is encoded if it leaves its process.
pub(crate) struct Outgoing<M>(pub(crate) M);

impl<M: Message + Serialize> Payload for Outgoing<M> {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        encode(M::NAME, &self.0)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        Box::new(self.0)
    }
}

/// A reply to the message `name`, that is encoded if it leaves its process.
pub(crate) struct OutgoingReply<R> {
    pub(crate) name: &'static str,
    pub(crate) reply: R,
}

impl<R: Serialize + Send + 'static> Payload for OutgoingReply<R> {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        encode(self.name, &self.reply)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        Box::new(self.reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_refused() {
        let bytes = encode("test", &(7_u32, "seven")).unwrap();
        assert_eq!(decode::<(u32, String)>(&bytes), Ok((7, "seven".to_owned())));
        assert_eq!(decode::<u32>(&bytes), Err(DecodeError::LeftOver(6)));
        assert!(matches!(decode::<[u64; 9]>(&bytes), Err(DecodeError::Malformed(_))));
    }
}
