//! subscribers: slow ones get a snapshot, silent controllers are noticed (N3 to N7, N10).

use std::time::Duration;

use controller::{Config, Controller};
use mesh_core::{Epoch, Interest, MeshRequest, News, Progress, Status, StatusKind, Trouble};
use mesh_shape::RankSet;
use supervise::{AskError, Clock, MeshEvents, Setup, Supervision, supervise};
use tokio::time::{Instant, timeout};

use crate::support::{FakeAgents, Mesh, Plain, crash, mesh, settle, spec};

/// Longer than anything takes: whoever waits for more waits for ever.
const HANGS: Duration = Duration::from_secs(3_600);

/// N7: its queue holds 256 events; what is lost is in the snapshot, and then comes closed.
#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_lags_and_loses_no_end() {
    const RANKS: usize = 400;
    let mesh = mesh(RANKS, Config::lan()).await;
    let mut slow = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    for rank in 0..RANKS {
        let status = if rank % 2 == 0 { crash() } else { Status::Stopped };
        mesh.agent.report([rank], &status);
        settle().await;
    }
    let (mut failed, mut stopped) = (RankSet::new(), RankSet::new());
    let (mut n_lags, mut is_closed, mut seq) = (0, false, None);
    while let Some(event) = timeout(HANGS, slow.next()).await.expect("the last word comes") {
        assert!(!is_closed, "closed is the last word");
        match event.news {
            News::Snapshot(snapshot) => {
                n_lags += usize::from(snapshot.lagged);
                (failed, stopped) = (RankSet::new(), RankSet::new());
                for change in snapshot.stopped {
                    stopped = stopped.union(&change.ranks);
                }
                for change in snapshot.failed {
                    failed = failed.union(&change.ranks);
                }
            }
            News::Changed(changes) => {
                assert_eq!(
                    seq.map(|seq: u64| seq + 1),
                    Some(event.seq),
                    "no gap but at a snapshot"
                );
                for change in changes.iter() {
                    let is_failure = change.status.kind() == StatusKind::Failed;
                    let ends = if is_failure { &mut failed } else { &mut stopped };
                    *ends = ends.union(&change.ranks);
                }
            }
            News::Closed => is_closed = true,
            other => panic!("nothing else happens: {other:?}"),
        }
        seq = Some(event.seq);
    }
    let all = failed.union(&stopped);
    assert_eq!((n_lags, is_closed), (1, true));
    assert_eq!((failed.len(), stopped.len(), all.len()), (RANKS / 2, RANKS / 2, RANKS));
}

/// N7, K3: another controller takes over, and that is the last word to whoever has lagged, too.
#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_loses_no_end_to_another_controller() {
    let (mesh, slow) = mesh_with_a_slow_subscriber(LOST).await;
    assert!(mesh.agent.refuse(9));
    let last = Some(News::Trouble(Trouble::Replaced { by: Epoch::new(9) }));
    assert_eq!(all_that_is_told(slow).await, (RankSet::from(0..LOST), last));
    assert!(mesh.controller.subscribe(Interest::Terminal, None).await.is_err(), "and no more");
}

/// N7, N10, C2: the owner lets go, and that is the last word to whoever has lagged, too. Nobody else waits for that.
#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_loses_no_end_to_an_owner_that_lets_go() {
    for n_failed in [FULL, LOST] {
        let (mesh, slow) = mesh_with_a_slow_subscriber(n_failed).await;
        let (ranks, within) = (RankSet::from(0..n_failed + 1), Duration::from_secs(60));
        let wait = MeshRequest::WaitRankStatus { ranks, until: Progress::Ended, within };
        let (controller, dropped) = (mesh.controller.clone(), Instant::now());
        let waiting = tokio::spawn(async move { controller.ask(wait).await });
        settle().await;
        drop(mesh.owner);
        mesh.controller.ended().await;
        assert!(mesh.agent.is_dropped());
        assert_eq!(waiting.await.expect("it does not panic"), Err(AskError::Ended));
        assert_eq!(mesh.controller.state().await, Err(AskError::Ended));
        let last = Some(News::Trouble(Trouble::Abandoned));
        assert_eq!(all_that_is_told(slow).await, (RankSet::from(0..n_failed), last));
        mesh.task.await.expect("it does not panic");
        assert_eq!(dropped.elapsed(), Duration::ZERO);
    }
}

/// N7, C2: who does not read is not waited for.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_does_not_read_is_given_up_with_the_mesh() {
    let (mesh, _slow) = mesh_with_a_slow_subscriber(LOST).await;
    let dropped = Instant::now();
    drop(mesh.owner);
    mesh.task.await.expect("it does not panic");
    let waited = dropped.elapsed();
    assert!(waited.abs_diff(Duration::from_secs(5)) < Duration::from_millis(5), "{waited:?}");
}

