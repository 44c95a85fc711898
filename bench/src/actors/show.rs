//! The table, and which targets hold.

use std::fs;

use super::entrants::{is_peer, missing};
use crate::measure::Effort;
use crate::report::{Record, Report};

/// Shows what the other program has measured, and which targets hold.
pub(crate) fn show(_: Effort, found: Vec<Vec<Record>>, report: &mut Report) {
    for records in found {
        for target in TARGETS.iter().filter(|target| target.is_of(&records)) {
            judge(target, &records, report);
        }
        report.add(records);
    }
    for peer in missing() {
        report.skipped(peer, "IT IS NOT HERE: it did not build; what cargo said is above");
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    report.note(&format!("load of the machine at the end, over 1, 5 and 15 minutes: {load}"));
}

/// What is asked of ours in one work.
struct Target {
    work: &'static str,
    is: Is,
}

enum Is {
    /// At least so many times what the floor does, at most so many times what it takes.
    AtLeastOfFloor(f64),
    AtMostOfFloor(f64),
    /// At least so many times what the best peer does.
    AtLeastOfBest(f64),
    Nanos(f64),
    Bytes(f64),
}

impl Target {
    fn is_of(&self, records: &[Record]) -> bool {
        records.first().is_some_and(|record| record.work() == self.work)
    }
}

fn judge(target: &Target, records: &[Record], report: &mut Report) {
    let [ours, ..] = records else { return };
    let work = ours.work();
    let floor = || records.iter().find(|record| record.by() == "floor");
    let peers = || records.iter().filter(|record| is_peer(record.by()));
    let best = || peers().max_by(|a, b| a.median().total_cmp(&b.median()));
    let beside = match target.is {
        Is::Nanos(max) => return report.judge(work, ours.median(), (max, "ns")),
        Is::Bytes(max) => return report.judge(work, ours.median(), (max, "B")),
        Is::AtLeastOfFloor(_) | Is::AtMostOfFloor(_) => floor(),
        Is::AtLeastOfBest(_) => best(),
    };
    let Some(other) = beside else { return report.skipped(work, "nobody is there beside it") };
    let (what, ratio) = (format!("{work}, ÷ {}", other.by()), ours.median() / other.median());
    match target.is {
        Is::AtMostOfFloor(max) => report.judge(&what, ratio, (max, "×")),
        Is::AtLeastOfFloor(min) | Is::AtLeastOfBest(min) => {
            report.judge_least(&what, ratio, (min, "×"));
        }
        Is::Nanos(_) | Is::Bytes(_) => (),
    }
}

const fn target(work: &'static str, is: Is) -> Target {
    Target { work, is }
}

/// On two threads, and whoever is ahead of the others there is to be so on one as well.
const TARGETS: &[Target] = &[
    target("one producer → one actor", Is::AtLeastOfBest(1.0)),
    target("one producer → one actor", Is::AtLeastOfFloor(0.5)),
    target("8 producers → one actor", Is::AtLeastOfBest(2.0)),
    target("8 pairs", Is::AtLeastOfBest(1.0)),
    target("call; p50", Is::Nanos(600.0)),
    target("spawn of an actor", Is::AtMostOfFloor(1.5)),
    target("memory of an idle actor", Is::Bytes(2_400.0)),
    target("memory of 10^6 queued messages", Is::AtMostOfFloor(4.0)),
    target("panic → its parent is told; p50", Is::AtMostOfFloor(1.2)),
    target("one producer → one actor, on one thread", Is::AtLeastOfBest(1.0)),
    target("8 producers → one actor, on one thread", Is::AtLeastOfBest(1.0)),
    target("8 pairs, on one thread", Is::AtLeastOfBest(1.0)),
    target("broadcast to 1,000 actors and gather; p50", Is::AtMostOfFloor(2.0)),
];
