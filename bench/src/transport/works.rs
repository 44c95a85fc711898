//! Everybody in turn, round by round.

use std::collections::BTreeMap;

use meshwarden_bench_player::Failed;

use super::players::{self, Entrant, FLOOR, OURS, Pair, SESSIONS, UNBATCHED};
use crate::measure::Effort;
use crate::report::{Record, Stats};

/// What was found, round by round, by work and by whom.
type Found = BTreeMap<(Work, &'static str), Vec<f64>>;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    CallP50,
    CallP99,
    Cast(usize),
    Kill,
    Hoard,
}

const KIB_64: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// How many messages are sent before the time is looked at, for each of their sizes.
const SIZES: [(usize, usize); 3] = [(64, 500), (KIB_64, 8), (MIB, 1)];

/// How much is done in a slice, and how many slices a round has.
struct Amount {
    /// How many rounds count. Those who send without an end make a round long.
    n_rounds: usize,
    n_calls: usize,
    millis: usize,
    n_slices: usize,
    hoard: usize,
}

impl Amount {
    const fn of(effort: Effort) -> Self {
        match effort {
            Effort::Full => {
                Self { n_rounds: 5, n_calls: 200, millis: 40, n_slices: 3, hoard: 512 << 20 }
            }
            Effort::Quick => {
                Self { n_rounds: 2, n_calls: 5, millis: 2, n_slices: 1, hoard: 8 << 20 }
            }
        }
    }
}

/// Lets everybody play. All records of one work are together, ours first.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Vec<Record>>, Failed> {
    let (mut found, amount) = (Found::new(), Amount::of(effort));
    let mut pairs = Vec::new();
    for entrant in players::all() {
        match entrant.start() {
            Ok(pair) => pairs.push((entrant, pair)),
            Err(why) if entrant.is_peer() => complain(&entrant, &why),
            Err(why) => return Err(why),
        }
    }
    for round in 0..=amount.n_rounds {
        let is_kept = round > 0;
        play_round(&mut pairs, &amount, is_kept.then_some(&mut found))?;
    }
    let entrants: Vec<_> = pairs.into_iter().map(|(entrant, _)| entrant).collect();
    for round in 0..=amount.n_rounds {
        for entrant in entrants.iter().filter(|entrant| entrant.by != UNBATCHED) {
            once(entrant, "kill", |nanos| {
                if round > 0 {
                    found.entry((Work::Kill, entrant.by)).or_default().push(nanos[0]);
                }
            });
        }
    }
    for entrant in entrants.iter().filter(|entrant| entrant.by != UNBATCHED) {
        once(entrant, &format!("hoard {}", amount.hoard), |bytes| {
            found.entry((Work::Hoard, entrant.by)).or_default().push(bytes[0]);
        });
    }
    Ok(records(&found, &entrants))
}

/// A work after which nothing else can be done. A peer that cannot do it is left out.
fn once(entrant: &Entrant, words: &str, found: impl FnOnce(&[f64])) {
    match entrant.start().and_then(|mut pair| pair.tell(words)) {
        Ok(figures) => found(&figures),
        Err(why) => complain(entrant, &why),
    }
}

