//! Every metric of this crate: its name, unit and labels. Of actors and of supervision others count.

use metrics::{Unit, counter, describe_counter};

/// Questions that an agent refused, since as many are open as may be, by `what`: [`WAIT`] or [`STREAM`].
const REFUSALS_TOTAL: &str = "meshwarden_agent_refusals_total";
/// Actors that were asked to end since their keeper is lost, and not by it.
const CULLED_TOTAL: &str = "meshwarden_actors_culled_total";
/// Actors that were not spawned, since their process is poisoned.
const POISONED_TOTAL: &str = "meshwarden_poisoned_spawns_total";
/// Actors of which it was forgotten how they ended, since as many are kept for lost keepers as may be.
const FORGOTTEN_TOTAL: &str = "meshwarden_orphans_forgotten_total";

/// Somebody waits for a rank.
pub(crate) const WAIT: &str = "wait";
/// Somebody follows the actors of a mesh.
pub(crate) const STREAM: &str = "stream";

/// Gives the recorder the unit and the help text of each metric, and makes each show at zero. Call it right after
/// installing the recorder.
pub fn describe() {
    describe_counter!(REFUSALS_TOTAL, Unit::Count, "Waits and streams that an agent refused.");
    describe_counter!(CULLED_TOTAL, Unit::Count, "Actors ended since their keeper is lost.");
    describe_counter!(POISONED_TOTAL, Unit::Count, "Actors not spawned in a poisoned process.");
    describe_counter!(FORGOTTEN_TOTAL, Unit::Count, "Orphans whose end nobody asked for in time.");
    for what in [WAIT, STREAM] {
        counter!(REFUSALS_TOTAL, "what" => what).increment(0);
    }
    for name in [CULLED_TOTAL, POISONED_TOTAL, FORGOTTEN_TOTAL] {
        counter!(name).increment(0);
    }
}

pub(crate) fn count_refusal(what: &'static str) {
    counter!(REFUSALS_TOTAL, "what" => what).increment(1);
}

pub(crate) fn count_culled() {
    counter!(CULLED_TOTAL).increment(1);
}

pub(crate) fn count_poisoned() {
    counter!(POISONED_TOTAL).increment(1);
}

pub(crate) fn count_forgotten(n: usize) {
    counter!(FORGOTTEN_TOTAL).increment(n as u64);
}
