//! How every event and every effect reads.

use meshwarden::controller::{AskId, Config};
use meshwarden::mesh_core::{
    AgentId, BeatSeq, Cause, Echo, Epoch, Escalation, EscalationReason, Generation, MeshEvent,
    MeshId, MeshLabel, Part, RankState, Reason, Refusal, Status, SubscriberId, Trouble,
};
use meshwarden::mesh_shape::{Extent, Overlay, Rank, ValueMesh};

use super::*;

struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const AGENT: AgentId = AgentId::new(0);
const ASK: AskId = AskId::new(4);
const FIRST: Incarnation = Incarnation::FIRST;

fn label() -> MeshLabel {
    MeshLabel::new(MeshId::from_random(1), "train", "proc")
}

fn region() -> Region {
    let extent: Extent = "hosts=2,procs=2".parse().unwrap();
    Region::all(extent)
}

fn crashed() -> Status {
    Status::failed(Cause::new(Reason::Exit { code: 7 }))
}

fn change(ranks: Range<usize>, status: Status) -> Change {
    let restart_in = status.is_failure().then_some(SECOND / 10);
    let (ranks, age) = (RankSet::from(ranks), Duration::ZERO);
    Change { ranks, incarnation: FIRST, status, restart_in, age }
}

fn state() -> MeshState {
    let rank = |status| RankState { incarnation: FIRST, status };
    let mut ranks = ValueMesh::uniform(4, rank(Status::Running));
    ranks.apply(&Overlay::from_range(2..3, rank(crashed()))).unwrap();
    MeshState { mesh: label(), phase: MeshPhase::Failed, ranks }
}

fn reported(
    life: Incarnation,
    reports: impl IntoIterator<Item = (usize, Status, u64)>,
) -> Event<Status> {
    let reports = reports.into_iter().map(|(rank, report, millis)| {
        let (generation, age) = (Generation::new(1), Duration::from_millis(millis));
        (Rank::new(rank), Update { incarnation: FIRST, generation, age, report })
    });
    Event::Answered(Answer::Reported { agent: AGENT, life, reports: reports.collect() })
}

fn asked_for(request: MeshRequest) -> Event<Status> {
    Event::Asked { ask: ASK, request }
}

fn tell(news: News) -> Effect {
    let (reporter, waited) = (Epoch::FIRST, Duration::ZERO);
    let event = MeshEvent { mesh: label(), reporter, seq: 5, waited, part: Part::WHOLE, news };
    Effect::Tell { to: SubscriberId::new(3), event }
}

fn ask(order: Order) -> Effect {
    Effect::Ask(Request { mesh: label().id(), agent: AGENT, epoch: Epoch::FIRST, order })
}

fn reply(reply: Reply) -> Effect {
    Effect::Answer { ask: ASK, reply }
}

fn resist() -> Event<Status> {
    let (ranks, why) = ((1..3).into(), "it waits".to_owned());
    Event::Answered(Answer::Resist { agent: AGENT, ranks, incarnation: FIRST, why })
}

