//! models: every small set, mesh and overlay, and what is made of them, beside plain sets and vectors.
//!
//! Nothing is random here: each case of a few ranks is tried. `runs` tries larger ones at random.

mod meshes;
mod overlays;
mod places;
mod rank_sets;
