//! `SplitMix`: what checks and restarts are spread by, drawn from a seed that is given.

use std::time::Duration;

/// A small generator for spreading times; its seed is given, so that a run can be repeated.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from zero up to `bound`.
    pub(crate) fn up_to(&mut self, bound: Duration) -> Duration {
        let parts = u32::try_from(self.next() >> 40).unwrap_or_default();
        bound.saturating_mul(parts) / (1 << 24)
    }
}
