//! Judges a run: each injected fault is matched with exactly one end at every observer.
//!
//! Pure: a history is data, so that a recorded run can be judged again.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{Cause, Incarnation, Link, Reason, Status, Subject, Timestamp};
use mesh_shape::Rank;

/// What was done in a run, and what everybody saw of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Every fault that was injected.
    pub faults: Vec<Fault>,
    /// Whom to expect an end at: the owner, and each subscriber by its name. One who saw nothing at
    /// all is judged too, if it is named here.
    pub observers: Vec<String>,
    /// What they saw, in any order.
    pub observations: Vec<Observation>,
}

/// One fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number, to be named in the verdict.
    pub id: u64,
    /// The rank it was done to.
    pub rank: Rank,
    /// The life it was done to.
    pub incarnation: Incarnation,
    /// What it does.
    pub kind: FaultKind,
    /// When, on the clock of the observations.
    pub at: Timestamp,
}

/// What a fault does to a rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It ends its life, like this.
    Ends(End),
    /// It suspends it: no end.
    Suspends,
    /// It lets it go on: no end.
    Continues,
}

/// How a life must be seen to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Well.
    Stopped,
    /// With exactly this reason: this exit code, this signal.
    Failed(Reason),
    /// With what it lived in, which was this rank of its own mesh and ended with exactly this reason.
    Within {
        /// The rank of what it lived in.
        home: Rank,
        /// The reason of that.
        reason: Reason,
    },
    /// By its lease, whatever explains it later.
    Timeout,
}

/// What one observer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who saw it.
    pub observer: String,
    /// Of which rank.
    pub rank: Rank,
    /// Of which life.
    pub incarnation: Incarnation,
    /// What it was seen as; only ends are judged.
    pub status: Status,
    /// When, on the clock of the faults.
    pub at: Timestamp,
}

/// What is wrong with a run, and how fast the rest was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Faults that end a life, and observers that never saw it end: the fault's id, the observer.
    pub lost: Vec<(u64, String)>,
    /// Ends that an observer saw again.
    pub duplicate: Vec<Observation>,
    /// Ends of lives that no fault had ended by then.
    pub spurious: Vec<Observation>,
    /// Ends that were seen as something else than the fault was: the fault's id, what was seen.
    pub wrong_cause: Vec<(u64, Observation)>,
    /// From each fault to each observer's first sight of it, by kind of end, in rising order.
    pub latencies: BTreeMap<&'static str, Vec<Duration>>,
}

impl Verdict {
    /// Whether every fault was seen once by everybody, as what it was, and nothing else was.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost.is_empty()
            && self.duplicate.is_empty()
            && self.spurious.is_empty()
            && self.wrong_cause.is_empty()
    }

    /// The latency that `percent` of the ends of a kind were not slower than; `None` if there are
    /// none.
    ///
    /// # Source
    ///
    /// The nearest-rank percentile.
    #[must_use]
    pub fn percentile(&self, kind: &str, percent: usize) -> Option<Duration> {
        let latencies = self.latencies.get(kind)?;
        let nearest = (latencies.len() * percent.min(100)).div_ceil(100).max(1);
        latencies.get(nearest - 1).copied()
    }
}

impl End {
    /// The name of its kind in [`Verdict::latencies`].
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Failed(reason) => reason.label(),
            Self::Within { .. } => Reason::Inherited.label(),
            Self::Timeout => "timeout",
        }
    }

    fn is_seen_as(&self, status: &Status) -> bool {
        match (self, status) {
            (Self::Stopped, Status::Stopped) | (Self::Timeout, Status::Timeout { .. }) => true,
            (Self::Failed(reason), Status::Failed(cause)) => cause.reason == *reason,
            (Self::Within { home, reason }, Status::Failed(cause)) => {
                cause.reason == Reason::Inherited && is_of_home(cause, *home, reason)
            }
            _ => false,
        }
    }
}

/// Whether all that is said of what caused an end is that of its home.
fn is_of_home(cause: &Cause, home: Rank, reason: &Reason) -> bool {
    let [Link { subject: Subject::Rank { rank, .. }, reason: its }] = cause.chain.as_slice() else {
        return false;
    };
    (*rank, its) == (home, reason)
}

impl History {
    /// Matches the faults with what was seen.
    ///
    /// Of several faults that end one life the earliest counts: the others came too late to end it.
    /// An end that is seen before its fault was injected is spurious.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let faults = self.ends();
        let mut seen: BTreeMap<(&str, Rank, Incarnation), usize> = BTreeMap::new();
        let mut observations: Vec<&Observation> =
            self.observations.iter().filter(|seen| seen.status.is_terminal()).collect();
        observations.sort_by_key(|seen| seen.at);
        for observation in observations {
            let life = (observation.rank, observation.incarnation);
            let fault = faults.get(&life).filter(|(fault, _)| fault.at <= observation.at);
            let Some((fault, end)) = fault else {
                verdict.spurious.push(observation.clone());
                continue;
            };
            let times = seen.entry((&observation.observer, life.0, life.1)).or_default();
            *times += 1;
            if *times > 1 {
                verdict.duplicate.push(observation.clone());
                continue;
            }
            if !end.is_seen_as(&observation.status) {
                verdict.wrong_cause.push((fault.id, observation.clone()));
            }
            let latency = observation.at.since(fault.at);
            verdict.latencies.entry(end.label()).or_default().push(latency);
        }
        for (fault, _) in faults.values() {
            let missed = |observer: &&String| {
                !seen.contains_key(&(observer.as_str(), fault.rank, fault.incarnation))
            };
            let missed = self.observers.iter().filter(missed);
            verdict.lost.extend(missed.map(|observer| (fault.id, observer.clone())));
        }
        verdict.lost.sort();
        verdict.latencies.values_mut().for_each(|latencies| latencies.sort());
        verdict
    }

    /// The fault that ends each life.
    fn ends(&self) -> BTreeMap<(Rank, Incarnation), (&Fault, &End)> {
        let mut ends: BTreeMap<(Rank, Incarnation), (&Fault, &End)> = BTreeMap::new();
        for fault in &self.faults {
            let FaultKind::Ends(end) = &fault.kind else { continue };
            let first = ends.entry((fault.rank, fault.incarnation)).or_insert((fault, end));
            if fault.at < first.0.at {
                *first = (fault, end);
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests;
