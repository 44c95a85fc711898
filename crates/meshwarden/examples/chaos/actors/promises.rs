//! What is promised of how soon it is told, and whether that holds.
//!
//! Judged is the median, without hogs: the promises are of the 99th percentile, of which a machine that others share has a
//! part that nobody here can know. A look every half second in place of a word would show all the same.

use std::fmt;
use std::time::Duration;

use super::THRESHOLD;
use crate::kind::Kind;
use crate::ledger::{Ledger, Observer};
use crate::report::{millis, percentile};

/// A promise that was not kept.
pub(crate) struct Broken {
    id: &'static str,
    kind: Kind,
    limit: Duration,
    p50: Duration,
}

/// So many times as late it may be, for a machine that others want as well.
const SLACK: u32 = 4;

/// Of fewer nothing is judged, and that is said.
const TIMES_MIN: usize = 5;

/// What is promised of, and was done too seldom to be judged.
pub(crate) fn not_judged(ledger: &Ledger) -> impl Iterator<Item = (&'static str, Kind)> {
    let is_rare = |kind: Kind| {
        let n = latencies(ledger, kind).len();
        let (id, _) = promise(kind).filter(|_| (1..TIMES_MIN).contains(&n))?;
        Some((id, kind))
    };
    Kind::OF_ACTORS.into_iter().filter_map(is_rare)
}

/// Which promises were not kept.
pub(crate) fn broken(ledger: &Ledger) -> Vec<Broken> {
    let late = |kind: &Kind| {
        let (id, limit) = promise(*kind)?;
        let times = latencies(ledger, *kind);
        let p50 = percentile(&times, 50);
        let is_late = times.len() >= TIMES_MIN && p50 > limit * SLACK;
        is_late.then_some(Broken { id, kind: *kind, limit, p50 })
    };
    Kind::OF_ACTORS.iter().filter_map(late).collect()
}

/// From the end itself, or from the threshold, until a subscriber was told.
fn latencies(ledger: &Ledger, kind: Kind) -> Vec<Duration> {
    let told = ledger.latencies(Observer::All, kind, false);
    match kind {
        Kind::Wait | Kind::Block => told.iter().map(|it| it.saturating_sub(THRESHOLD)).collect(),
        Kind::Panic | Kind::Error | Kind::AllPanic => {
            ledger.latencies_of_news(Observer::All, kind, false)
        }
        _ => told,
    }
}

const fn promise(kind: Kind) -> Option<(&'static str, Duration)> {
    match kind {
        Kind::Panic | Kind::Error => Some(("D1", Duration::from_millis(50))),
        Kind::HomeKill | Kind::RelayKill => Some(("D3", Duration::from_millis(50))),
        Kind::RelayStop => Some(("D6", Duration::from_millis(50))),
        Kind::Wait | Kind::Block => Some(("D7", Duration::from_millis(200))),
        Kind::AllPanic => Some(("Q2", Duration::from_secs(2))),
        _ => None,
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, p50, limit) = (self.kind.label(), millis(self.p50), millis(self.limit));
        write!(
            f,
            "{label}: told after {p50:.1} ms at p50, promised within {limit:.0} ms ({})",
            self.id
        )
    }
}