/// So many ends fill a queue, with the snapshot before them.
const FULL: usize = 255;

/// So many do not find room.
const LOST: usize = 400;

/// So many ranks have failed, one has not, and the subscriber has read nothing of it.
async fn mesh_with_a_slow_subscriber(n_failed: usize) -> (Mesh, MeshEvents) {
    let mesh = mesh(n_failed + 1, Config::lan()).await;
    let slow = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    for rank in 0..n_failed {
        mesh.agent.report([rank], &crash());
        settle().await;
    }
    (mesh, slow)
}

/// Which ranks have failed, and what was said last.
async fn all_that_is_told(mut events: MeshEvents) -> (RankSet, Option<News>) {
    let (mut failed, mut last) = (RankSet::new(), None);
    while let Some(event) = timeout(HANGS, events.next()).await.expect("the last word comes") {
        match &event.news {
            News::Snapshot(all) => failed.extend(all.failed.iter().flat_map(|it| it.ranks.iter())),
            News::Changed(all) => failed.extend(all.iter().flat_map(|it| it.ranks.iter())),
            _ => (),
        }
        last = Some(event.news);
    }
    (failed, last)
}

/// C2, N10: whoever has subscribed is told at once that the owner has let go, and not by silence; then nothing comes.
#[tokio::test(start_paused = true)]
async fn a_mesh_that_its_owner_lets_go_of_is_told_as_that() {
    let mesh = mesh(2, Config::lan()).await;
    let mut events = mesh.controller.subscribe(Interest::All, None).await.expect("it lives");
    assert!(matches!(events.next().await.map(|it| it.news), Some(News::Snapshot(_))));
    let dropped = Instant::now();
    drop(mesh.owner);
    let last = events.next().await.expect("it is told");
    assert_eq!((last.seq, last.news), (1, News::Trouble(Trouble::Abandoned)));
    assert_eq!(dropped.elapsed(), Duration::ZERO);
    assert_eq!(events.next().await, None);
}

/// N3: something comes at least once a period, also after a failure.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_once_a_period() {
    let mesh = mesh(2, Config::lan()).await;
    let mut events = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    mesh.agent.report([0], &crash());
    let agent = mesh.agent.clone();
    let beats = tokio::spawn(async move {
        while agent.beat() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let mut heard_at = Instant::now();
    for _ in 0..20 {
        let event = timeout(HANGS, events.next()).await.expect("one comes").expect("a rank lives");
        assert!(heard_at.elapsed() <= Config::lan().times.check + Duration::from_millis(1));
        assert!(!matches!(event.news, News::Trouble(_)), "{event:?}");
        heard_at = Instant::now();
    }
    drop(mesh.owner);
    beats.await.expect("it does not panic");
}

/// N10: told once after three periods of silence, cleared by the next message.
#[tokio::test(start_paused = true)]
async fn a_silent_controller_is_told_of_once_and_forgiven() {
    let lan = Config::lan();
    let controller = Controller::new(spec("hung", 1, lan), Plain).expect("it holds together");
    let agents = FakeAgents::default();
    let (Supervision { controller, owner, .. }, run) =
        supervise(Setup::new(controller, agents, Clock::start()));
    let mut run = Box::pin(run);
    // A loop that is not polled is a controller that hangs.
    let (events, run_on) = tokio::join!(
        controller.subscribe(Interest::Terminal, None),
        timeout(Duration::from_millis(10), &mut run),
    );
    assert!(run_on.is_err(), "the loop goes on");
    let mut events = events.expect("there is room");
    let mut heard = vec![events.next().await.map(|event| event.news)];
    let start = Instant::now();
    let next = timeout(HANGS, events.next()).await.expect("one comes");
    heard.push(next.map(|event| event.news));
    let waited = start.elapsed();
    assert!(waited.abs_diff(lan.times.check * 3) < Duration::from_millis(5), "{waited:?}");
    assert!(timeout(Duration::from_secs(60), events.next()).await.is_err(), "once");
    for _ in 0..2 {
        assert!(timeout(Duration::from_millis(10), &mut run).await.is_err(), "the loop goes on");
        let next = timeout(HANGS, events.next()).await.expect("one comes");
        heard.push(next.map(|event| event.news));
    }
    let lost = || Some(News::Trouble(Trouble::ControllerLost));
    let heartbeat = || Some(News::Heartbeat { period: lan.times.check });
    assert!(matches!(heard.remove(0), Some(News::Snapshot(_))));
    assert_eq!(heard, [lost(), heartbeat(), lost()], "and told again after the next silence");
    drop(owner);
}
