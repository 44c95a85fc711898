//! deeds: what may happen in a history, and how it reads when one fails.

use std::fmt;
use std::time::Duration;

use mesh_core::{
    Cause, Generation, Incarnation, LaunchProblem, Progress, Reason, RestartConfig, Stall, Status,
    Update,
};
use mesh_shape::Overlay;
use proptest::prelude::*;

use super::rules;
use super::said::Said;
use crate::support::{crash, exit};

/// One thing that happens.
#[derive(Clone)]
pub(super) enum Deed {
    Open,
    Adopt,
    /// Lives are counted from the one that the agent is in.
    Report {
        agent: usize,
        life: u64,
        runs: Vec<Run>,
    },
    Beat {
        agent: usize,
        life: u64,
        seq: u64,
    },
    /// Every agent beats.
    AllBeat {
        seq: u64,
    },
    /// Something that was said before, by whomever, is delivered once more.
    Again {
        index: usize,
    },
    QueryFailed {
        agent: usize,
    },
    Refused {
        agent: usize,
        obeyed: u64,
    },
    Subscribe {
        id: u64,
        all: bool,
        region: usize,
    },
    Unsubscribe {
        id: u64,
    },
    Lag {
        id: u64,
    },
    Ask {
        ask: u64,
        question: Question,
    },
    Withdraw {
        ask: u64,
    },
    /// The owner lets go of the mesh.
    Abandon,
    /// At this moment, whether it is due or not.
    Tick,
    /// Time passes, and deadlines are kept.
    Pass {
        ms: u64,
    },
    /// A rank crashes, and then one agent says nothing until it has been given up; the others beat.
    Lose {
        rank: usize,
        agent: usize,
    },
    /// A rank crashes, and then the place of another one is gone: at once, or after that has ended by itself.
    Evict {
        rank: usize,
        other: usize,
        status: Status,
        has_ended: bool,
    },
    /// Time passes, and this side sleeps through it.
    Sleep {
        ms: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Question {
    Stop { grace_ms: u64 },
    Kill,
    Wait { first: usize, len: usize, until: Progress, ms: u64 },
    State,
    Count,
    Update { rules: Box<RestartConfig>, fits: bool },
}

/// From this number on, an agent is the one that has the first rank of the report.
pub(super) const ANY: usize = 5;

/// Ranks that are reported alike.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    len: usize,
    incarnation: u64,
    generation: u64,
    said: Said,
}

/// A history, which reads as one line per step.
#[derive(Clone)]
pub(super) struct Deeds(pub(super) Vec<Deed>);

pub(super) fn deeds(max: usize) -> impl Strategy<Value = Deeds> {
    let start =
        prop_oneof![8 => Just(Some(Deed::Open)), 3 => Just(Some(Deed::Adopt)), 1 => Just(None)];
    (start, prop::collection::vec(deed(), 0..max), end())
        .prop_map(|(start, deeds, end)| Deeds(start.into_iter().chain(deeds).chain(end).collect()))
}

/// Few owners let go of their meshes; whatever happens then is to do nothing.
fn end() -> impl Strategy<Value = Vec<Deed>> {
    let abandoned = prop::collection::vec(deed(), 0..20)
        .prop_map(|deeds| std::iter::once(Deed::Abandon).chain(deeds).collect());
    prop_oneof![7 => Just(Vec::new()), 1 => abandoned]
}

fn deed() -> impl Strategy<Value = Deed> {
    let life = || prop_oneof![12 => Just(0_u64), 2 => Just(1), 1 => Just(2)];
    prop_oneof![
        1 => prop_oneof![Just(Deed::Open), Just(Deed::Adopt)],
        14 => (0_usize..9, life(), prop::collection::vec(run(), 0..4))
            .prop_map(|(agent, life, runs)| Deed::Report { agent, life, runs }),
        7 => (0_usize..5, life(), 0_u64..9)
            .prop_map(|(agent, life, seq)| Deed::Beat { agent, life, seq }),
        8 => (0_u64..9).prop_map(|seq| Deed::AllBeat { seq }),
        3 => (0_usize..60).prop_map(|index| Deed::Again { index }),
        1 => (0_usize..5).prop_map(|agent| Deed::QueryFailed { agent }),
        1 => (0_usize..5, prop_oneof![7 => Just(0_u64), 1 => Just(1)])
            .prop_map(|(agent, obeyed)| Deed::Refused { agent, obeyed }),
        3 => (1_u64..7, any::<bool>(), 0_usize..6)
            .prop_map(|(id, all, region)| Deed::Subscribe { id, all, region }),
        1 => (1_u64..7).prop_map(|id| Deed::Unsubscribe { id }),
        1 => (1_u64..7).prop_map(|id| Deed::Lag { id }),
        6 => (1_u64..9, question()).prop_map(|(ask, question)| Deed::Ask { ask, question }),
        1 => (1_u64..9).prop_map(|ask| Deed::Withdraw { ask }),
        2 => Just(Deed::Tick),
        9 => prop_oneof![3 => 0_u64..1_500, 1 => 0_u64..6_000].prop_map(|ms| Deed::Pass { ms }),
        1 => (0_usize..9, 0_usize..5).prop_map(|(rank, agent)| Deed::Lose { rank, agent }),
        4 => evict(),
        1 => (0_u64..30_000).prop_map(|ms| Deed::Sleep { ms }),
    ]
}

/// Of low ranks, so that the other one starts together with the first in most meshes.
fn evict() -> impl Strategy<Value = Deed> {
    let status = prop_oneof![Just(Status::Stopped), Just(exit(2))];
    (0_usize..3, 0_usize..6, status, any::<bool>())
        .prop_map(|(rank, other, status, has_ended)| Deed::Evict { rank, other, status, has_ended })
}

fn question() -> impl Strategy<Value = Question> {
    let until = prop_oneof![
        Just(Progress::Initializing),
        Just(Progress::Running),
        Just(Progress::Stopping),
        Just(Progress::Ended),
    ];
    prop_oneof![
        4 => (0_u64..9_000).prop_map(|grace_ms| Question::Stop { grace_ms }),
        1 => Just(Question::Kill),
        12 => (0_usize..9, 0_usize..5, until, 0_u64..20_000)
            .prop_map(|(first, len, until, ms)| Question::Wait { first, len, until, ms }),
        2 => Just(Question::State),
        2 => Just(Question::Count),
        12 => (rules(), prop::bool::weighted(0.9))
            .prop_map(|(rules, fits)| Question::Update { rules: Box::new(rules), fits }),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    let start = prop_oneof![8 => 0_usize..9, 1 => 9_usize..33];
    let len = prop_oneof![8 => 0_usize..5, 1 => 5_usize..33];
    (start, len, 0_u64..3, 0_u64..5, said()).prop_map(
        |(start, len, incarnation, generation, said)| Run {
            start,
            len,
            incarnation,
            generation,
            said,
        },
    )
}

fn said() -> impl Strategy<Value = Said> {
    (status(), prop::bool::weighted(0.02))
        .prop_map(|(status, is_barred)| Said { status, is_barred })
}

fn status() -> impl Strategy<Value = Status> {
    let missing = Reason::Launch { program: "it".to_owned(), problem: LaunchProblem::NotFound };
    let gone = |cause| Status::Timeout { after: Duration::from_secs(3), cause };
    prop_oneof![
        2 => Just(Status::NotExist),
        1 => Just(Status::Initializing),
        3 => Just(Status::Running),
        1 => Just(Status::Stalled(Stall::Suspended { signal: 19 })),
        1 => Just(Status::Stalled(Stall::DumpingCore)),
        1 => Just(Status::Suspect),
        1 => Just(Status::Stopping),
        2 => Just(Status::Stopped),
        5 => Just(crash()),
        2 => Just(exit(2)),
        1 => Just(Status::failed(Cause::new(missing))),
        1 => prop_oneof![Just(gone(None)), Just(gone(crash().cause().cloned().map(Into::into)))],
    ]
}

pub(super) fn overlay(runs: &[Run]) -> Overlay<Update<Said>> {
    let mut overlay = Overlay::new();
    for run in runs {
        let update = Update {
            incarnation: Incarnation::new(run.incarnation),
            generation: Generation::new(run.generation),
            age: Duration::ZERO,
            report: run.said.clone(),
        };
        overlay.insert(run.start..run.start + run.len, update);
    }
    overlay
}

/// This is said of this life of one rank.
pub(super) fn said_of(rank: usize, (incarnation, generation): (u64, u64), said: Said) -> Run {
    Run { start: rank, len: 1, incarnation, generation, said }
}

impl fmt::Debug for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = 0;
        writeln!(f, "the history:")?;
        for deed in &self.0 {
            let seconds = Duration::from_millis(ms).as_secs_f64();
            writeln!(f, "t={seconds:.3}s  {deed}")?;
            if let Deed::Pass { ms: passed } | Deed::Sleep { ms: passed } = deed {
                ms += passed;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("opened"),
            Self::Adopt => f.write_str("adopted"),
            Self::Report { agent, life, runs } => {
                match runs.first().filter(|_| *agent >= ANY) {
                    Some(run) => write!(f, "whoever has rank {}", run.start)?,
                    None => write!(f, "agent {agent}")?,
                }
                write!(f, " (life +{life}) reports")?;
                let mut separator = "";
                for run in runs {
                    write!(f, "{separator} {run}")?;
                    separator = ",";
                }
                Ok(())
            }
            Self::Beat { agent, life, seq } => {
                write!(f, "agent {agent} (life +{life}) beats {seq}")
            }
            Self::AllBeat { seq } => write!(f, "every agent beats {seq}"),
            Self::Again { index } => write!(f, "what was said as number {index} comes again"),
            Self::QueryFailed { agent } => write!(f, "agent {agent} cannot be asked"),
            Self::Refused { agent, obeyed } => write!(f, "agent {agent} obeys epoch {obeyed}"),
            Self::Subscribe { id, all, region } => {
                write!(f, "subscriber {id} comes (all: {all}, region {region})")
            }
            Self::Unsubscribe { id } => write!(f, "subscriber {id} goes"),
            Self::Lag { id } => write!(f, "subscriber {id} has lagged"),
            Self::Ask { ask, question } => write!(f, "ask {ask}: {question:?}"),
            Self::Withdraw { ask } => write!(f, "ask {ask} is withdrawn"),
            Self::Abandon => f.write_str("the owner lets go"),
            Self::Tick => f.write_str("tick"),
            Self::Pass { ms } => write!(f, "{ms} ms pass"),
            Self::Lose { rank, agent } => {
                write!(f, "rank {rank} crashes, and agent {agent} is silent until it is given up")
            }
            Self::Evict { rank, other, status, has_ended } => {
                let order = if *has_ended { "after" } else { "with" };
                write!(
                    f,
                    "rank {rank} crashes, and the place of rank {other} is gone {order} {status}"
                )
            }
            Self::Sleep { ms } => write!(f, "this side sleeps for {ms} ms"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, len, incarnation, generation, said } = self;
        let end = start + len;
        write!(f, "{start}..{end} {said} (inc {incarnation}, gen {generation})")
    }
}
