//! `Setup` and `Fault`: what is simulated, and what goes wrong in it.

use mesh_cast::{Kind, Limits};

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
    pub(crate) seed: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill(usize),
    Lose(usize, usize),
    Cut(usize, usize),
}
