//! Meshes of actors through their public interface, on processes within this one.

mod agents;
mod calls;
mod chosen;
mod counted;
mod doubts;
mod ends;
mod failures;
mod faults;
mod hangs;
mod hearing;
mod large;
mod liars;
mod life;
mod many;
mod near;
mod odd;
mod owners;
mod parted;
mod places;
mod procs;
mod refs;
mod storm;
mod strangers;
mod streams;
mod successors;
mod support;
mod unsent;
mod user_code;
mod verbs;
mod watching;
mod ways;
mod words;

/// None of these meshes is so large that casts go down a tree.
const FAN_OUT: usize = 64;
