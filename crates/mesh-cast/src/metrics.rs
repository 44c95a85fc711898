//! Every metric of this crate: its name, unit and labels.

use metrics::{Unit, counter, describe_counter};

/// Casts and calls that were refused, since too many waited for room, by the `bound` that was reached: `own`, that of their
/// sender, or `shared`, that of all together.
const REFUSED_CASTS_TOTAL: &str = "meshwarden_refused_casts_total";
/// Casts that a relay refused, since it knows as many casters as it may.
const REFUSED_LEGS_TOTAL: &str = "meshwarden_refused_legs_total";

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it.
pub fn describe() {
    describe_counter!(REFUSED_CASTS_TOTAL, Unit::Count, "Casts that too many waited before.");
    describe_counter!(REFUSED_LEGS_TOTAL, Unit::Count, "Casts of more casters than are known.");
}

pub(crate) fn count_refused_legs(n: u64) {
    if n > 0 {
        counter!(REFUSED_LEGS_TOTAL).increment(n);
    }
}

pub(crate) fn count_refused_cast(bound: &'static str) {
    counter!(REFUSED_CASTS_TOTAL, "bound" => bound).increment(1);
}
