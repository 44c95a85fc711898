//! trace: what a loop recorded is what its replay comes to.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use meshwarden::controller::{
    Config, Controlled, Controller, Effect, Event, RestartConfig, Spec, Strategy,
};
use meshwarden::mesh_core::{
    AgentId, Agents, Answer, Answers, BeatSeq, Cause, Epoch, Generation, Incarnation, Interest,
    MeshId, MeshLabel, Order, Reason, Request, Status, Timestamp, Update,
};
use meshwarden::mesh_shape::{Extent, Overlay, RankSet, Region};
use meshwarden::supervise::{Clock, Setup, Supervision, Trace, supervise};
use meshwarden::trace::{Reader, Recorder, Replay, Replayed, TraceError};
use tokio::time::sleep;

const RANKS: usize = 6;

/// A kind of mesh whose agents report a status in so many words.
#[derive(Debug)]
struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

/// Numbers that look random, and are the same for the same seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % limit
    }
}

/// Agents that do what they are asked late or never, and whose ranks crash as the dice fall.
struct Fickle {
    dice: Dice,
    n_reports: u64,
}

impl Fickle {
    fn tell(
        &mut self,
        answers: &Answers<Status>,
        to: &Request,
        told: (&RankSet, Incarnation, Status),
    ) {
        let (ranks, incarnation, report) = told;
        self.n_reports += 1;
        let generation = Generation::new(self.n_reports);
        let update = Update { incarnation, generation, age: Duration::ZERO, report };
        let reports: Overlay<_> = ranks.iter().map(|rank| (rank, update.clone())).collect();
        let answer = Answer::Reported { agent: to.agent, life: Incarnation::FIRST, reports };
        let (answers, delay) = (answers.clone(), Duration::from_millis(self.dice.below(900)));
        tokio::spawn(async move {
            sleep(delay).await;
            _ = answers.send(answer).is_ok();
        });
    }
}

impl Agents for Fickle {
    type Report = Status;

    fn perform(&mut self, request: Request, answers: &Answers<Status>) {
        match &request.order {
            Order::Start { ranks, incarnation, .. } => {
                self.tell(answers, &request, (ranks, *incarnation, Status::Running));
                let unlucky: RankSet = ranks.iter().filter(|_| self.dice.below(3) == 0).collect();
                let cause = Cause::new(Reason::Exit { code: 1 }).with_stderr(vec!["why".into()]);
                self.tell(answers, &request, (&unlucky, *incarnation, Status::failed(cause)));
            }
            Order::Stop { ranks, incarnation } if self.dice.below(2) == 0 => {
                self.tell(answers, &request, (ranks, *incarnation, Status::Stopped));
            }
            Order::Kill { ranks, incarnation } => {
                self.tell(answers, &request, (ranks, *incarnation, Status::Stopped));
            }
            Order::Poll if self.dice.below(3) > 0 => {
                let (agent, life) = (request.agent, Incarnation::FIRST);
                _ = answers.send(Answer::Heard { agent, life, beat: BeatSeq::new(1) }).is_ok();
            }
            Order::Poll | Order::Stop { .. } | Order::Renew { .. } => (),
        }
    }
}

/// Keeps the effects themselves beside the trace that only counts them.
struct Both {
    recorder: Recorder<Status>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Seen = (Timestamp, Event<Status>, Vec<Effect>);

impl Trace<Status> for Both {
    fn begin(&mut self, spec: &Spec) {
        self.recorder.begin(spec);
    }

    fn record(&mut self, now: Timestamp, event: &Event<Status>, effects: &[Effect]) {
        self.recorder.record(now, event, effects);
        lock(&self.seen).push((now, event.clone(), effects.to_vec()));
    }
}

#[derive(Clone, Debug, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spec(seed: u64, dice: &mut Dice) -> Spec {
    let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
    let restart = RestartConfig {
        strategy: strategies[dice.below(3) as usize],
        ..RestartConfig::on_failure(dice.below(6) as u32)
    };
    Spec {
        mesh: MeshLabel::new(MeshId::from_random(seed.into()), "fickle", "plain"),
        region: Region::all(Extent::new([("a", 2), ("b", 3)]).expect("it is a shape")).into(),
        epoch: Epoch::FIRST,
        agents: [RankSet::from(0..4), RankSet::from(4..RANKS)].into(),
        config: Config { restart, ..Config::local() },
        seed,
    }
}

