//! `Setup` and `Fault`: what is simulated, and what goes wrong in it.

use mesh_cast::{Kind, Limits, ReducerId};

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) n_nodes: usize,
    pub(crate) per_host: usize,
    pub(crate) n_ranks: usize,
    pub(crate) fan_out: usize,
    /// The processes that cast. `n_nodes` is one that has no ranks.
    pub(crate) casters: Vec<usize>,
    /// What each of them casts: which slice, and what is wanted.
    pub(crate) script: Vec<(usize, Kind)>,
    pub(crate) limits: Limits,
    /// Whether anybody may be thought to be slow at any time.
    pub(crate) has_ticks: bool,
    pub(crate) seed: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill(usize),
    /// It is killed, and started again as another process at its position.
    Restart(usize),
    Lose(usize, usize),
    Cut(usize, usize),
    /// It does nothing from then on, but is not lost.
    Pause(usize),
    Resume(usize),
}

/// How replies are merged, here: they are added up.
pub(crate) const ADD: Kind = Kind::Reduce(ReducerId(1));

/// What each rank replies: mostly alike.
pub(crate) fn reply(number: u64, rank: usize) -> u32 {
    number as u32 * 100 + if rank % 5 == 4 { rank as u32 } else { 0 }
}
