//! actor: the controller answers over ports, tells ports, and takes its mesh with it.

use std::sync::Arc;
use std::time::Duration;

use controller::{Config, Controller};
use mesh_core::{
    End, Interest, Lane, MeshEvent, MeshPhase, MeshRequest, MeshState, News, OwnerNews, PortRef,
    Progress, Refusal, Reply, Status, Subscribe, Transport, Trouble, Unsubscribe,
};
use mesh_runtime::{ActorRef, LocalTransport, Port, PortReceiver, Proc, Stop};
use mesh_shape::{RankSet, Region, extent};
use supervise::{Clock, ControllerActor, ControllerParams, MeshEvents, Owner, Setup};

use crate::support::{Fake, FakeAgents, Plain, crash, settle, spec};

mod abandoned;
mod large;
mod renewed;
mod returns;

/// A mesh of fake ranks whose controller is an actor, and who talks to it.
struct Mesh {
    proc: Proc,
    agent: Fake,
    actor: ActorRef<ControllerActor<Plain, FakeAgents>>,
    home: PortRef<MeshRequest>,
    owner: PortReceiver<OwnerNews>,
}

/// All ranks run.
async fn mesh(size: usize) -> Mesh {
    mesh_in(&Proc::local().expect("a test has a runtime"), size).await
}

async fn mesh_in(proc: &Proc, size: usize) -> Mesh {
    mesh_with((proc, 16), size).await
}

/// So much news may wait at the owner.
async fn mesh_with((proc, capacity): (&Proc, usize), size: usize) -> Mesh {
    let agent = Fake::default();
    let controller = Controller::new(spec("fake", size, Config::lan()), Plain);
    let setup =
        Setup::new(controller.expect("it holds together"), FakeAgents::of(&agent), Clock::start());
    let owner = proc.open_port(capacity);
    let actor = proc.spawn(ControllerParams { setup, owner: owner.port() });
    settle().await;
    if size > 0 {
        assert!(agent.report(0..size, &Status::Running));
        settle().await;
    }
    _ = agent.take_orders().len();
    // What travels is bytes: the address, too.
    let bytes = serde_json::to_vec(&actor.port::<MeshRequest>()).expect("a port is plain data");
    let home = serde_json::from_slice(&bytes).expect("it was written by us");
    Mesh { proc: proc.clone(), agent, actor, home, owner }
}

impl Mesh {
    async fn ask(&self, request: MeshRequest) -> Reply {
        self.home.call(&self.proc, request).await.expect("the controller lives")
    }

