//! Bytes in a message that are not copied on their way: [`Blob`].

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Many bytes in a message: a tensor, a part of a file. They are neither copied where the message is encoded nor
/// where it is decoded: they go out from where they are, and what comes is a part of what was read.
///
/// A field that is [`Bytes`] is copied at both ends, since serde knows no other way.
///
/// A part of what was read keeps all of that, which is at most some hundred KiB more than the blob: whoever keeps
/// a blob for long may want to copy it. Short ones are copied anyway.
///
/// # Examples
///
/// ```
/// use mesh_core::{Blob, Message};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Gradient { step: u64, values: Blob }
///
/// impl Message for Gradient {
///     const NAME: &'static str = "doc.Gradient";
///     type Reply = ();
/// }
///
/// let gradient = Gradient { step: 7, values: vec![0; 1 << 20].into() };
/// assert_eq!(gradient.values.len(), 1 << 20);
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Bytes);

// Serde has no way to say where bytes are from, or to whom they belong. So whoever encodes or decodes has a word
// with the blob past it, for as long as that call takes and on that thread.
thread_local! {
    /// The blob that is being encoded.
    static ENCODED: RefCell<Option<Bytes>> = const { RefCell::new(None) };
    /// What is being decoded.
    static DECODED: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

impl Blob {
    /// From this length on they are shared. A short copy costs less.
    pub const SHARED_MIN: usize = 4 * 1024;

    /// For whoever encodes: the bytes to share, if `written` are those of a blob that is being encoded.
    #[must_use]
    pub fn encoded(written: &[u8]) -> Option<Bytes> {
        if written.len() < Self::SHARED_MIN {
            return None;
        }
        let blob = ENCODED.take()?;
        (blob.as_ptr_range() == written.as_ptr_range()).then_some(blob)
    }

    /// For whoever decodes: blobs that `decode` makes of parts of `bytes` share them.
    pub fn decoding<T>(bytes: &Bytes, decode: impl FnOnce() -> T) -> T {
        if bytes.len() < Self::SHARED_MIN {
            return decode();
        }
        let _until_then = Until(DECODED.replace(Some(bytes.clone())));
        decode()
    }
}

/// Puts back what was being decoded before, also if decoding panics.
struct Until(Option<Bytes>);

impl Drop for Until {
    fn drop(&mut self) {
        DECODED.set(self.0.take());
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.len() < Self::SHARED_MIN {
            return serializer.serialize_bytes(self);
        }
        ENCODED.set(Some(self.0.clone()));
        let serialized = serializer.serialize_bytes(self);
        ENCODED.set(None);
        serialized
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Shared)
    }
}

/// Makes a blob of what is there.
struct Shared;

impl<'de> Visitor<'de> for Shared {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Blob, E> {
        if bytes.len() < Blob::SHARED_MIN {
            return Ok(Blob(Bytes::copy_from_slice(bytes)));
        }
        let all = DECODED.with_borrow(Clone::clone).unwrap_or_default();
        let (all_part, part) = (all.as_ptr_range(), bytes.as_ptr_range());
        let is_within = all_part.start <= part.start && part.end <= all_part.end;
        Ok(Blob(if is_within { all.slice_ref(bytes) } else { Bytes::copy_from_slice(bytes) }))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Blob, A::Error> {
        let mut found = Vec::with_capacity(bytes.size_hint().unwrap_or(0).min(Blob::SHARED_MIN));
        while let Some(byte) = bytes.next_element()? {
            found.push(byte);
        }
        Ok(found.into())
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} B)", self.len())
    }
}