/// Runs a mesh for half a minute; returns every step that was seen, and the trace.
async fn run(seed: u64) -> (Vec<Seen>, Vec<u8>) {
    let mut dice = Dice(seed);
    let paper = Paper::default();
    let (recorder, recording) = Recorder::start(paper.clone()).expect("there is a thread");
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let controller = Controller::new(spec(seed, &mut dice), Plain).expect("it holds together");
    let agents = Fickle { dice: Dice(!seed), n_reports: 0 };
    let trace = Both { recorder, seen: Arc::clone(&seen) };
    let setup =
        Setup { trace: Some(Box::new(trace)), ..Setup::new(controller, agents, Clock::start()) };
    let (Supervision { controller, owner, answers }, work) = supervise(setup);
    let work = tokio::spawn(work);
    // One reads everything, one only at the end, one goes away.
    let all = controller.subscribe(Interest::All, None).await.expect("the loop lives");
    let reader = tokio::spawn(async move {
        let mut all = all;
        while all.next().await.is_some() {}
    });
    let idle = controller.subscribe(Interest::Terminal, None).await.expect("the loop lives");
    drop(controller.subscribe(Interest::All, None).await.expect("the loop lives"));
    for _ in 0..dice.below(30) {
        sleep(Duration::from_millis(dice.below(1_000))).await;
        let agent = AgentId::new(dice.below(3) as usize);
        _ = answers.send(Answer::QueryFailed { agent }).is_ok();
        _ = controller.state().await.is_ok();
    }
    _ = controller.stop(Duration::from_millis(dice.below(2_000))).await.is_ok();
    drop((owner, idle));
    work.await.expect("it does not panic");
    reader.await.expect("it does not panic");
    let recorded = recording.finish().await;
    let seen = std::mem::take(&mut *lock(&seen));
    assert!(recorded.error.is_none() && recorded.lost == 0, "{recorded:?}");
    assert_eq!(recorded.steps, seen.len() as u64);
    let trace = lock(&paper.0).clone();
    (seen, trace)
}

#[tokio::test(start_paused = true)]
async fn a_recorded_trace_replays_to_exactly_the_same_effects() {
    let mut n_failures = 0;
    for seed in 0..60 {
        let (seen, trace) = run(seed).await;
        let reader = Reader::open(trace.as_slice()).expect("it is a trace");
        assert_eq!(reader.spec(), &spec(seed, &mut Dice(seed)));
        let steps = Replay::new(reader, Plain).expect("it can be supervised");
        let steps: Vec<_> = steps.map(|step| step.expect("it is whole")).collect();
        assert!(steps.iter().all(Replayed::agrees), "seed {seed}");
        let replayed: Vec<Seen> =
            steps.into_iter().map(|step| (step.now, step.event, step.effects)).collect();
        assert!(replayed == seen, "seed {seed}: {replayed:#?} is not {seen:#?}");
        let effects = seen.iter().flat_map(|(_, _, effects)| effects);
        n_failures += effects.filter(|effect| matches!(effect, Effect::TellOwner(_))).count();
    }
    assert!(n_failures > 100, "{n_failures} are too few to show anything");
}

/// Whatever one byte of it becomes: no panic, and what is found is an error or another trace.
#[tokio::test(start_paused = true)]
async fn a_trace_with_any_byte_changed_is_read_without_panic() {
    let (_, trace) = run(3).await;
    let mut dice = Dice(17);
    let mut n_wrong = 0;
    for _ in 0..300 {
        let mut changed = trace.clone();
        let at = dice.below(changed.len() as u64) as usize;
        changed[at] = dice.below(256) as u8;
        let steps =
            Reader::open(changed.as_slice()).ok().and_then(|it| Replay::new(it, Plain).ok());
        let is_found =
            |step: Result<Replayed<Status>, TraceError>| !step.is_ok_and(|step| step.agrees());
        n_wrong += usize::from(steps.is_none_or(|mut steps| steps.any(is_found)));
    }
    assert!(n_wrong > 100, "only {n_wrong} of 300 were found");
}
