//! Every metric of this crate: its name, unit and labels. Supervision has its own.

use metrics::{Unit, counter, describe_counter};

use crate::unkillable::WhyUnkillable;

/// Processes that had not ended some time after `SIGKILL`, by `why` (`uninterruptible`, `other_user`,
/// `traced`, `unknown`). Each counts once, also if it ends later.
pub const UNKILLABLE: &str = "meshwarden_procs_unkillable_total";

/// Gives the recorder the help and unit of each metric, and makes those that count from nothing show at
/// zero. Call it right after installing the recorder.
pub fn describe() {
    describe_counter!(
        UNKILLABLE,
        Unit::Count,
        "Processes that had not ended some time after SIGKILL, by why."
    );
    for why in WhyUnkillable::LABELS {
        counter!(UNKILLABLE, "why" => why).increment(0);
    }
}

/// A process resists.
pub(crate) fn unkillable(why: &WhyUnkillable) {
    counter!(UNKILLABLE, "why" => why.label()).increment(1);
}
