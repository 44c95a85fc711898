//! The same, and more, where casts and calls of three and more go down a tree of processes.

mod backs;
mod down;
mod leaving;
mod returned;

#[path = "../it/calls.rs"]
mod calls;
#[path = "../it/ends.rs"]
mod ends;
#[path = "../it/failures.rs"]
mod failures;
#[path = "../it/faults.rs"]
mod faults;
#[path = "../it/life.rs"]
mod life;
#[path = "../it/odd.rs"]
mod odd;
#[path = "../it/places.rs"]
mod places;
#[path = "../it/procs.rs"]
mod procs;
#[path = "../it/refs.rs"]
mod refs;
#[path = "../it/strangers.rs"]
mod strangers;
#[path = "../it/support.rs"]
mod support;
#[path = "../it/unsent.rs"]
mod unsent;
#[path = "../it/verbs.rs"]
mod verbs;
#[path = "../it/watching.rs"]
mod watching;
#[path = "../it/ways.rs"]
mod ways;
#[path = "../it/words.rs"]
mod words;

/// The fewest: every mesh of three and more is a tree.
const FAN_OUT: usize = 2;
