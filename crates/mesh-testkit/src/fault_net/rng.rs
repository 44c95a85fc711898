//! Numbers that only look random: [`SplitMix64`].

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of numbers that its seed decides: the same on every machine, in every run.
///
/// # Examples
///
/// ```
/// use mesh_testkit::fault_net::SplitMix64;
///
/// let draw = |seed| SplitMix64::new(seed).below(1_000);
/// assert_eq!(draw(7), draw(7));
/// assert_ne!(draw(7), draw(8));
/// ```
///
/// # Source
///
/// `SplitMix64`, of Steele, Lea and Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// with the constants of Vigna's reference code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of this seed. Also seeds that lie close together have streams that do not.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of this seed for somebody with this name: what one draws changes nothing for others.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let mix = |seed, byte: &u8| Self(seed ^ u64::from(*byte)).next_u64();
        Self(name.as_bytes().iter().fold(Self(seed).next_u64(), mix))
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if the limit is 0. Evenly, but for one in 2^64 / `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        ((self.next_u64() as u128 * limit as u128) >> 64) as u64
    }

    /// `true` with this probability: never if it is 0 or no number, always if it is 1 or more.
    pub fn chance(&mut self, probability: f64) -> bool {
        // As many bits as a double has.
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// A time in this range, in microseconds; its start, if it ends before.
    pub fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let width = range.end().saturating_sub(*range.start()).as_micros();
        let width = u64::try_from(width).unwrap_or(u64::MAX - 1);
        *range.start() + Duration::from_micros(self.below(width + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the reference code for the seed 1234567.
    #[test]
    fn the_stream_is_that_of_the_reference_code() {
        let mut rng = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = std::iter::repeat_with(|| rng.next_u64()).take(3).collect();
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_chance_is_as_large_as_it_is_said_to_be() {
        let mut rng = SplitMix64::new(1);
        for (probability, expected) in [(0.0, 0..=0), (0.25, 2_400..=2_600), (1.0, 10_000..=10_000)]
        {
            let n = (0..10_000).filter(|_| rng.chance(probability)).count();
            assert!(expected.contains(&n), "{n} of 10,000 at {probability}");
        }
        assert!(!rng.chance(f64::NAN));
    }

    #[test]
    fn a_time_lies_in_its_range_and_reaches_both_ends() {
        let mut rng = SplitMix64::new(1);
        let micros = Duration::from_micros;
        let drawn: Vec<Duration> =
            std::iter::repeat_with(|| rng.within(&(micros(3)..=micros(5)))).take(100).collect();
        assert_eq!(drawn.iter().min(), Some(&micros(3)));
        assert_eq!(drawn.iter().max(), Some(&micros(5)));
    }

    #[test]
    fn names_have_streams_of_their_own() {
        let draw = |seed, name| SplitMix64::named(seed, name).next_u64();
        let drawn = [draw(1, "a"), draw(1, "b"), draw(2, "a"), draw(1, "ab"), draw(1, "ba")];
        let distinct: std::collections::BTreeSet<u64> = drawn.into();
        assert_eq!(distinct.len(), drawn.len());
    }
}
