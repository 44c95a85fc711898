//! `codec`: the bytes of messages: postcard, which is small and fast and knows no versions; those are compared
//! when processes meet.

use std::any::Any;

use bytes::Bytes;
use mesh_core::{Blob, Body, EncodeError, Message, Payload, Pieces, Sheaf};
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::panics::{caught, discard};

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
    let mut pieces = Pieces::with_capacity(size_of::<T>().max(8));
    encode_into(name, value, &mut pieces)?;
    Ok(pieces.take())
}

/// The bytes of a body that was to be handled elsewhere; `None` if it cannot be encoded. A value runs code of a user as it
/// is encoded and dropped, and a panic of that is no failure of whoever has it in hand.
pub(crate) fn encoded(body: Body) -> Option<Bytes> {
    match body {
        Body::Bytes(bytes) => Some(bytes),
        Body::Value(value) => {
            let bytes = caught(|| value.encode());
            discard(value);
            bytes.ok()?.ok()
        }
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

/// The same; long blobs in it share the bytes.
///
/// # Errors
///
/// As [`decode`].
pub(crate) fn decode_shared<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, DecodeError> {
    Blob::decoding(bytes, || decode(bytes))
}

/// The first value of some.
///
/// # Errors
///
/// As [`decode`].
pub(crate) fn decode_first<T: DeserializeOwned>(values: &Sheaf) -> Result<T, DecodeError> {
    let first = values.first();
    // In a short one nothing is shared.
    if first.len() < Blob::SHARED_MIN {
        return decode(first);
    }
    Blob::decoding(values.all(), || decode(first))
}

/// Adds the bytes of a value to `pieces`.
fn encode_into<T: Serialize>(
    name: &'static str,
    value: &T,
    pieces: &mut Pieces,
) -> Result<(), EncodeError> {
    postcard::serialize_with_flavor(value, Writing(pieces))
        .map_err(|error| EncodeError { name, why: error.to_string() })
}

/// Writes into pieces: long blobs are shared, and all else is copied.
struct Writing<'a>(&'a mut Pieces);

impl Flavor for Writing<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match Blob::encoded(bytes) {
            Some(shared) => self.0.share(shared),
            None => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A message that is encoded if it leaves its process.
pub(crate) struct Outgoing<M>(pub(crate) M);

impl<M: Message + Serialize> Payload for Outgoing<M> {
    fn encode_into(&self, pieces: &mut Pieces) -> Result<(), EncodeError> {
        encode_into(M::NAME, &self.0, pieces)
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
    fn encode_into(&self, pieces: &mut Pieces) -> Result<(), EncodeError> {
        encode_into(self.name, &self.reply, pieces)
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

    /// Panics when it is dropped, or when it is encoded.
    struct Mine {
        is_bytes: bool,
    }

    impl Message for Mine {
        const NAME: &'static str = "codec.Mine";
        type Reply = ();
    }

    impl Serialize for Mine {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert!(self.is_bytes, "it has no bytes");
            serializer.serialize_unit()
        }
    }

    impl Drop for Mine {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "it goes off");
        }
    }

    /// E1: whoever has a message of somebody else in hand does not fail by it.
    #[test]
    fn a_message_that_panics_is_no_failure_of_whoever_encodes_it() {
        let mine = |is_bytes| Body::Value(Box::new(Outgoing(Mine { is_bytes })));
        assert_eq!(encoded(mine(true)), Some(Bytes::new()));
        assert_eq!(encoded(mine(false)), None);
    }

    type WithBlobs = (u8, Blob, String, Blob);

    fn with_blobs(length: usize) -> WithBlobs {
        (7, vec![1; length].into(), "seven".to_owned(), vec![2; length].into())
    }

    #[test]
    fn long_blobs_are_neither_copied_into_a_message_nor_out_of_it() {
        let value = with_blobs(Blob::SHARED_MIN);
        let mut pieces = Pieces::default();
        encode_into("test", &value, &mut pieces).unwrap();
        let piece_at = |blob: &Blob| pieces.iter().any(|piece| piece.as_ptr() == blob.as_ptr());
        assert!(piece_at(&value.1) && piece_at(&value.3));
        let bytes = pieces.take();
        assert_eq!(bytes, encode("test", &(7_u8, &value.1[..], "seven", &value.3[..])).unwrap());
        let found: WithBlobs = decode_shared(&bytes).unwrap();
        assert_eq!(found, value);
        for blob in [&found.1, &found.3] {
            assert!(bytes.as_ptr_range().contains(&blob.as_ptr()), "a part of what was read");
        }
    }

    #[test]
    fn blobs_are_the_same_whoever_carries_them() {
        for length in [0, 1, Blob::SHARED_MIN - 1, Blob::SHARED_MIN, 3 * Blob::SHARED_MIN] {
            let value = with_blobs(length);
            let bytes = encode("test", &value).unwrap();
            assert_eq!(decode_shared::<WithBlobs>(&bytes), Ok(value.clone()));
            assert_eq!(
                decode::<WithBlobs>(&bytes),
                Ok(value.clone()),
                "by somebody who cannot share"
            );
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<WithBlobs>(&text).unwrap(), value);
            // Nothing is left that another message could take for its own.
            assert_eq!(Blob::encoded(&value.3), None);
        }
    }

    /// Also of several that stand in one piece of memory.
    #[test]
    fn long_blobs_share_the_memory_of_all_that_have_come_with_them() {
        let [long, short] = [with_blobs(Blob::SHARED_MIN), with_blobs(1)];
        let [one, other] = [&long, &short].map(|value| encode("test", value).unwrap());
        let all = Bytes::from([&one[..], &other[..]].concat());
        let ends = [one.len(), all.len()].map(|end| u32::try_from(end).unwrap());
        let mut values = Sheaf::new(all.clone(), [0..ends[0], ends[0]..ends[1]]);
        let found: WithBlobs = decode_first(&values).unwrap();
        assert_eq!(found, long);
        assert!(all.as_ptr_range().contains(&found.3.as_ptr()), "a part of what was read");
        values.skip();
        assert_eq!(decode_first(&values), Ok(short));
    }

    /// Somebody else's bytes are not taken for a part of what is being decoded, also after a decoder has panicked.
    #[test]
    fn what_was_decoded_before_is_not_shared() {
        let [outer, inner] =
            [3, 4].map(|byte| encode("test", &Blob(vec![byte; 9_000].into())).unwrap());
        let panicked = std::panic::catch_unwind(|| Blob::decoding(&inner, || panic!("a decoder")));
        assert!(panicked.is_err());
        let (first, second, third) = Blob::decoding(&outer, || {
            let shared = |bytes: &Bytes| decode::<Blob>(bytes).unwrap();
            (shared(&outer), decode_shared::<Blob>(&inner).unwrap(), shared(&inner))
        });
        let is_within = |bytes: &Bytes, blob: &Blob| bytes.as_ptr_range().contains(&blob.as_ptr());
        assert!(is_within(&outer, &first) && is_within(&inner, &second));
        assert!(!is_within(&inner, &third) && third[..] == second[..]);
        let alone = decode::<Blob>(&outer).unwrap();
        assert!(!is_within(&outer, &alone) && alone == first);
    }
}
