//! Supervision as a pure state machine, without anything else.
#![forbid(unsafe_code)]

use controller as _;

fn main() {}
