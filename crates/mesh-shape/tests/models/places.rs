//! Contents as one place for each rank, 0 where there is no value; and as runs, made by hand.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// One place for each rank; 0 stands for no value.
pub(crate) type Places = Vec<u8>;

/// All contents of so many ranks and values.
pub(crate) fn all(n_ranks: u32, n_values: u8) -> impl Iterator<Item = Places> {
    let base = usize::from(n_values) + 1;
    (0..base.pow(n_ranks)).map(move |number| {
        let digit = |rank| u8::try_from(number / base.pow(rank) % base).expect("it is a digit");
        (0..n_ranks).map(digit).collect()
    })
}

/// The runs of equal values, in rising order.
pub(crate) fn runs(places: &[u8]) -> Vec<(Range<usize>, u8)> {
    let mut runs: Vec<(Range<usize>, u8)> = Vec::new();
    for (rank, value) in places.iter().enumerate().filter(|(_, value)| **value != 0) {
        match runs.last_mut() {
            Some((run, same)) if run.end == rank && same == value => run.end += 1,
            _ => runs.push((rank..rank + 1, *value)),
        }
    }
    runs
}

/// What is left when the values of `right` are laid over those of `left`.
pub(crate) fn over(left: &[u8], right: &[u8]) -> Places {
    let both = left.iter().zip(right);
    both.map(|(left, right)| if *right == 0 { *left } else { *right }).collect()
}

/// Every range over so many ranks: empty and backward ones too.
pub(crate) fn ranges(n_ranks: usize) -> impl Iterator<Item = Range<usize>> {
    (0..=n_ranks).flat_map(move |start| (0..=n_ranks).map(move |end| start..end))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Equal contents are equal structures, whichever way they were made: equal texts, hashes and bytes.
pub(crate) fn is_one_structure<T: Eq + Hash + Debug + Sent>(one: &T, other: &T) {
    assert_eq!(one, other);
    assert_eq!(hash(one), hash(other), "{one:?}");
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    #[cfg(feature = "serde")]
    {
        let sent = serde_json::to_string(one).expect("it can be written");
        assert_eq!(sent, serde_json::to_string(other).expect("it can be written"));
        assert_eq!(&serde_json::from_str::<T>(&sent).expect("it can be read"), one);
    }
}

/// What can be sent, if anything can.
#[cfg(feature = "serde")]
pub(crate) trait Sent: serde::Serialize + serde::de::DeserializeOwned {}
#[cfg(feature = "serde")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Sent for T {}
#[cfg(not(feature = "serde"))]
pub(crate) trait Sent {}
#[cfg(not(feature = "serde"))]
impl<T> Sent for T {}
