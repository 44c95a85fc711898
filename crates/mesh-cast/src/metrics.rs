//! Every metric of this crate: its name, unit and labels.

use metrics::{Unit, counter, describe_counter};

/// Casts and calls that were refused, since too many of their sender waited for room.
const REFUSED_CASTS_TOTAL: &str = "meshwarden_refused_casts_total";

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it.
pub fn describe() {
    describe_counter!(REFUSED_CASTS_TOTAL, Unit::Count, "Casts that too many waited before.");
}

pub(crate) fn count_refused_cast() {
    counter!(REFUSED_CASTS_TOTAL).increment(1);
}
