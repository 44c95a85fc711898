//! large: meshes whose ranks are told in many runs, by messages that fit into the frames of the control lane.

use controller::RestartConfig;
use mesh_core::RankState;
use mesh_runtime::Network;
use mesh_shape::Rank;
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};

use super::*;

/// What a frame of the control lane holds.
const BYTES_MAX: usize = 1 << 20;

/// A mesh of so many ranks, and another program, which owns it.
async fn mesh_beside(size: usize) -> (Mesh, Proc) {
    let config = SessionConfig { body_bytes_max: BYTES_MAX, ..SessionConfig::default() };
    let net = FaultNet::with_config(1, Faults::none(), config);
    let beside = async |site: &str| {
        let proc = Proc::local().expect("a test has a runtime");
        let network = Network::new(proc.clone(), Arc::new(net.transport(site)), 0);
        let at = format!("local://{site}").parse().expect("it is an address");
        let doors = network.listen(&at).await.expect("nobody else is there");
        (proc, network, doors)
    };
    let (proc, _, doors) = beside("controller").await;
    let (client, network, _) = beside("client").await;
    network.dial(proc.peer(), &doors).await.expect("it listens");

    let agent = Fake::default();
    let config = Config { restart: RestartConfig::on_failure(0), ..Config::lan() };
    let controller = Controller::new(spec("fake", size, config), Plain);
    let setup =
        Setup::new(controller.expect("it holds together"), FakeAgents::of(&agent), Clock::start());
    let owner = client.open_port(64);
    let actor = proc.spawn(ControllerParams { setup, owner: owner.port() });
    settle().await;
    assert!(agent.report(0..size, &Status::Running));
    settle().await;
    let home = actor.port();
    (Mesh { proc, agent, actor, home, owner }, client)
}

/// Every other rank.
fn odd(size: usize) -> impl Iterator<Item = usize> {
    (1..size).step_by(2)
}

/// RS3, N1, N2: 200,000 ranks have failed, between others that live, and that is more than is to be borne.
#[tokio::test(start_paused = true)]
async fn an_escalation_of_many_runs_is_told_to_another_program() {
    const SIZE: usize = 400_000;
    let (mut mesh, client) = mesh_beside(SIZE).await;
    let port = client.open_port(64);
    let (to, interest) = (port.port(), Interest::Terminal);
    let subscribe = Subscribe { to, interest, region: None, again: false };
    let door = PortRef::<Subscribe>::of(mesh.home.actor());
    assert_eq!(door.call(&client, subscribe).await, Ok(Ok(())));
    let mut events = MeshEvents::of_port(port, Clock::start());
    let first = events.next().await.map(|event| event.news);
    assert!(matches!(first, Some(News::Snapshot(_))), "{first:?}");

    mesh.agent.report(odd(SIZE), &crash());
    let failed: RankSet = odd(SIZE).map(Rank::new).collect();
    let Some(News::Changed(changes)) = events.next().await.map(|event| event.news) else {
        panic!("they have failed")
    };
    assert!(matches!(&changes[..], [one] if one.ranks == failed), "{} changes", changes.len());
    let Some(News::Escalated(escalation)) = events.next().await.map(|event| event.news) else {
        panic!("it is told")
    };
    assert_eq!(escalation.failed, failed);
    let escalation = loop {
        let OwnerNews::Failed(failures) = mesh.owner.recv().await else { panic!("some live") };
        if let Some(escalation) = failures.escalation {
            break escalation;
        }
    };
    assert_eq!(escalation.failed, failed);
}

/// L7: so many are waited for, and have not all ended.
#[tokio::test(start_paused = true)]
async fn a_wait_for_many_runs_is_answered_to_another_program() {
    const SIZE: usize = 140_000;
    let (mesh, client) = mesh_beside(SIZE).await;
    mesh.agent.report(odd(SIZE), &crash());
    settle().await;
    let (ranks, within) = (RankSet::from(0..SIZE), Duration::from_secs(1));
    let wait = MeshRequest::WaitRankStatus { ranks, until: Progress::Ended, within };
    let answer = mesh.home.call_within(&client, wait, within * 2).await;
    let Ok(Reply::Waited { missing, state }) = answer else { panic!("{answer:?}") };
    assert_eq!(missing, odd(SIZE).map(|rank| Rank::new(rank - 1)).collect());
    let is_right = |(rank, RankState { status, .. }): (usize, &RankState)| match rank % 2 {
        0 => *status == Status::Running,
        _ => status.is_failure(),
    };
    assert!(state.ranks.iter().enumerate().all(is_right));
}
