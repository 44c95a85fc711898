//! A revocation list (RFC 5280, section 5): who has made it, and when the next was to come.

use rustls::pki_types::CertificateRevocationListDer;

/// What is asked of a revocation list besides what it revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RevocationList {
    pub(super) der: CertificateRevocationListDer<'static>,
    /// Its issuer, as the subject of a certificate has it.
    pub(super) issuer: Vec<u8>,
    /// When it was made, and when the next is to come: seconds since 1970.
    pub(super) made: u64,
    pub(super) next: u64,
}

impl RevocationList {
    pub(super) fn new(der: CertificateRevocationListDer<'static>) -> Option<Self> {
        let (issuer, made, next) = fields(&der)?;
        Some(Self { issuer: issuer.to_vec(), made, next, der })
    }

    /// The names in its issuer, for people.
    pub(super) fn issuer_text(&self) -> String {
        let mut names = Vec::new();
        texts(&self.issuer, &mut names);
        names.join(", ")
    }
}

/// Who has made it, when, and when the next is to come.
fn fields(der: &[u8]) -> Option<(&[u8], u64, u64)> {
    let (list, _) = value(der, SEQUENCE)?;
    let (to_be_signed, _) = value(list, SEQUENCE)?;
    let (_version, rest) = value(to_be_signed, INTEGER)?;
    let (_algorithm, rest) = value(rest, SEQUENCE)?;
    let (issuer, rest) = value(rest, SEQUENCE)?;
    let (made, rest) = time(rest)?;
    let (next, _) = time(rest)?;
    Some((issuer, made, next))
}

/// The value of this kind that `der` begins with, and what follows it.
fn value(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = element(der)?;
    (found == kind).then_some((value, rest))
}

/// The kind of what `der` begins with, its value, and what follows (X.690, section 8.1).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if !(1..=4).contains(&digits.len()) {
                return None;
            }
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*kind, value, rest))
}

/// A moment, in seconds since 1970, and what follows it.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (kind, text, rest) = element(der)?;
    let digits = text.strip_suffix(b"Z")?;
    let number = |digits: &[u8]| -> Option<u64> {
        digits.iter().try_fold(0, |number, digit| {
            Some(number * 10 + u64::from(char::from(*digit).to_digit(10)?))
        })
    };
    let (year, digits) = match kind {
        UTC_TIME => {
            let (year, digits) = digits.split_at_checked(2)?;
            let year = number(year)?;
            // RFC 5280, section 4.1.2.5.1.
            (if year < 50 { 2000 + year } else { 1900 + year }, digits)
        }
        GENERALIZED_TIME => {
            let (year, digits) = digits.split_at_checked(4)?;
            (number(year)?, digits)
        }
        _ => return None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let [month, day, hour, minute, second] = <[[u8; 2]; 5]>::try_from(pairs).ok()?;
    let days = days(year, number(&month)?, number(&day)?)?;
    let seconds = number(&hour)? * 3_600 + number(&minute)? * 60 + number(&second)?;
    Some((days * 86_400 + seconds, rest))
}

/// How many days from the first of 1970 to this one.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_day =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // Years begin in March here, so that a leap day is the last of its year.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    // The last: from the first of March of year 0 to 1970.
    is_day.then(|| (before + (153 * month + 2) / 5 + day - 1).checked_sub(719_468))?
}

/// Every text in `der`.
fn texts(mut der: &[u8], found: &mut Vec<String>) {
    while let Some((kind, value, rest)) = element(der) {
        if kind & CONSTRUCTED != 0 {
            texts(value, found);
        } else if [UTF8_STRING, PRINTABLE_STRING, IA5_STRING].contains(&kind) {
            found.push(String::from_utf8_lossy(value).escape_debug().to_string());
        }
        der = rest;
    }
}

const INTEGER: u8 = 0x02;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const CONSTRUCTED: u8 = 0x20;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_time_are_read() {
        let of = |kind, text: &str| {
            let mut der = vec![kind, u8::try_from(text.len()).unwrap()];
            der.extend_from_slice(text.as_bytes());
            time(&der).map(|(seconds, _)| seconds)
        };
        assert_eq!(of(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(of(UTC_TIME, "240229235959Z"), Some(1_709_251_199));
        assert_eq!(of(GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
        assert_eq!(of(GENERALIZED_TIME, "20240301000000Z"), Some(1_709_251_200));
        for none in ["", "Z", "240229235959", "24022923595Z", "241329235959Z", "2402292359aaZ"] {
            assert_eq!(of(UTC_TIME, none), None, "{none}");
        }
        assert_eq!(of(INTEGER, "240229235959Z"), None);
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        for der in [&[][..], &[0x30], &[0x30, 5, 1], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x80]] {
            assert_eq!(element(der), None, "{der:?}");
        }
    }
}
