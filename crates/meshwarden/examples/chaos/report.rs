//! The verdict, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use mesh_testkit::history::{FaultKind, Observation, Verdict};
use meshwarden::mesh_shape::Extent;
use serde_json::{Value, json};

use crate::ledger::{Ledger, Observer};
use crate::plan::Kind;

/// What a run was, and what came of it.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) seed: u64,
    pub(crate) extent: &'a Extent,
    pub(crate) ledger: &'a Ledger,
    /// Why the run ended early, if it did.
    pub(crate) ended_early: Option<String>,
    /// The processes that are left over.
    pub(crate) left_over: Vec<u32>,
}

impl Report<'_> {
    /// Whether every fault was told once to everybody, as what it was, nothing else was, and no
    /// process is left over.
    pub(crate) fn is_clean(&self) -> bool {
        self.ended_early.is_none()
            && self.left_over.is_empty()
            && self.ledger.oddities().is_empty()
            && Observer::EVERY.iter().all(|observer| self.ledger.verdict(*observer).is_clean())
    }

    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text);
        debug_assert!(written.is_ok(), "a string takes everything");
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "seed {}, mesh {}\n", self.seed, self.extent)?;
        self.write_faults(to)?;
        for observer in Observer::EVERY {
            write_problems(to, observer, &self.ledger.verdict(observer))?;
        }
        for oddity in self.ledger.oddities().iter().take(SHOWN_MAX) {
            writeln!(to, "odd: {oddity}")?;
        }
        if let Some(why) = &self.ended_early {
            writeln!(to, "ended early: {why}")?;
        }
        if !self.left_over.is_empty() {
            writeln!(to, "the processes {:?} are left over", self.left_over)?;
        }
        writeln!(to, "left over: {}", self.left_over.len())
    }

    fn write_faults(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "{:<17}{:>7}", "fault", "times")?;
        for kind in Kind::ALL {
            writeln!(to, "{:<17}{:>7}", kind.label(), self.ledger.n_of(kind))?;
        }
        writeln!(
            to,
            "\n{:<23}{:>20}{:>20}{:>20}{:>20}",
            "ends told to", "lost", "duplicate", "spurious", "wrong cause"
        )?;
        for observer in Observer::EVERY {
            let n = self.ledger.n_for(observer);
            let [lost, duplicate, spurious, wrong] =
                counts(&self.ledger.verdict(observer)).map(|count| bounded(count, n));
            let name = observer.label();
            writeln!(to, "{name:<23}{lost:>20}{duplicate:>20}{spurious:>20}{wrong:>20}")?;
        }
        writeln!(
            to,
            "\n{:<17}{:<23}{:>7}{:>10}{:>10}{:>10}   milliseconds",
            "fault", "seen by", "times", "p50", "p99", "max"
        )?;
        for (kind, observer, latencies) in self.latencies() {
            let [p50, p99, max] = [50, 99, 100].map(|it| millis(percentile(&latencies, it)));
            let (kind, name, n) = (kind.label(), observer.label(), latencies.len());
            writeln!(to, "{kind:<17}{name:<23}{n:>7}{p50:>10.2}{p99:>10.2}{max:>10.2}")?;
        }
        writeln!(to)
    }

    /// All that was done and seen, so that it can be judged again, and the verdict.
    pub(crate) fn json(&self) -> Value {
        let faults = self.ledger.faults().iter().map(|(kind, fault)| {
            let end = match &fault.kind {
                FaultKind::Ends(end) => Some(format!("{end:?}")),
                FaultKind::Suspends | FaultKind::Continues => None,
            };
            json!({
                "id": fault.id, "kind": kind.label(), "end": end, "rank": fault.rank.index(),
                "incarnation": fault.incarnation.number(), "at": seconds(fault.at.since_start()),
            })
        });
        let told = Observer::EVERY.map(|observer| {
            let [lost, duplicate, spurious, wrong] = counts(&self.ledger.verdict(observer));
            json!({
                "observer": observer.label(), "faults": self.ledger.n_for(observer), "lost": lost,
                "duplicate": duplicate, "spurious": spurious, "wrong_cause": wrong,
            })
        });
        let latencies = self.latencies().map(|(kind, observer, latencies)| {
            let [p50, p99, max] = [50, 99, 100].map(|it| seconds(percentile(&latencies, it)));
            json!({
                "kind": kind.label(), "observer": observer.label(), "n": latencies.len(),
                "p50_seconds": p50, "p99_seconds": p99, "max_seconds": max,
            })
        });
        json!({
            "seed": self.seed, "extent": self.extent.to_string(), "is_clean": self.is_clean(),
            "ended_early": self.ended_early, "left_over": self.left_over, "told": told,
            "oddities": self.ledger.oddities(), "latencies": latencies.collect::<Vec<_>>(),
            "faults": faults.collect::<Vec<_>>(),
            "observations": self.ledger.observations().map(observation).collect::<Vec<_>>(),
        })
    }

    /// The latencies of every kind at everybody who saw any.
    fn latencies(&self) -> impl Iterator<Item = (Kind, Observer, Vec<Duration>)> {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| Observer::EVERY.map(|observer| (kind, observer)))
            .map(|(kind, observer)| (kind, observer, self.ledger.latencies(observer, kind)))
            .filter(|(_, _, latencies)| !latencies.is_empty())
    }
}

fn observation(seen: &Observation) -> Value {
    json!({
        "observer": seen.observer, "rank": seen.rank.index(),
        "incarnation": seen.incarnation.number(), "status": seen.status.to_string(),
        "at": seconds(seen.at.since_start()),
    })
}

fn write_problems(to: &mut String, observer: Observer, verdict: &Verdict) -> std::fmt::Result {
    let name = observer.label();
    for (id, _) in verdict.lost.iter().take(SHOWN_MAX) {
        writeln!(to, "lost: the {name} was never told of fault {id}")?;
    }
    for (word, seen) in [("duplicate", &verdict.duplicate), ("spurious", &verdict.spurious)] {
        for seen in seen.iter().take(SHOWN_MAX) {
            let Observation { rank, incarnation, status, .. } = seen;
            writeln!(
                to,
                "{word}: the {name} was told of rank {rank}, life {incarnation}: {status}"
            )?;
        }
    }
    for (id, seen) in verdict.wrong_cause.iter().take(SHOWN_MAX) {
        writeln!(to, "wrong cause: the {name} was told of fault {id} as {}", seen.status)?;
    }
    Ok(())
}

const fn counts(verdict: &Verdict) -> [usize; 4] {
    let Verdict { lost, duplicate, spurious, wrong_cause, .. } = verdict;
    [lost.len(), duplicate.len(), spurious.len(), wrong_cause.len()]
}

/// A count of `n`; for none, what the truth is not above, with 95 % confidence: 3/N.
fn bounded(count: usize, n: usize) -> String {
    if count > 0 || n == 0 {
        return format!("{count} of {n}");
    }
    format!("0 of {n} (≤ {:.1} %)", (300.0 / n as f64).min(100.0))
}

/// The nearest-rank percentile of what is in rising order; 0 of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let nearest = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(nearest - 1).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// The most lines about problems of one sort.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_many_is_not_nothing() {
        assert_eq!(bounded(0, 300), "0 of 300 (≤ 1.0 %)");
        assert_eq!(bounded(0, 2), "0 of 2 (≤ 100.0 %)");
        assert_eq!(bounded(3, 300), "3 of 300");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let found = [50, 99, 100].map(|percent| percentile(&sorted, percent).as_millis());
        assert_eq!(found, [100, 198, 200]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
