//! The secret of a mesh: who knows it belongs to it.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::private_file::{FileError, read_private};

/// 256 bits that every process of a mesh knows, and nobody else. Overwritten when it is dropped, and
/// never shown.
#[derive(Clone)]
pub struct Secret(
    // One copy for all clones, and none where it has been moved from.
    Arc<Zeroizing<[u8; Self::LEN]>>,
);

/// A proof that its sender knows the secret.
pub(crate) type Proof = [u8; 32];

/// Why there is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The system has no random bytes.
    #[error("the system has no random bytes: {0}")]
    Random(String),
    /// The file was not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has another length.
    #[error("a secret has 32 bytes, or 64 hexadecimal digits, and this one has neither")]
    WrongLength,
}

impl Secret {
    /// How many bytes it has.
    pub const LEN: usize = 32;

    /// A fresh one: one for each mesh.
    ///
    /// # Errors
    ///
    /// [`SecretError::Random`] if the system has no random bytes.
    pub fn generate() -> Result<Self, SecretError> {
        Self::filled(|bytes| getrandom::fill(bytes))
            .map_err(|error| SecretError::Random(error.to_string()))
    }

    /// The one with these bytes, which a bootstrap record has brought. The copy that was given is overwritten.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; Self::LEN]) -> Self {
        let secret = Self::of(&bytes);
        bytes.zeroize();
        secret
    }

    fn of(bytes: &[u8; Self::LEN]) -> Self {
        let copied = Self::filled(|secret| {
            secret.copy_from_slice(bytes);
            Ok::<(), Infallible>(())
        });
        copied.unwrap_or_else(|never| match never {})
    }

    /// Fills it where it stays.
    fn filled<E>(fill: impl FnOnce(&mut [u8; Self::LEN]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Arc::new(Zeroizing::new([0; Self::LEN]));
        // Nobody else has it yet.
        if let Some(bytes) = Arc::get_mut(&mut secret) {
            fill(bytes)?;
        }
        Ok(Self(secret))
    }

    /// Its bytes, to be given to a process that is to know it: by a pipe or a file of its own, never by an
    /// argument or a variable. Overwritten when they are dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        Zeroizing::clone(&self.0)
    }

    /// The one in a file: 32 bytes, or 64 hexadecimal digits. The file must be ours, and nobody else's to
    /// read.
    ///
    /// # Errors
    ///
    /// Every other [`SecretError`].
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let text = read_private(path, FILE_MAX)?;
        Self::parse(&text).ok_or(SecretError::WrongLength)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        if let Ok(bytes) = <&[u8; Self::LEN]>::try_from(text) {
            return Some(Self::of(bytes));
        }
        let (pairs, []) = text.trim_ascii().as_chunks::<2>() else { return None };
        let pairs: &[[u8; 2]; Self::LEN] = pairs.try_into().ok()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let parsed = Self::filled(|bytes| {
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                let value = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
                *byte = value.and_then(|value| u8::try_from(value).ok()).ok_or(())?;
            }
            Ok::<(), ()>(())
        });
        parsed.ok()
    }

    /// Proves that we know the secret: `who` is the side that proves, `said` all that was said before.
    ///
    /// # Source
    ///
    /// HMAC-SHA-256, RFC 2104 and FIPS 180-4.
    pub(crate) fn prove(&self, who: &[u8], said: &[&[u8]]) -> Proof {
        self.mac(who, said).finalize().into_bytes().into()
    }

    /// Whether the proof is right. Takes the same time whatever is wrong with it.
    pub(crate) fn check(&self, who: &[u8], said: &[&[u8]], proof: &Proof) -> bool {
        self.mac(who, said).verify_slice(proof).is_ok()
    }

    fn mac(&self, who: &[u8], said: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&**self.0).expect("HMAC takes a key of any length");
        for part in [who].iter().chain(said) {
            // With its length, so that no two lists of parts are the same bytes.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How long a file with a secret may be: its digits, and what an editor adds.
const FILE_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// RFC 4231, test case 2, without our framing of parts.
    #[test]
    fn the_proof_is_hmac_sha_256() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let expected = [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e];
        assert_eq!(mac.finalize().into_bytes()[..8], expected);
    }

    #[test]
    fn only_who_knows_the_secret_can_prove_it() {
        let (ours, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let proof = ours.prove(b"dialler", &[b"hello", b"you"]);
        assert!(ours.check(b"dialler", &[b"hello", b"you"], &proof));
        assert!(!other.check(b"dialler", &[b"hello", b"you"], &proof));
        assert!(!ours.check(b"listener", &[b"hello", b"you"], &proof), "the other side");
        assert!(!ours.check(b"dialler", &[b"helloyou"], &proof), "other parts, the same bytes");
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::from_bytes([7; 32])), "Secret(…)");
    }

    #[test]
    fn a_file_has_bytes_or_digits() {
        let path = std::env::temp_dir().join(format!("mesh-secret-{}", std::process::id()));
        let digits = "00ff".repeat(16) + "\n";
        fs::write(&path, digits).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let read = Secret::from_file(&path).map(|secret| secret.0[..4].to_vec());
        fs::write(&path, "short").unwrap();
        let short = Secret::from_file(&path).map(|_| ());
        fs::remove_file(&path).unwrap();
        assert_eq!(read, Ok(vec![0, 255, 0, 255]));
        assert_eq!(short, Err(SecretError::WrongLength));
        let gone = Secret::from_file(&path).map(|_| ());
        assert!(matches!(gone, Err(SecretError::File(FileError::Unreadable { .. }))), "{gone:?}");
    }
}
