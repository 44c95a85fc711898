//! links: cables that are pulled out and plugged in again.

use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::cable::{End, Family};
use crate::driver::{PATIENCE, Times, Two};
use crate::{Outcome, each, once};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(each("a_session_outlives_a_link_that_is_down_for_a_while", outage));
    trials.extend(each("a_session_under_tls_outlives_a_link_that_is_down_for_a_while", secured));
    trials.extend(each("a_link_that_flaps_under_load_loses_nothing", flapping));
    trials.push(once("what_is_too_large_for_a_link_that_has_shrunk_gets_through", shrunk));
    trials
}

/// R2.
fn outage(family: Family) -> Outcome {
    resumes(Two::plain(family, LAN)?)
}

/// R2.
fn secured(family: Family) -> Outcome {
    resumes(Two::secured(family, LAN)?)
}

/// A link that is down for longer than a connection lives, and for less than a session does: what is sent
/// before, meanwhile and after that arrives once, in order, both ways, and nobody is lost.
fn resumes(mut two: Two) -> Outcome {
    for lane in ["control", "data"] {
        two.meet(lane)?;
        for peer in [&mut two.here, &mut two.there] {
            peer.ask(&format!("send {lane} 500 300"))?;
        }
    }
    two.cable.down(End::Here)?;
    for lane in ["control", "data"] {
        for peer in [&mut two.here, &mut two.there] {
            peer.ask(&format!("send {lane} 500 300"))?;
        }
    }
    two.here.is_quiet(LAN.lease / 2)?;
    two.cable.up(End::Here)?;
    for peer in [&mut two.here, &mut two.there] {
        peer.ask("send control 500 300")?;
        peer.ask("send data 500 300")?;
    }
    for peer in [&mut two.here, &mut two.there] {
        peer.hears("control", 1_500, PATIENCE)?;
        peer.hears("data", 1_500, PATIENCE)?;
    }
    two.here.is_quiet(Duration::ZERO)?;
    two.there.is_quiet(Duration::ZERO)
}

/// R2: a cable that is pulled out again and again, at either end, while much is on its way.
fn flapping(family: Family) -> Outcome {
    let mut two = Two::plain(family, LAN)?;
    two.meet("control")?;
    two.meet("data")?;
    for peer in [&mut two.here, &mut two.there] {
        peer.ask("send data 20000 1000")?;
        peer.ask("send control 2000 100")?;
    }
    for flap in 0..10_u64 {
        let end = if flap % 2 == 0 { End::Here } else { End::There };
        // Of every length, so that it ends at every place of what is going on.
        sleep(Duration::from_millis(20 + flap * 13));
        two.cable.down(end)?;
        sleep(Duration::from_millis(10 + flap * 29));
        two.cable.up(end)?;
    }
    for peer in [&mut two.here, &mut two.there] {
        peer.hears("control", 2_000, PATIENCE)?;
        peer.hears("data", 20_000, PATIENCE)?;
        peer.is_quiet(Duration::ZERO)?;
    }
    Ok(())
}

/// A link on which small packets pass and large ones vanish: on the lane of control that is silence, and the
/// next connection knows how large packets may be.
fn shrunk() -> Outcome {
    let mut two = Two::plain(Family::V4, LAN)?;
    two.meet("control")?;
    two.cable.mtu(End::There, 700)?;
    two.here.ask("send control 10 100000")?;
    two.there.hears("control", 10, PATIENCE)?;
    two.there.is_quiet(Duration::ZERO)?;
    two.here.is_quiet(Duration::ZERO)
}

const LAN: Times = Times { lease: Duration::from_secs(4), no_contact: None };
