//! The bench `controller`: steps of supervision beside a plain scan of all statuses; and bytes.

mod floor;
mod memory;
mod mesh;
mod work;

use std::hint::black_box;
use std::time::Instant;

use self::mesh::Layout;
use self::work::{WORKS, Work};
use crate::measure::{self, Batch, Case, Contest, Effort};
use crate::report::{Record, Report};

pub(crate) use self::memory::count as bytes;

/// Times every work at every size with every number of subscribers.
pub(crate) fn times(effort: Effort, bytes: Vec<Vec<Record>>, report: &mut Report) {
    memory::show(effort, bytes, report);
    let (sizes, subscribers) = match effort {
        Effort::Full => (&SIZES[..], &SUBSCRIBERS[..]),
        Effort::Quick => (&SIZES[..2], &SUBSCRIBERS[..2]),
    };
    let mut growth = 0.0_f64;
    for work in WORKS {
        for &n_subscribers in subscribers {
            // All sizes take turns, for the growth from the first to the last.
            let contests = sizes.iter().map(|size| contest(work, *size, n_subscribers)).collect();
            let found = measure::times(contests, effort);
            if work.is_healthy() {
                growth = growth.max(last_to_first(&found));
            }
            found.into_iter().for_each(|records| report.add(records));
        }
    }
    if let [first, .., last] = sizes {
        let [first, last] = [first, last].map(|size| size.ilog10());
        let target = format!("flat: a healthy poll at 10^{last} ÷ at 10^{first} ranks, the worst");
        report.judge(&target, growth, (FLAT_MAX, "×"));
    }
}

/// Ours and the floor.
fn contest(work: &Work, n_ranks: usize, n_subscribers: usize) -> Contest<'static> {
    let noun = if n_subscribers == 1 { "subscriber" } else { "subscribers" };
    let size = n_ranks.ilog10();
    Contest {
        work: format!("{}; 10^{size} ranks, {n_subscribers} {noun}", work.name),
        cases: vec![ours(work, n_ranks, n_subscribers), floor::case(work, n_ranks)],
    }
}

/// Each batch steps a copy of a running mesh, made before the clock is read: every failure is a new
/// one. The effects of each step are dropped before the next, within the time.
fn ours(work: &Work, n_ranks: usize, n_subscribers: usize) -> Case<'static> {
    let running = mesh::running(Layout::of(n_ranks), n_subscribers);
    let events = work.events(n_ranks);
    let n = work.n_repetitions(&events);
    let n_effects = if work.is_healthy() { 0 } else { n_subscribers + 1 };
    Case::new("ours", move || {
        let mut mesh = running.clone();
        let events = events.clone();
        let mut is_told = true;
        let started = Instant::now();
        for event in events {
            let effects = black_box(mesh.step(mesh::NOW, black_box(event)));
            is_told &= effects.len() == n_effects;
        }
        let elapsed = started.elapsed();
        assert!(
            is_told,
            "of each failure the owner and every subscriber are told, of health nobody"
        );
        Batch { n, elapsed }
    })
}

/// How much longer ours takes at the last size than at the first.
fn last_to_first(found: &[Vec<Record>]) -> f64 {
    let ours = |records: &Vec<Record>| records.first().map(Record::median);
    let first = found.first().and_then(ours).expect("there is a size");
    found.last().and_then(ours).expect("there is a size") / first
}

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const SUBSCRIBERS: [usize; 3] = [1, 100, 1_000];
/// What counts as flat over a thousand times as many ranks: the noise of a busy machine.
const FLAT_MAX: f64 = 1.25;