    async fn state(&self) -> Arc<MeshState> {
        match self.ask(MeshRequest::GetState).await {
            Reply::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    async fn n_subscribers(&self) -> usize {
        match self.ask(MeshRequest::GetSubscriberCount).await {
            Reply::Subscribers(n) => n,
            other => panic!("{other:?}"),
        }
    }

    async fn subscribe(
        &self,
        to: PortRef<MeshEvent>,
        region: Option<Region>,
    ) -> Result<(), Refusal> {
        let message = Subscribe {
            to,
            interest: Interest::Terminal,
            region: region.map(Arc::new),
            again: false,
        };
        let port = PortRef::<Subscribe>::of(self.home.actor());
        port.call(&self.proc, message).await.expect("the controller lives")
    }

    async fn unsubscribe(&self, to: PortRef<MeshEvent>) {
        let port = PortRef::<Unsubscribe>::of(self.home.actor());
        port.call(&self.proc, Unsubscribe { to }).await.expect("the controller lives");
    }

    fn events(&self, capacity: usize) -> PortReceiver<MeshEvent> {
        self.proc.open_port(capacity)
    }
}

/// L8
#[tokio::test(start_paused = true)]
async fn every_request_is_answered_over_the_port() {
    let mesh = mesh(2).await;
    let same = spec("fake", 2, Config::lan());
    let restart = same.config.restart;
    let request = MeshRequest::CreateOrUpdate { region: same.region.clone(), restart };
    assert_eq!(mesh.ask(request).await, Reply::Updated { is_changed: false });

    let other = spec("fake", 3, Config::lan()).region;
    let request = MeshRequest::CreateOrUpdate { region: other.clone(), restart };
    let refused = Refusal::OtherRegion { has: same.region, asked: other };
    assert_eq!(mesh.ask(request).await, Reply::Refused(refused));

    assert_eq!(mesh.state().await.phase, MeshPhase::Running);
    let wait = MeshRequest::WaitRankStatus {
        ranks: RankSet::from(0..2),
        until: Progress::Running,
        within: Duration::from_secs(1),
    };
    let Reply::Waited { missing, .. } = mesh.ask(wait).await else { panic!("it was a wait") };
    assert!(missing.is_empty());

    let stop = mesh
        .home
        .call(&mesh.proc, MeshRequest::Stop { grace: Duration::from_secs(1), reason: None });
    let end = async {
        settle().await;
        mesh.agent.report(0..2, &Status::Stopped);
    };
    let (stopped, ()) = tokio::join!(stop, end);
    let Ok(Reply::State(state)) = stopped else { panic!("{stopped:?}") };
    assert_eq!(state.phase, MeshPhase::Stopped);
}

/// L2: neither a wait nor a stop that is under way keeps anybody out.
#[tokio::test(start_paused = true)]
async fn a_wait_and_a_stop_do_not_block_the_mailbox() {
    let mesh = mesh(2).await;
    let wait = MeshRequest::WaitRankStatus {
        ranks: RankSet::from(0..2),
        until: Progress::Ended,
        within: Duration::from_secs(5),
    };
    let waiting = tokio::spawn({
        let (home, proc) = (mesh.home, mesh.proc.clone());
        async move { home.call(&proc, wait).await }
    });
    let stopping = tokio::spawn({
        let (home, proc) = (mesh.home, mesh.proc.clone());
        async move {
            home.call(&proc, MeshRequest::Stop { grace: Duration::from_secs(3), reason: None })
                .await
        }
    });
    settle().await;
    assert_eq!(mesh.state().await.phase, MeshPhase::Stopping);
    assert!(!waiting.is_finished() && !stopping.is_finished());
    mesh.agent.report(0..2, &Status::Stopped);
    let waited = waiting.await.expect("it does not panic");
    assert!(
        matches!(&waited, Ok(Reply::Waited { missing, .. }) if missing.is_empty()),
        "{waited:?}"
    );
    assert!(matches!(stopping.await, Ok(Ok(Reply::State(_)))));
}

/// A caller that has gone is forgotten; what it asked for happens.
#[tokio::test(start_paused = true)]
async fn a_stop_whose_caller_has_gone_goes_on() {
    let mesh = mesh(1).await;
    let stop = mesh
        .home
        .call(&mesh.proc, MeshRequest::Stop { grace: Duration::from_secs(1), reason: None });
    assert!(tokio::time::timeout(Duration::from_millis(1), stop).await.is_err());
    assert_eq!(mesh.state().await.phase, MeshPhase::Stopping);
    mesh.home.cast(&mesh.proc, MeshRequest::GetState).await;
    assert_eq!(mesh.state().await.phase, MeshPhase::Stopping, "a cast is taken, too");
}

/// N1, N2, N4: the owner is told each failure once, a subscriber each end, and then that it is closed.
#[tokio::test(start_paused = true)]
async fn owner_and_subscriber_are_told_over_their_ports() {
    let mut mesh = mesh(3).await;
    let mut events = mesh.events(16);
    assert_eq!(mesh.subscribe(events.port(), None).await, Ok(()));
    let first = events.recv().await;
    assert!(matches!(first.news, News::Snapshot(_)), "{first:?}");
    mesh.agent.report([1], &crash());
    mesh.agent.report([0, 2], &Status::Stopped);
    let mut told = Vec::new();
    loop {
        let event = events.recv().await;
        match event.news {
            News::Changed(changes) => {
                told.extend(changes.iter().map(|c| (c.ranks.to_string(), c.status.kind().label())));
            }
            News::Closed => break,
            other => panic!("{other:?}"),
        }
    }
    let ends = [("1", "failed"), ("0,2", "stopped")].map(|(ranks, end)| (ranks.to_owned(), end));
    assert_eq!(told, ends);
    let OwnerNews::Failed(failures) = mesh.owner.recv().await else { panic!("a rank failed") };
    assert_eq!(failures.changes[0].ranks, RankSet::from(1..2));
    assert!(matches!(mesh.owner.recv().await, OwnerNews::Finished(_)));
    settle().await;
    assert_eq!((mesh.owner.try_recv(), events.try_recv()), (None, None), "and then nothing");
    assert_eq!(mesh.state().await.phase, MeshPhase::Failed, "it can still be asked");
}

/// N5
#[tokio::test(start_paused = true)]
async fn the_same_port_counts_once_and_an_unknown_one_is_no_error() {
    let mesh = mesh(2).await;
    let (mut first, second) = (mesh.events(16), mesh.events(16));
    for port in [first.port(), first.port(), second.port(), first.port()] {
        assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    }
    assert_eq!(mesh.n_subscribers().await, 2);
    settle().await;
    assert!(matches!(first.recv().await.news, News::Snapshot(_)));
    assert_eq!(first.try_recv(), None, "one subscription, one snapshot");
    mesh.unsubscribe(mesh.events(1).port()).await;
    assert_eq!(mesh.n_subscribers().await, 2);
    mesh.unsubscribe(first.port()).await;
    mesh.unsubscribe(first.port()).await;
    assert_eq!(mesh.n_subscribers().await, 1);
}

/// N6
#[tokio::test(start_paused = true)]
async fn a_region_is_subscribed_to_in_its_own_ranks() {
    let mesh = mesh(4).await;
    let all = Region::all(extent!(procs = 4).expect("it is small"));
    let mut events = mesh.events(16);
    let region = all.parse_slice("procs=2:").expect("it is in the region");
    assert_eq!(mesh.subscribe(events.port(), Some(region)).await, Ok(()));
    let foreign = Region::all(extent!(procs = 5).expect("it is small"));
    let refused = mesh.subscribe(mesh.events(1).port(), Some(foreign)).await;
    assert!(matches!(refused, Err(Refusal::OtherBase { .. })), "{refused:?}");
    assert!(matches!(events.recv().await.news, News::Snapshot(_)));
    mesh.agent.report([0, 3], &crash());
    let News::Changed(changes) = events.recv().await.news else { panic!("a rank of it failed") };
    assert_eq!(changes.iter().map(|c| c.ranks.to_string()).collect::<Vec<_>>(), ["1"]);
}

/// N7: at the first message that comes back, and nothing fails.
#[tokio::test(start_paused = true)]
async fn a_subscriber_whose_port_is_gone_is_dropped_at_the_first_return() {
    let mesh = mesh(2).await;
    let (mut gone, mut stays) = (mesh.events(16), mesh.events(16));
    for port in [gone.port(), stays.port()] {
        assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    }
    assert!(matches!(gone.recv().await.news, News::Snapshot(_)));
    drop(gone);
    assert_eq!(mesh.n_subscribers().await, 2, "nothing has come back yet");
    mesh.agent.report([0], &crash());
    settle().await;
    assert_eq!(mesh.n_subscribers().await, 1);
    assert!(matches!(stays.recv().await.news, News::Snapshot(_)));
    assert!(matches!(stays.recv().await.news, News::Changed(_)));
    assert_eq!(mesh.state().await.phase, MeshPhase::Failed);
}

/// N7: a slow one costs bounded memory, and loses no end.
#[tokio::test(start_paused = true)]
async fn a_slow_port_lags_and_gets_a_snapshot_with_every_end() {
    const RANKS: usize = 2_000;
    let mesh = mesh(RANKS).await;
    let mut events = mesh.events(1);
    assert_eq!(mesh.subscribe(events.port(), None).await, Ok(()));
    for rank in 0..RANKS {
        mesh.agent.report([rank], &crash());
        settle().await;
    }
    let (mut ended, mut n_lags) = (RankSet::new(), 0);
    loop {
        match events.recv().await.news {
            News::Snapshot(snapshot) => {
                n_lags += usize::from(snapshot.lagged);
                ended.extend(snapshot.failed.iter().flat_map(|change| change.ranks.iter()));
            }
            News::Changed(changes) => {
                ended.extend(changes.iter().flat_map(|change| change.ranks.iter()));
            }
            News::Closed => break,
            News::Heartbeat { .. } => (),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((ended, n_lags >= 1), (RankSet::from(0..RANKS), true));
}

/// C2: a mesh does not outlive its owner: it ends with the news that nobody takes, before anybody looks
/// for the owner.
#[tokio::test(start_paused = true)]
async fn a_mesh_ends_when_its_owner_turns_out_to_be_gone() {
    let mesh = mesh(2).await;
    drop(mesh.owner);
    mesh.agent.report([0], &crash());
    let ended = tokio::time::timeout(Duration::from_millis(1), mesh.actor.ended()).await;
    assert_eq!(ended, Ok(End::Stopped));
    assert!(mesh.agent.is_dropped());
}

/// C2: also of a mesh that has no news.
#[tokio::test(start_paused = true)]
async fn a_healthy_mesh_does_not_outlive_its_owner() {
    let mesh = mesh(2).await;
    drop(mesh.owner);
    let period = Config::lan().times.check;
    let ended = tokio::time::timeout(2 * period, mesh.actor.ended()).await;
    assert_eq!(ended, Ok(End::Stopped));
    assert!(mesh.agent.is_dropped());
}

/// C2: however the controller ends.
#[tokio::test(start_paused = true)]
async fn a_controller_that_ends_takes_its_agents_with_it() {
    for how in [Stop::Now, Stop::Drain, Stop::Kill] {
        let mesh = mesh(2).await;
        mesh.actor.stop(how);
        mesh.actor.ended().await;
        settle().await;
        assert!(mesh.agent.is_dropped(), "{how:?}");
        assert!(mesh.home.call(&mesh.proc, MeshRequest::GetState).await.is_err());
    }
}

/// C2: a shutdown of the runtime, too.
#[test]
fn a_runtime_that_is_shut_down_takes_the_agents_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mesh = runtime.block_on(mesh(2));
    drop(runtime);
    assert!(mesh.agent.is_dropped());
}

/// H9
#[tokio::test(start_paused = true)]
async fn the_empty_mesh_is_closed_at_once() {
    let mut mesh = mesh(0).await;
    let mut events = mesh.events(4);
    assert_eq!(mesh.subscribe(events.port(), None).await, Ok(()));
    assert!(matches!(events.recv().await.news, News::Snapshot(_)));
    assert_eq!(events.recv().await.news, News::Closed);
    assert!(matches!(mesh.owner.recv().await, OwnerNews::Finished(_)));
    assert_eq!(mesh.state().await.phase, MeshPhase::Stopped);
}

/// L8: from another process, with everything encoded on the way.
#[tokio::test(start_paused = true)]
async fn a_controller_answers_and_tells_another_process() {
    let mesh = mesh(3).await;
    let client = Proc::local().expect("a test has a runtime");
    let transport = LocalTransport::encoding();
    let at = "local://controller".parse().expect("it is an address");
    let inbound = mesh.proc.inbound(0);
    transport.listen(&at, Lane::Control, inbound).await.expect("nobody else listens");
    let session = transport.dial(&at, mesh.proc.id(), Lane::Control, client.inbound(0)).await;
    client.connect(Lane::Control, session.expect("it listens"));

    let mut events = client.open_port::<MeshEvent>(16);
    let subscribe =
        Subscribe { to: events.port(), interest: Interest::All, region: None, again: false };
    let port = PortRef::<Subscribe>::of(mesh.home.actor());
    assert_eq!(port.call(&client, subscribe).await, Ok(Ok(())));
    let News::Snapshot(snapshot) = events.recv().await.news else { panic!("first a snapshot") };
    assert_eq!(snapshot.alive.len(), 1);
    mesh.agent.report([1], &crash());
    let News::Changed(changes) = events.recv().await.news else { panic!("then a change") };
    assert_eq!(changes[0].status, crash());
    let state = mesh.home.call(&client, MeshRequest::GetState).await;
    let Ok(Reply::State(state)) = state else { panic!("{state:?}") };
    assert_eq!(state.phase, MeshPhase::Failed);

    // N7: the session breaks, and with it the subscriber is gone.
    transport.cut(client.id());
    mesh.agent.report([2], &crash());
    settle().await;
    assert_eq!(mesh.n_subscribers().await, 0);
}

/// N8: what waits for room in a port, or in it to be read, is as old as it is.
#[tokio::test(start_paused = true)]
async fn news_and_events_grow_older_while_a_port_is_full() {
    const WAIT: Duration = Duration::from_secs(2);
    let mesh = mesh_with((&Proc::local().expect("a test has a runtime"), 1), 3).await;
    let mut owner = Owner::of_port(mesh.owner);
    let port = mesh.proc.open_port(1);
    let subscribe =
        Subscribe { to: port.port(), interest: Interest::Terminal, region: None, again: false };
    let home = PortRef::<Subscribe>::of(mesh.home.actor());
    assert_eq!(home.call(&mesh.proc, subscribe).await, Ok(Ok(())));
    let mut events = MeshEvents::of_port(port, Clock::start());
    for rank in [0, 1] {
        settle().await;
        mesh.agent.report([rank], &crash());
    }
    settle().await;
    tokio::time::advance(WAIT).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let Some(OwnerNews::Failed(failures)) = owner.next().await else { panic!("two failed") };
        told.push(failures.waited);
    }
    for _ in 0..3 {
        told.extend(events.next().await.map(|event| event.waited));
    }
    assert_eq!(told, [WAIT; 5], "two failures; a snapshot and two changes");
    mesh.agent.report([2], &Status::Stopped);
    assert!(matches!(owner.next().await, Some(OwnerNews::Finished(_))));
    assert_eq!(owner.next().await, None, "and then nothing");
}

/// N10: over a port as well, once, and cleared by the next message.
#[tokio::test(start_paused = true)]
async fn a_controller_that_falls_silent_is_told_of_by_the_port() {
    let mesh = mesh(2).await;
    let client = Proc::local().expect("a test has a runtime");
    let transport = LocalTransport::encoding();
    let at = "local://silent".parse().expect("it is an address");
    let inbound = mesh.proc.inbound(0);
    transport.listen(&at, Lane::Control, inbound).await.expect("nobody else listens");
    let session = transport.dial(&at, mesh.proc.id(), Lane::Control, client.inbound(0)).await;
    client.connect(Lane::Control, session.expect("it listens"));
    let port = client.open_port::<MeshEvent>(16);
    let subscribe =
        Subscribe { to: port.port(), interest: Interest::Terminal, region: None, again: false };
    let home = PortRef::<Subscribe>::of(mesh.home.actor());
    assert_eq!(home.call(&client, subscribe).await, Ok(Ok(())));
    let mut events = MeshEvents::of_port(port, Clock::start());
    let first = events.next().await.expect("a snapshot comes");
    assert!(matches!(first.news, News::Snapshot(_)));
    // The process of the controller is gone: nothing is said any more.
    transport.cut(mesh.proc.id());
    let begun = tokio::time::Instant::now();
    let lost = events.next().await.expect("silence is told");
    assert_eq!(lost.news, News::Trouble(Trouble::ControllerLost));
    let waited = begun.elapsed();
    assert!(
        waited.abs_diff(Config::lan().times.check * 3) < Duration::from_millis(10),
        "{waited:?}"
    );
    let again = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
    assert!(again.is_err(), "once");
}

/// N4, N8: over a port there is nothing after the last event, and what was not read in time is as old as
/// it is.
#[tokio::test(start_paused = true)]
async fn events_of_a_port_end_and_grow_older_while_nobody_reads_them() {
    let mesh = mesh(1).await;
    let port = mesh.events(16);
    assert_eq!(mesh.subscribe(port.port(), None).await, Ok(()));
    let mut events = MeshEvents::of_port(port, Clock::start());
    settle().await;
    mesh.agent.report([0], &crash());
    settle().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let waited = [events.next().await, events.next().await, events.next().await]
        .map(|event| event.map(|event| event.waited));
    assert_eq!(waited, [Some(Duration::from_secs(2)); 3], "a snapshot, a change, the end");
    let after = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
    assert_eq!(after, Ok(None));
}

/// N5, N8: events that have begun tell the snapshot all the same, as old as it is; where none comes in time there are none.
#[tokio::test(start_paused = true)]
async fn events_begin_with_the_snapshot() {
    let (mesh, within) = (mesh(1).await, Duration::from_secs(5));
    let port = mesh.events(16);
    assert_eq!(mesh.subscribe(port.port(), None).await, Ok(()));
    let events = MeshEvents::of_port(port, Clock::start()).begun(within).await;
    let mut events = events.expect("a snapshot comes");
    tokio::time::advance(within).await;
    let first = events.next().await.expect("it is kept");
    assert!(matches!(first.news, News::Snapshot(_)), "{first:?}");
    assert_eq!(first.waited, within);
    let asked = tokio::time::Instant::now();
    let nothing = MeshEvents::of_port(mesh.events(16), Clock::start()).begun(within).await;
    assert_eq!((nothing.is_none(), asked.elapsed()), (true, within));
}