#[test]
fn every_event_is_one_line() {
    let running = |rank| (rank, Status::Running, 0);
    let (id, ranks) = (SubscriberId::new(3), RankSet::from(0..2));
    let part = region().slice("hosts", 1).unwrap();
    let subscribed =
        |interest, region, again| Event::Subscribed(Subscription { id, interest, region, again });
    let events = [
        (Event::Opened, "opened"),
        (Event::Adopted, "adopted"),
        (reported(FIRST, (0..4).map(running)), "agent 0 reports 0..4 running (inc 0, gen 1)"),
        (
            reported(FIRST.next(), [running(0), (1, crashed(), 1_250)]),
            "agent 0 (life 1) reports 0 running (inc 0, gen 1); \
             1 failed: exit code 7 (inc 0, gen 1, 1.250 s ago)",
        ),
        (reported(FIRST, []), "agent 0 reports nothing"),
        (
            Event::Answered(Answer::Heard { agent: AGENT, life: FIRST, beat: BeatSeq::new(9) }),
            "agent 0: beat 9",
        ),
        (Event::Answered(Answer::QueryFailed { agent: AGENT }), "agent 0 could not be asked"),
        (
            Event::Answered(Answer::Refused { agent: AGENT, obeyed: Epoch::new(2) }),
            "agent 0 refuses: it obeys epoch 2",
        ),
        (resist(), "agent 0: killed and not ended are 1..3 (inc 0): it waits"),
        (subscribed(Interest::All, None, true), "subscriber 3 wants every change, again"),
        (
            subscribed(Interest::Terminal, Some(part.into()), false),
            "subscriber 3 wants ends of hosts=1,procs=0:2",
        ),
        (Event::Unsubscribed(id), "subscriber 3 has gone"),
        (Event::Lagged(id), "subscriber 3 lagged behind, and has room again"),
        (
            asked_for(MeshRequest::CreateOrUpdate {
                region: region().into(),
                restart: RestartConfig {
                    strategy: Strategy::OneForAll,
                    period: Some(SECOND * 60),
                    ..RestartConfig::on_failure(3)
                },
            }),
            "question 4: it is to be hosts=2,procs=2, at most 3 restarts within 1m, after failures, \
             one for all",
        ),
        (asked_for(MeshRequest::GetState), "question 4: its state"),
        (
            asked_for(MeshRequest::Stop { grace: SECOND * 10, reason: None }),
            "question 4: stop, with a grace of 10s",
        ),
        (asked_for(MeshRequest::Kill), "question 4: kill all"),
        (
            asked_for(MeshRequest::WaitRankStatus {
                ranks,
                until: Progress::Running,
                within: SECOND / 2,
            }),
            "question 4: wait until 0..2 are created, for 500ms",
        ),
        (asked_for(MeshRequest::GetSubscriberCount), "question 4: the number of subscribers"),
        (Event::Withdrawn(ASK), "question 4 is withdrawn"),
        (Event::Abandoned, "the owner has gone"),
        (Event::Tick, "tick"),
    ];
    for (given, reads) in events {
        assert_eq!(event(&Plain, &given), reads);
    }
}

fn reads<const N: usize>(effects: [(Effect, &str); N]) {
    for (given, reads) in effects {
        assert_eq!(effect(&given), reads);
    }
}

#[test]
fn every_order_is_one_line() {
    let (ranks, incarnation) = (RankSet::from(0..4), FIRST.next());
    reads([
        (
            ask(Order::Start { ranks: ranks.clone(), incarnation, echoed: None }),
            "ask agent 0 to start 0..4 (incarnation 1)",
        ),
        (
            ask(Order::Stop { ranks: ranks.clone(), incarnation }),
            "ask agent 0 to stop 0..4 (incarnation 1)",
        ),
        (ask(Order::Kill { ranks, incarnation }), "ask agent 0 to kill 0..4 (incarnation 1)"),
        (ask(Order::Poll), "poll agent 0"),
        (
            ask(Order::Renew { echoed: Echo { life: FIRST.next(), beat: BeatSeq::new(9) } }),
            "renew the lease of agent 0 (life 1): beat 9",
        ),
        (Effect::Finish, "finish"),
    ]);
}

