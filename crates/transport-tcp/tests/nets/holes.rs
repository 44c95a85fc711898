//! holes: links that swallow what goes one way, or both, without a word.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::cable::{End, Family};
use crate::driver::{Peer, Times, Two};
use crate::{Fault, Outcome, each, ensure};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(each("a_hole_there_is_found_by_both_ends", there));
    trials.extend(each("a_hole_back_is_found_by_both_ends", back));
    trials.extend(each("a_hole_both_ways_is_found_by_both_ends", both));
    trials.extend(each("a_hole_under_tls_is_found_by_both_ends", under_tls));
    trials.extend(each("nobody_is_lost_before_the_lease_of_a_session_is_over", lasting));
    trials
}

/// D9.
fn there(family: Family) -> Outcome {
    found(Two::plain(family, BRIEF)?, &[End::Here])
}

/// D9.
fn back(family: Family) -> Outcome {
    found(Two::plain(family, BRIEF)?, &[End::There])
}

/// D8.
fn both(family: Family) -> Outcome {
    found(Two::plain(family, BRIEF)?, &[End::Here, End::There])
}

/// D9.
fn under_tls(family: Family) -> Outcome {
    let end = if family == Family::V4 { End::Here } else { End::There };
    found(Two::secured(family, BRIEF)?, &[end])
}

/// What leaves these ends is swallowed from now on: both peers find that out within the deadline for
/// [`Unreachable`](mesh_core::Status), each tells it once, and what it has sent meanwhile comes back. When the
/// link heals, nothing of it comes to life again.
fn found(mut two: Two, swallowed: &[End]) -> Outcome {
    two.meet("control")?;
    for peer in [&mut two.here, &mut two.there] {
        peer.ask("send control 100 200")?;
    }
    two.there.hears("control", 100, Duration::from_secs(5))?;
    two.here.hears("control", 100, Duration::from_secs(5))?;
    let before = Instant::now();
    for end in swallowed {
        two.cable.swallow(*end)?;
    }
    let since = (before, Instant::now());
    for peer in [&mut two.here, &mut two.there] {
        peer.ask("send control 50 200")?;
    }
    let backs = [lost(&mut two.here, since)?, lost(&mut two.there, since)?];
    for end in swallowed {
        two.cable.heal(*end)?;
    }
    two.here.is_quiet(BRIEF.lease / 4)?;
    two.there.is_quiet(BRIEF.lease / 20)?;
    // Each envelope has arrived in its turn, or has come back, or both: its acknowledgement may have been late.
    let heard = [two.there.heard("control")?.n, two.here.heard("control")?.n];
    for (heard, back) in heard.into_iter().zip(backs) {
        let is_whole = back
            .strip_suffix("..=149")
            .is_some_and(|first| first.parse().is_ok_and(|first: u64| first <= heard));
        let is_there = heard == 150 && back == "nothing";
        ensure(is_whole || is_there, || format!("{heard} have arrived, and {back} came back"))?;
    }
    // Where the way there was swallowed, nothing has arrived, so that all of it came back.
    let n = if swallowed.contains(&End::Here) { 100 } else { 150 };
    ensure(heard[0] == n, || format!("{} have arrived", heard[0]))
}

/// Waits until a peer tells that the other one is lost, in time since the hole was made between these two
/// moments. Returns what has come back.
fn lost(peer: &mut Peer, (before, since): (Instant, Instant)) -> Result<String, Fault> {
    let told = peer.told(Duration::from_secs(10))?;
    let [longest, after] = [before, since].map(|since| told.when.saturating_duration_since(since));
    let word = told.what.strip_prefix("lost control no_contact back ");
    let back = word.ok_or_else(|| format!("it tells {:?}", told.what))?.to_owned();
    let (early, late) = (BRIEF.lease * 3 / 10 - BRIEF.lease / 20, BRIEF.lease * 7 / 20 + SLACK);
    let is_in_time = early <= longest && after <= late;
    ensure(is_in_time, || format!("told after {after:?}, {early:?}..={late:?}"))?;
    Ok(back)
}

/// With the times that programs have: a hole that lasts for less than the lease is no loss, and what was sent
/// meanwhile arrives; one that lasts is told by both ends, when the lease of the session has run out too.
fn lasting(family: Family) -> Outcome {
    let times = Times { lease: Duration::from_secs(2), no_contact: None };
    let mut two = Two::plain(family, times)?;
    two.meet("control")?;
    two.cable.swallow(End::Here)?;
    let begun = Instant::now();
    two.here.ask("send control 50 200")?;
    // Longer than the silence after which the connection is given up.
    two.here.is_quiet(times.lease * 3 / 5)?;
    two.cable.heal(End::Here)?;
    two.there.hears("control", 50, times.lease)?;
    ensure(begun.elapsed() >= times.lease / 2, || "it was no hole".to_owned())?;
    two.there.is_quiet(Duration::ZERO)?;

    for end in [End::Here, End::There] {
        two.cable.swallow(end)?;
    }
    let begun = Instant::now();
    for peer in [&mut two.here, &mut two.there] {
        let told = peer.told(times.lease * 2)?;
        let after = told.when.saturating_duration_since(begun);
        let late = times.lease * 27 / 20 + SLACK;
        let back = told.what.strip_prefix("lost control no_contact back ");
        let is_told = back.is_some_and(|back| back == "nothing" || back.ends_with("..=49"));
        ensure(is_told && (times.lease..=late).contains(&after), || {
            format!("{after:?}: {told:?}")
        })?;
    }
    Ok(())
}

/// A session that ends as soon as its connection is given up, so that this is seen.
const BRIEF: Times =
    Times { lease: Duration::from_secs(4), no_contact: Some(Duration::from_millis(1)) };

/// T/50 for both ends of the promise, and what the scheduler of a machine takes that is busy with all the
/// other tests.
const SLACK: Duration = Duration::from_millis(400);
