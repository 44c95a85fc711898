//! Meshes of actors through their public interface, on processes within this one.

mod calls;
mod ends;
mod failures;
mod faults;
mod life;
mod places;
mod procs;
mod refs;
mod support;
mod ways;
