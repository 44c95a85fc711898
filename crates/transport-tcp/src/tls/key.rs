//! A private key in PEM (RFC 7468), read without leaving copies of it behind.

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use zeroize::Zeroizing;

/// The first private key in a text. Everything that is made of it on the way is overwritten.
pub(super) fn private_key(pem: &[u8]) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
    let mut lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let kind = lines.find_map(Kind::of_begin)?;
    // As long as the whole text, so that it is never moved.
    let mut digits = Zeroizing::new(Vec::with_capacity(pem.len()));
    for line in lines {
        if line.starts_with(b"-----") {
            return (line == kind.end()).then(|| decode(&digits, kind))?;
        }
        digits.extend_from_slice(line);
    }
    None
}

/// What a key is written as.
#[derive(Clone, Copy)]
enum Kind {
    Pkcs1,
    Pkcs8,
    Sec1,
}

impl Kind {
    fn of_begin(line: &[u8]) -> Option<Self> {
        match line {
            b"-----BEGIN PRIVATE KEY-----" => Some(Self::Pkcs8),
            b"-----BEGIN RSA PRIVATE KEY-----" => Some(Self::Pkcs1),
            b"-----BEGIN EC PRIVATE KEY-----" => Some(Self::Sec1),
            _ => None,
        }
    }

    const fn end(self) -> &'static [u8] {
        match self {
            Self::Pkcs8 => b"-----END PRIVATE KEY-----",
            Self::Pkcs1 => b"-----END RSA PRIVATE KEY-----",
            Self::Sec1 => b"-----END EC PRIVATE KEY-----",
        }
    }
}

/// Base64, RFC 4648, section 4.
fn decode(digits: &[u8], kind: Kind) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
    let (groups, []) = digits.as_chunks::<4>() else { return None };
    let mut der = Zeroizing::new(Vec::with_capacity(3 * groups.len()));
    for (number, group) in groups.iter().enumerate() {
        let n_padding = group.iter().rev().take_while(|digit| **digit == b'=').count();
        if n_padding > 2 || n_padding > 0 && number + 1 < groups.len() {
            return None;
        }
        let digits = &group[..4 - n_padding];
        let bits = digits.iter().try_fold(0, |bits, digit| Some(bits << 6 | value(*digit)?))?;
        let [_, bytes @ ..] = (bits << (6 * n_padding)).to_be_bytes();
        der.extend_from_slice(&bytes[..3 - n_padding]);
    }
    let der = std::mem::take(&mut *der);
    Some(Zeroizing::new(match kind {
        Kind::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
        Kind::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
        Kind::Sec1 => PrivateSec1KeyDer::from(der).into(),
    }))
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// A text with these digits in it.
    fn text(kind: &str, digits: &str) -> String {
        format!("Bag of words\n-----BEGIN {kind}-----\n{digits}\n-----END {kind}-----\n")
    }

    /// Whether a text is a key to both, and the same one.
    fn is_read_alike(text: &str) -> bool {
        let (ours, theirs) =
            (private_key(text.as_bytes()), PrivateKeyDer::from_pem_slice(text.as_bytes()).ok());
        assert_eq!(ours.as_deref(), theirs.as_ref(), "{text}");
        ours.is_some()
    }

    #[test]
    fn a_key_is_read_as_others_read_it() {
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            for digits in
                ["TWVzaHdhcmRlbg==", "AAEC/f7/\r\nAB+/", "/w==", "//8=", "////", "AAAA\nAAAA\nAA=="]
            {
                assert!(is_read_alike(&text(kind, digits)), "{digits}");
            }
            for digits in ["A", "A===", "====", "AA==AAAA", "AA\u{e4}A", "A-A_", "AA=A"] {
                assert!(!is_read_alike(&text(kind, digits)), "{digits}");
            }
        }
        assert!(is_read_alike(&(text("CERTIFICATE", "AAAA") + &text("PRIVATE KEY", "AQID"))));
        assert!(!is_read_alike(&text("CERTIFICATE", "AAAA")));
        // PEM is padded (RFC 7468, section 3).
        assert!(private_key(text("PRIVATE KEY", "AAA").as_bytes()).is_none());
        assert!(!is_read_alike("-----BEGIN PRIVATE KEY-----\nAAAA\n"), "it does not end");
        assert!(!is_read_alike(
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
        ));
    }
}
