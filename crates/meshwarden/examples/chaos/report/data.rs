//! All that was done and seen, so that it can be judged again, and the verdict.

use std::time::Duration;

use mesh_testkit::history::{Fault, FaultKind, Observation};
use serde_json::{Value, json};

use super::{Report, Tally, percentile};
use crate::kind::{Kind, Program};
use crate::ledger::{Done, IsHogged, Observer};

impl Report<'_> {
    /// Everything.
    pub(crate) fn json(&self) -> Value {
        let told = self.tallies().map(|(name, tally)| {
            let Tally { lost, duplicate, spurious, wrong_cause, n_ends, n_seen } = tally;
            json!({
                "observer": name, "ends": n_ends, "to_be_seen": n_seen, "lost": lost,
                "duplicate": duplicate, "spurious": spurious, "wrong_cause": wrong_cause,
            })
        });
        let skipped = self.skipped.iter();
        let skipped = skipped.map(|(kind, why)| json!({ "kind": kind.label(), "why": why }));
        json!({
            "seed": self.options.seed, "extent": self.options.extent.to_string(),
            "hogs": self.options.n_hogs, "machine": self.machine.to_string(),
            "is_clean": self.is_clean(), "ended_early": self.ended_early,
            "skipped": skipped.collect::<Vec<_>>(),
            "left_over": self.left_over, "oddities": self.ledger.oddities(),
            "problems": self.programs.problems(), "told": told.collect::<Vec<_>>(),
            "latencies": self.figures(), "programs": self.fates(),
            "faults": self.ledger.faults().iter().map(fault).collect::<Vec<_>>(),
            "observations": self.ledger.observations().map(observation).collect::<Vec<_>>(),
        })
    }

    /// The latencies of every kind at everybody who saw any, and the floors.
    fn figures(&self) -> Vec<Value> {
        let mut figures = Vec::new();
        for kind in Kind::ALL {
            for is_hogged in [false, true] {
                for observer in Observer::EVERY {
                    let told = self.ledger.latencies(observer, kind, is_hogged);
                    figures.extend(figure((kind.label(), is_hogged), observer.label(), &told));
                }
                let floor = self.ledger.floor(kind, is_hogged);
                figures.extend(figure((kind.label(), is_hogged), "floor", &floor));
            }
        }
        figures
    }

    fn fates(&self) -> Vec<Value> {
        let mut fates = Vec::new();
        for program in Program::ALL {
            for is_hogged in [false, true] {
                fates.extend(self.programs.of(program, is_hogged).map(|fate| {
                    json!({
                        "kind": program.label(), "hogs": is_hogged,
                        "gone_after": seconds(fate.gone_after),
                        "told_after": fate.told_after.map(seconds), "problems": fate.problems,
                    })
                }));
            }
        }
        fates
    }
}

fn figure(
    (kind, is_hogged): (&str, IsHogged),
    observer: &str,
    sorted: &[Duration],
) -> Option<Value> {
    let [p50, p99, max] = [50, 99, 100].map(|it| seconds(percentile(sorted, it)));
    (!sorted.is_empty()).then(|| {
        json!({
            "kind": kind, "hogs": is_hogged, "observer": observer, "n": sorted.len(),
            "p50_seconds": p50, "p99_seconds": p99, "max_seconds": max,
        })
    })
}

fn fault(done: &Done) -> Value {
    let Fault { id, rank, incarnation, kind, at } = &done.fault;
    let end = match kind {
        FaultKind::Ends(end) => Some(format!("{end:?}")),
        FaultKind::Suspends | FaultKind::Continues => None,
    };
    json!({
        "id": id, "kind": done.kind.label(), "hogs": done.is_hogged, "end": end,
        "rank": rank.index(), "incarnation": incarnation.number(),
        "at": seconds(at.since_start()),
        "ended": done.ended.map(|at| seconds(at.since_start())),
    })
}

fn observation(seen: &Observation) -> Value {
    json!({
        "observer": seen.observer, "rank": seen.rank.index(),
        "incarnation": seen.incarnation.number(), "status": seen.status.to_string(),
        "at": seconds(seen.at.since_start()),
    })
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
