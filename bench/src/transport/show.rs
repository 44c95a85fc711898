//! The table, and which targets hold.

use std::fs;

use super::players;
use crate::measure::Effort;
use crate::report::{Record, Report};

/// Shows what the other program has measured, and which targets hold.
pub(crate) fn show(_: Effort, found: Vec<Vec<Record>>, report: &mut Report) {
    for records in found {
        for target in TARGETS.iter().filter(|target| is_of(target, &records)) {
            judge(target, &records, report);
        }
        report.add(records);
    }
    for peer in players::missing() {
        report.skipped(peer, "IT IS NOT HERE: it did not build; what cargo said is above");
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    report.note(&format!("load of the machine at the end, over 1, 5 and 15 minutes: {load}"));
}

/// What is asked of ours in one work: at most so many times what the other takes, or at least.
struct Target {
    work: &'static str,
    /// `floor`, or how the name of a peer begins; empty for an amount by itself.
    beside: &'static str,
    is: Is,
}

enum Is {
    AtMost(f64),
    AtLeast(f64),
    /// At most so many bytes.
    Bytes(f64),
}

fn is_of(target: &Target, records: &[Record]) -> bool {
    records.first().is_some_and(|record| record.work() == target.work)
}

fn judge(target: &Target, records: &[Record], report: &mut Report) {
    let (work, beside) = (target.work, target.beside);
    let find = |name: &str| records.iter().find(|record| record.by().starts_with(name));
    let Some(ours) = find(players::OURS) else { return };
    if let Is::Bytes(max) = target.is {
        return report.judge(work, ours.median(), (max, "B"));
    }
    let what = format!("{work}, ÷ {beside}");
    let Some(other) = find(beside) else { return report.skipped(&what, "it is not there") };
    let ratio = ours.median() / other.median();
    match target.is {
        Is::AtMost(max) => report.judge(&what, ratio, (max, "×")),
        Is::AtLeast(min) => report.judge_least(&what, ratio, (min, "×")),
        Is::Bytes(_) => (),
    }
}

/// What may be sent to one who takes nothing, `TcpConfig::window`, twice: what is kept until it is
/// acknowledged, and what goes with that.
const WINDOW: f64 = 8.0 * 1_048_576.0;

const TARGETS: &[Target] = &[
    Target { work: "call of an actor, 64 B; p50", beside: "floor", is: Is::AtMost(1.25) },
    Target { work: "frames, 64 B", beside: "floor", is: Is::AtLeast(0.5) },
    Target { work: "casts to an actor, 64 B", beside: "floor", is: Is::AtLeast(0.25) },
    Target { work: "casts to an actor, 64 B", beside: "elfo", is: Is::AtLeast(2.0) },
    Target { work: "casts to an actor, 64 KiB", beside: "floor", is: Is::AtLeast(0.9) },
    Target {
        work: "SIGKILL of the peer → a call to it is answered",
        beside: "floor",
        is: Is::AtMost(2.0),
    },
    Target {
        work: "memory after 512 MiB sent to an actor that does not read",
        beside: "",
        is: Is::Bytes(WINDOW),
    },
];
