//! slow: links that take little at a time.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::cable::{End, Family};
use crate::driver::{PATIENCE, Times, Two};
use crate::{Outcome, each, ensure, once};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(each("bulk_over_a_slow_link_delays_no_beat_past_its_period", bulk));
    trials.push(once("an_order_that_takes_longer_than_the_silence_gets_through", large));
    trials
}

/// 64 MiB, over a link that is full all the time: so beats wait in the queue of the link, and some are dropped
/// by it, like all that is sent.
fn bulk(family: Family) -> Outcome {
    let mut two = Two::plain(family, DEFAULT)?;
    for lane in ["liveness", "data"] {
        two.meet(lane)?;
    }
    two.cable.throttle(End::Here, 160)?;
    let period = DEFAULT.lease / 20;
    for peer in [&mut two.here, &mut two.there] {
        peer.ask(&format!("beat liveness {}", period.as_millis()))?;
    }
    two.here.ask("send data 1024 65536")?;
    two.there.hears("data", 1_024, PATIENCE)?;
    for peer in [&mut two.here, &mut two.there] {
        let beats = peer.heard("liveness")?;
        ensure(beats.n >= 5 && beats.delay <= period, || format!("{beats:?}, {period:?}"))?;
        peer.is_quiet(Duration::ZERO)?;
    }
    Ok(())
}

/// While a long frame is on its way, whoever sends it hears that it is taken.
fn large() -> Outcome {
    let mut two = Two::plain(Family::V4, LAN)?;
    two.meet("control")?;
    for end in [End::Here, End::There] {
        two.cable.throttle(end, 2)?;
    }
    // 4 s of the link, where 1.2 s of silence end a connection.
    for peer in [&mut two.here, &mut two.there] {
        peer.ask("send control 1 1000000")?;
    }
    for peer in [&mut two.here, &mut two.there] {
        peer.hears("control", 1, PATIENCE)?;
    }
    two.here.is_quiet(Duration::ZERO)?;
    two.there.is_quiet(Duration::ZERO)
}

/// As programs have them that say nothing of it.
const DEFAULT: Times = Times { lease: Duration::from_secs(10), no_contact: None };

const LAN: Times = Times { lease: Duration::from_secs(4), no_contact: None };
