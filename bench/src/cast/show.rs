//! The table, and which targets hold.

use std::fs;

use meshwarden_bench_player::actors::Work;

use crate::actors::entrants::{self, is_peer};
use crate::measure::Effort;
use crate::report::{Record, Report, Stats};

/// What peers do, too: a message to each of 1,000 actors, in a loop, and their answers.
const BROADCAST: &str = "call of 1000 actors in one process and gather; p50";

/// Shows what the other program has measured beside what peers do, and which targets hold.
pub(crate) fn show(effort: Effort, mut found: Vec<Vec<Record>>, report: &mut Report) {
    if let Some(records) = found.iter_mut().find(|records| is_of(records, BROADCAST)) {
        records.extend(peers(effort, report));
    }
    for target in TARGETS {
        if let Some(records) = found.iter().find(|records| is_of(records, target.work)) {
            judge(target, records, report);
        }
    }
    for growth in GROWTHS {
        grows(growth, &found, report);
    }
    found.into_iter().for_each(|records| report.add(records));
    for peer in entrants::missing() {
        report.skipped(peer, "IT IS NOT HERE: it did not build; what cargo said is above");
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    report.note(&format!("load of the machine at the end, over 1, 5 and 15 minutes: {load}"));
}

fn is_of(records: &[Record], work: &str) -> bool {
    records.first().is_some_and(|record| record.work() == work)
}

/// Those who loop over 1,000 actors on two threads, each in a process of its own; and our actors without a mesh.
fn peers(effort: Effort, report: &mut Report) -> Vec<Record> {
    let mut records = Vec::new();
    let all = entrants::all().into_iter();
    for entrant in all.filter(|entrant| is_peer(entrant.by) && entrant.does(Work::Broadcast)) {
        let mut rounds = Vec::new();
        for _ in 0..effort.rounds() {
            match entrant.play((Work::Broadcast, 2), effort) {
                Ok(nanos) => rounds.extend(nanos.first()),
                Err(why) => return skipped(records, (entrant.by, &why.to_string()), report),
            }
        }
        if !rounds.is_empty() {
            let stats = Stats::of(rounds);
            records.push(Record::new(BROADCAST, entrant.by, ("p50", "ns"), stats));
        }
    }
    records
}

fn skipped(records: Vec<Record>, (by, why): (&str, &str), report: &mut Report) -> Vec<Record> {
    report.skipped(by, why);
    records
}

/// What is asked of one work.
struct Target {
    work: &'static str,
    is: Is,
}

enum Is {
    AtMostOfFloor(f64),
    /// Less than the best peer.
    AheadOfPeers,
    Nanos(f64),
    Times(f64),
}

fn judge(Target { work, is }: &Target, records: &[Record], report: &mut Report) {
    let ours = records.iter().filter(|record| record.by().starts_with("ours"));
    let peers = records.iter().filter(|record| is_peer(record.by()));
    let best = peers.min_by(|a, b| a.median().total_cmp(&b.median()));
    let floor = records.iter().find(|record| record.by() == "floor");
    for record in ours {
        let what = match record.by() {
            "ours" => (*work).to_owned(),
            by => format!("{work} ({by})"),
        };
        match (is, floor, best) {
            (Is::Nanos(max), ..) => report.judge(&what, record.median(), (*max, "ns")),
            (Is::Times(max), ..) => report.judge(&what, record.median(), (*max, "×")),
            (Is::AtMostOfFloor(max), Some(floor), _) => {
                let ratio = record.median() / floor.median();
                report.judge(&format!("{what}, ÷ floor"), ratio, (*max, "×"));
            }
            (Is::AheadOfPeers, _, Some(best)) => {
                let ratio = record.median() / best.median();
                report.judge(&format!("{what}, ÷ {}", best.by()), ratio, (1.0, "×"));
            }
            (Is::AtMostOfFloor(_) | Is::AheadOfPeers, ..) => {
                report.skipped(&what, "nobody is there beside it");
            }
        }
    }
}

/// The same work for few and for many: what one rank of many costs, beside one of few.
struct Growth {
    few: (usize, &'static str),
    many: (usize, &'static str),
}

/// Of the time for each rank: it is not to grow, or no more than that of the floor, which has as many tasks or sockets.
/// Where that of the floor shrinks, since few wake threads that sleep, ours need not.
fn grows(Growth { few, many }: &Growth, found: &[Vec<Record>], report: &mut Report) {
    let of = |work: &str| found.iter().find(|records| is_of(records, work));
    let (Some(few_records), Some(many_records)) = (of(few.1), of(many.1)) else { return };
    let growth = |by: &str| {
        let one = |records: &[Record]| Some(records.iter().find(|it| it.by() == by)?.median());
        let each = (one(few_records)? / few.0 as f64, one(many_records)? / many.0 as f64);
        Some(each.1 / each.0)
    };
    let Some(floor) = growth("floor") else { return };
    for by in ["ours", "ours, tree"] {
        let Some(ours) = growth(by) else { continue };
        let what = format!("{}: {by}, for each rank, ÷ the same of {}", many.1, few.1);
        report.note(&format!("        {what}: {ours:.2} × (the floor's: {floor:.2} ×)"));
        let grown = ours / floor.max(1.0);
        report.judge(&format!("{what}, ÷ the floor's if that grows"), grown, (1.25, "×"));
    }
}

const MILLI: f64 = 1e6;

const fn target(work: &'static str, is: Is) -> Target {
    Target { work, is }
}

const TARGETS: &[Target] = &[
    target(BROADCAST, Is::AheadOfPeers),
    target(BROADCAST, Is::AtMostOfFloor(2.0)),
    target("call of 1000 actors in one process and gather; p50, mimalloc", Is::AtMostOfFloor(2.0)),
    target("call of 8 processes and gather, 64 B; p50", Is::Nanos(0.5 * MILLI)),
    target("call of 8 processes and gather, 64 B; p99", Is::Nanos(2.0 * MILLI)),
    // 10,000 in a second.
    target("pipelined cast to 8 processes, 64 B", Is::Nanos(0.1 * MILLI)),
    target("one cast to 8 processes is written", Is::Times(1.0)),
    target("one cast to 256 processes is written", Is::Times(1.0)),
    target("one cast to 256 processes is read, by each", Is::Times(1.0)),
];

const GROWTHS: &[Growth] = &[
    Growth {
        few: (100, "call of 100 actors in one process and gather; p50"),
        many: (10_000, "call of 10000 actors in one process and gather; p50"),
    },
    Growth {
        few: (100, "cast to 100 actors in one process"),
        many: (10_000, "cast to 10000 actors in one process"),
    },
    Growth {
        few: (100, "start of 100 actors in one process, and their end"),
        many: (10_000, "start of 10000 actors in one process, and their end"),
    },
    Growth {
        few: (100, "start of 100 actors in one process, and their end, mimalloc"),
        many: (10_000, "start of 10000 actors in one process, and their end, mimalloc"),
    },
    Growth {
        few: (100, "call of 100 actors in one process and gather; p50, mimalloc"),
        many: (10_000, "call of 10000 actors in one process and gather; p50, mimalloc"),
    },
    Growth {
        few: (100, "cast to 100 actors in one process, mimalloc"),
        many: (10_000, "cast to 10000 actors in one process, mimalloc"),
    },
    Growth {
        few: (8, "call of 8 processes and gather, 64 B; p50"),
        many: (256, "call of 256 processes and gather, 64 B; p50"),
    },
    // As many live beside it: this is by how many ranks a call has alone.
    Growth {
        few: (8, "call of 8 of 256 processes, in turn, and gather, 64 B; p50"),
        many: (256, "call of 256 processes and gather, 64 B; p50"),
    },
    Growth {
        few: (100, "call of 100 of 10000 actors in one process, in turn, and gather; p50"),
        many: (10_000, "call of 10000 actors in one process and gather; p50"),
    },
    Growth {
        few: (100, "cast to 100 of 10000 actors in one process, in turn"),
        many: (10_000, "cast to 10000 actors in one process"),
    },
    Growth {
        few: (8, "pipelined cast to 8 processes, 64 B"),
        many: (256, "pipelined cast to 256 processes, 64 B"),
    },
];
