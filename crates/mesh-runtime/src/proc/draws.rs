//! `Draws`: what is random in a process.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Proc;

/// Numbers that only look random, where there is a seed; else such that differ from run to run.
#[derive(Debug)]
pub(super) struct Draws {
    seed: Option<u64>,
    n_drawn: AtomicU64,
}

impl Draws {
    pub(super) const fn new(seed: Option<u64>) -> Self {
        Self { seed, n_drawn: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> u64 {
        // The standard library seeds its maps with numbers that differ from call to call.
        let Some(seed) = self.seed else { return RandomState::new().hash_one(()) };
        mix(seed, self.n_drawn.fetch_add(1, Ordering::Relaxed))
    }
}

impl Proc {
    /// Bits that differ from call to call and, unless the process has a [seed](crate::ProcConfig::seed), from
    /// process to process and from run to run. No secret.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_runtime::{Proc, ProcConfig};
    /// use tokio::runtime::Handle;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let seeded = || ProcConfig { seed: Some(7), ..ProcConfig::local() };
    /// let (one, other) =
    ///     (Proc::start(seeded(), Handle::current()), Proc::start(seeded(), Handle::current()));
    /// assert_eq!(one.draw(), other.draw());
    /// assert_ne!(one.draw(), one.draw());
    /// # }
    /// ```
    #[must_use]
    pub fn draw(&self) -> u64 {
        self.inner.draws.next()
    }

    /// A seed for another process, if this one has one: what is random there then follows from it, too.
    #[must_use]
    pub fn draw_seed(&self) -> Option<u64> {
        self.inner.draws.seed.map(|_| self.draw())
    }
}

/// One of the numbers that follow from a seed: `SplitMix64` (Steele, Lea and Flood, 2014).
const fn mix(seed: u64, nth: u64) -> u64 {
    let number = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::Draws;

    fn four(seed: Option<u64>) -> [u64; 4] {
        let draws = Draws::new(seed);
        std::array::from_fn(|_| draws.next())
    }

    #[test]
    fn what_is_drawn_follows_from_the_seed_and_only_from_that() {
        assert_eq!(four(Some(7)), four(Some(7)));
        assert_ne!(four(Some(7)), four(Some(8)));
        assert_ne!(four(None), four(None));
    }
}