#[test]
fn everything_that_is_told_is_one_line() {
    let snapshot = Snapshot {
        period: SECOND,
        failed: vec![change(2..3, crashed())],
        stopped: Vec::new(),
        alive: vec![change(0..2, Status::Running)],
        is_stopping: true,
        stop_reason: None,
        lagged: true,
    };
    let failures = Failures {
        mesh: label(),
        region: region().into(),
        reporter: Epoch::FIRST,
        changes: vec![change(2..3, crashed()), change(0..2, crashed())],
        waited: Duration::ZERO,
        withdrawn: Vec::new(),
        escalation: Some(Escalation {
            reason: EscalationReason::Intensity,
            failed: RankSet::from(0..4),
            starting: RankSet::new(),
            max_restarts: 1,
            period: None,
        }),
    };
    reads([
        (
            tell(News::Snapshot(snapshot)),
            "tell subscriber 3 #5: snapshot after lost messages, while stopping: 2 failed: exit code \
             7 (inc 0), again in 0.100 s; 0..2 running (inc 0)",
        ),
        (
            tell(News::Changed([change(2..3, crashed())].into())),
            "tell subscriber 3 #5: 2 failed: exit code 7 (inc 0), again in 0.100 s",
        ),
        (tell(News::Heartbeat { period: SECOND }), "tell subscriber 3 #5: heartbeat, every 1s"),
        (
            tell(News::Trouble(Trouble::QueryFailed { agent: 0 })),
            "tell subscriber 3 #5: agent 0 could not be asked",
        ),
        (
            tell(News::Trouble(Trouble::Unkillable { ranks: 2, why: "it waits".to_owned() })),
            "tell subscriber 3 #5: 2 ranks do not end although killed: it waits",
        ),
        (tell(News::Stopping { reason: None }), "tell subscriber 3 #5: stopping"),
        (
            tell(News::Stopping { reason: Some("enough".into()) }),
            "tell subscriber 3 #5: stopping: enough",
        ),
        (tell(News::Closed), "tell subscriber 3 #5: closed"),
        (
            Effect::Refuse { to: SubscriberId::new(3), why: Refusal::TooMany { limit: 2 } },
            "refuse subscriber 3: 2 already do, which is the limit: try again when one has gone",
        ),
        (
            Effect::TellOwner(failures),
            "tell owner: rank 2 (hosts=1,procs=0), incarnation 0, failed: exit code 7, again in \
             0.100 s; ranks 0..2, incarnation 0, failed: exit code 7, again in 0.100 s; it needed \
             more than 1 restart: no more are granted; failed ranks: 0..4",
        ),
    ]);
}

#[test]
fn every_answer_is_one_line() {
    let all = "failed: 0..2 running (inc 0); 2 failed: exit code 7 (inc 0); 3 running (inc 0)";
    let waited = |missing| reply(Reply::Waited { missing, state: state().into() });
    reads([
        (reply(Reply::State(state().into())), &format!("answer question 4: {all}")),
        (reply(Reply::Updated { is_changed: true }), "answer question 4: changed"),
        (reply(Reply::Updated { is_changed: false }), "answer question 4: as it was"),
        (waited(RankSet::new()), &format!("answer question 4: reached; {all}")),
        (waited(RankSet::from(2..3)), &format!("answer question 4: not 2; {all}")),
        (reply(Reply::Subscribers(2)), "answer question 4: 2 subscribers"),
        (
            reply(Reply::Refused(Refusal::NoSuchRank { rank: Rank::new(9), size: 4 })),
            "answer question 4: refused: there is no rank 9 in a mesh of 4",
        ),
    ]);
}

#[test]
fn what_is_supervised_is_one_line() {
    let given = Spec {
        mesh: label(),
        region: region().into(),
        epoch: Epoch::FIRST,
        agents: [RankSet::from(0..2), RankSet::from(2..4)].into(),
        config: Config::local(),
        seed: 1,
    };
    assert_eq!(
        spec(&given),
        "proc mesh train: hosts=2,procs=2, 4 ranks, 2 agents, epoch 0, lease 4s, no restarts"
    );
}

#[test]
fn a_long_list_is_cut_and_nothing_breaks_the_line() {
    let status = |rank| if rank % 2 == 0 { Status::Running } else { Status::Stopping };
    let many = event(&Plain, &reported(FIRST, (0..100).map(|rank| (rank, status(rank), 0))));
    assert!(many.ends_with("15 stopping (inc 0, gen 1); and 84 more"), "{many}");
    let error = Reason::Error { message: "one\ntwo\u{1b}[2J".to_owned() };
    let text = tell(News::Changed([change(0..1, Status::failed(Cause::new(error)))].into()));
    assert_eq!(
        effect(&text),
        "tell subscriber 3 #5: 0 failed: error: one\\ntwo\\u{1b}[2J (inc 0), again in 0.100 s"
    );
}