fn play_round(
    pairs: &mut Vec<(Entrant, Pair)>,
    amount: &Amount,
    mut found: Option<&mut Found>,
) -> Result<(), Failed> {
    let mut calls: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut casts: BTreeMap<(&str, usize), [f64; 2]> = BTreeMap::new();
    for _ in 0..amount.n_slices {
        let mut left = Vec::new();
        for (entrant, mut pair) in pairs.drain(..) {
            let by = entrant.by;
            let mut slice = || -> Result<(), Failed> {
                if by != UNBATCHED {
                    let nanos = pair.tell(&format!("call {}", amount.n_calls))?;
                    calls.entry(by).or_default().extend(nanos);
                }
                let n_sizes = if by == UNBATCHED { 1 } else { SIZES.len() };
                for (bytes, batch) in &SIZES[..n_sizes] {
                    let done = pair.tell(&format!("cast {bytes} {} {batch}", amount.millis))?;
                    let sum = casts.entry((by, *bytes)).or_default();
                    sum.iter_mut().zip(done).for_each(|(sum, more)| *sum += more);
                }
                Ok(())
            };
            match slice() {
                Ok(()) => left.push((entrant, pair)),
                Err(why) if entrant.is_peer() => complain(&entrant, &why),
                Err(why) => return Err(format!("{by}: {why}").into()),
            }
        }
        *pairs = left;
    }
    let Some(found) = &mut found else { return Ok(()) };
    for (by, mut nanos) in calls {
        nanos.sort_by(f64::total_cmp);
        let last = nanos.len().saturating_sub(1);
        found.entry((Work::CallP50, by)).or_default().push(nanos[last / 2]);
        found.entry((Work::CallP99, by)).or_default().push(nanos[last * 99 / 100]);
    }
    for ((by, bytes), [n, nanos]) in casts {
        let a_second = n / (nanos / 1e9);
        let figure = if bytes == 64 { a_second } else { a_second * bytes as f64 / MIB as f64 };
        found.entry((Work::Cast(bytes), by)).or_default().push(figure);
    }
    Ok(())
}

/// Of each work two lists: actors beside the floor and peers, and sessions beside the floor.
fn records(found: &Found, entrants: &[Entrant]) -> Vec<Vec<Record>> {
    let works = [Work::CallP50, Work::CallP99].into_iter();
    let works = works.chain(SIZES.map(|(bytes, _)| Work::Cast(bytes)));
    let mut all = Vec::new();
    for work in works.chain([Work::Kill, Work::Hoard]) {
        for is_session in [false, true] {
            let of = |entrant: &Entrant| {
                let by = entrant.by;
                let is_sessions = by.starts_with(SESSIONS);
                if is_sessions != is_session && !(by == FLOOR || by == UNBATCHED) {
                    return None;
                }
                let samples = found.get(&(work, by))?.clone();
                let by = if is_sessions { by.replacen(SESSIONS, OURS, 1) } else { by.to_owned() };
                Some(Record::new(work.name(is_session), by, work.metric(), Stats::of(samples)))
            };
            let mut records: Vec<_> = entrants.iter().filter_map(of).collect();
            records.sort_by_key(|record| record.by() != OURS);
            all.push(records);
        }
    }
    all
}

impl Work {
    fn name(self, is_session: bool) -> String {
        match (self, is_session) {
            (Self::CallP50, false) => "call of an actor, 64 B; p50".into(),
            (Self::CallP50, true) => "ping-pong, 64 B; p50".into(),
            (Self::CallP99, false) => "call of an actor, 64 B; p99".into(),
            (Self::CallP99, true) => "ping-pong, 64 B; p99".into(),
            (Self::Cast(bytes), false) => format!("casts to an actor, {}", size(bytes)),
            (Self::Cast(bytes), true) => format!("frames, {}", size(bytes)),
            (Self::Kill, false) => "SIGKILL of the peer → a call to it is answered".into(),
            (Self::Kill, true) => "SIGKILL of the peer → the session is lost".into(),
            (Self::Hoard, false) => {
                "memory after 512 MiB sent to an actor that does not read".into()
            }
            (Self::Hoard, true) => "memory after 512 MiB sent to a peer that does not read".into(),
        }
    }

    const fn metric(self) -> (&'static str, &'static str) {
        match self {
            Self::CallP50 => ("p50", "ns"),
            Self::CallP99 => ("p99", "ns"),
            Self::Cast(64) => ("rate", "/s"),
            Self::Cast(_) => ("rate", "MiB/s"),
            Self::Kill => ("time", "ns"),
            Self::Hoard => ("resident bytes", "B"),
        }
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        MIB.. => format!("{} MiB", bytes / MIB),
        1_024.. => format!("{} KiB", bytes / 1_024),
        _ => format!("{bytes} B"),
    }
}

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(entrant: &Entrant, why: &Failed) {
    eprintln!("transport: {} is left out from here on: {why}", entrant.by);
}
