//! lives: peers that vanish, that come back as another life, or as somebody else; and nobody at all.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::cable::{End, Family};
use crate::driver::{PATIENCE, THERE, Times, Two, Who};
use crate::{Outcome, each, ensure, once};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(each("a_host_that_vanishes_is_found_out", vanished));
    trials.extend(each("a_peer_that_was_started_again_is_another_one", another_life));
    trials.push(once("a_stranger_at_the_port_of_a_peer_is_not_the_peer", stranger));
    trials.push(once("a_process_that_ends_is_told_at_once", ended));
    trials.extend(each("a_dial_that_nobody_answers_has_a_deadline", unanswered));
    trials
}

/// D8: half a connection is left: no word of its end ever comes.
fn vanished(family: Family) -> Outcome {
    let brief = Times { no_contact: Some(Duration::from_millis(1)), ..LAN };
    let mut two = Two::plain(family, brief)?;
    two.meet("control")?;
    two.cable.swallow(End::There)?;
    two.there.kill();
    two.cable.remove(End::There)?;
    let begun = Instant::now();
    two.here.ask("send control 20 200")?;
    let told = two.here.told(PATIENCE)?;
    let after = told.when.saturating_duration_since(begun);
    let is_told = told.what == "lost control no_contact back 0..=19";
    ensure(is_told && after <= LAN.lease * 7 / 20 + SLACK, || format!("{after:?}: {told:?}"))?;
    two.here.is_quiet(LAN.lease / 4)
}

/// H2, R3: everything for the old life comes back as soon as the new one is met.
fn another_life(family: Family) -> Outcome {
    let told = met_instead(family, Who { life: 1, ..THERE })?;
    is_lost(&told, "replaced(incarnation(1))")
}

/// R3.
fn stranger() -> Outcome {
    let told = met_instead(Family::V4, Who { proc: 3, life: 0 })?;
    is_lost(&told, "gone")
}

/// Whether it is told why, and all came back that had not arrived: the last 20 of 30. Of those before, some may
/// have been acknowledged too late.
fn is_lost(told: &str, why: &str) -> Outcome {
    let back = told.strip_prefix(&format!("lost control {why} back "));
    let first = back.and_then(|back| back.strip_suffix("..=29")).and_then(|it| it.parse().ok());
    ensure(first.is_some_and(|first: u32| first <= 10), || format!("it tells {told:?}"))
}

/// What is told when another process listens where the peer did, which has ended without a word.
fn met_instead(family: Family, who: Who) -> Result<String, crate::Fault> {
    let mut two = Two::plain(family, LAN)?;
    two.meet("control")?;
    two.here.ask("send control 10 200")?;
    two.there.hears("control", 10, PATIENCE)?;
    two.cable.swallow(End::There)?;
    two.here.ask("send control 20 200")?;
    two.replace(who, "control")?;
    two.cable.heal(End::There)?;
    let told = two.here.told(PATIENCE)?;
    two.here.is_quiet(LAN.lease / 4)?;
    // Nothing of the old session has reached who is there now.
    ensure(two.there.heard("control")?.n == 0, || "it got what was not for it".to_owned())?;
    two.there.is_quiet(Duration::ZERO)?;
    Ok(told.what)
}

/// D3: the kernel of the other machine says that nobody is there any more.
fn ended() -> Outcome {
    let mut two = Two::plain(Family::V4, LAN)?;
    two.meet("control")?;
    let begun = Instant::now();
    two.there.kill();
    let told = two.here.told(PATIENCE)?;
    let after = told.when.saturating_duration_since(begun);
    let is_told = told.what == "lost control gone back nothing";
    ensure(is_told && after <= Duration::from_millis(100) + SLACK, || {
        format!("{after:?}: {told:?}")
    })
}

/// Nothing ever comes back of the first packet of a connection.
fn unanswered(family: Family) -> Outcome {
    let mut two = Two::plain(family, LAN)?;
    two.there.ask("listen control")?;
    // The two machines know each other: otherwise it is said that there is none of that address.
    two.meet("data")?;
    two.cable.swallow(End::There)?;
    let begun = Instant::now();
    let dialled = two.here.try_ask(&format!("dial control {}", THERE.proc))?;
    let after = begun.elapsed();
    let why = dialled.err().unwrap_or_default();
    let is_told = why.ends_with("did not answer within 2s");
    let span = Duration::from_secs(2)..=Duration::from_secs(2) + SLACK;
    ensure(is_told && span.contains(&after), || format!("{after:?}: {why}"))
}

const LAN: Times = Times { lease: Duration::from_secs(4), no_contact: None };

/// What the scheduler of a machine takes that is busy with all the other tests.
const SLACK: Duration = Duration::from_millis(400);
