//! The meshes that are measured, and ranks of them in no order.

use mesh_shape::{Extent, Rank, Region};

/// Three dims, as hosts, devices and threads: 64 to 10^9 ranks.
pub(super) const SIDES: [usize; 3] = [4, 100, 1_000];

/// The side of the cube of 10^6 ranks, where nothing else is said.
pub(super) const SIDE: usize = 100;

/// So many repetitions are one batch.
pub(super) const N: usize = 1_000;

/// The cube of this side.
pub(super) fn cube(side: usize) -> Extent {
    Extent::new([("x", side), ("y", side), ("z", side)]).expect("three names that differ")
}

/// Every second rank of each dim of the cube of twice this side.
pub(super) fn strided(side: usize) -> Region {
    let all = Region::all(cube(2 * side));
    all.parse_slice("x=::2,y=::2,z=::2").expect("its dims are so called")
}

/// [`N`] ranks of `0..size` in no order; always the same.
pub(super) fn ranks(size: usize) -> Vec<Rank> {
    numbers().take(N).map(|number| Rank::new(number % size)).collect()
}

/// Numbers in no order; always the same.
///
/// # Source
///
/// `xorshift64*` of Vigna.
pub(super) fn numbers() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) as usize
    })
}
