//! requests: what is asked of a loop is answered or refused, and whoever has gone waits no more
//! (L7, L8, K3, N7).

use std::time::Duration;

use controller::{Config, Controller, Limits};
use mesh_core::{Incarnation, Interest, Order, Progress, Refusal, Status};
use mesh_shape::{Rank, RankSet};
use supervise::{AskError, Clock, Opening, Setup, Supervision, supervise};
use tokio::time::timeout;

use crate::support::{Fake, FakeAgents, Plain, mesh, settle, spec};

const LONG: Duration = Duration::from_secs(60);

/// L7: the answer names who is missing, and says what everybody is.
#[tokio::test(start_paused = true)]
async fn a_wait_is_answered_when_its_ranks_are_so_far() {
    let mesh = mesh(2, Config::lan()).await;
    let wait = tokio::spawn({
        let controller = mesh.controller.clone();
        async move { controller.wait(RankSet::from(0..2), Progress::Ended, LONG).await }
    });
    settle().await;
    mesh.agent.report(0..2, &Status::Stopped);
    let (missing, state) = wait.await.expect("it does not panic").expect("the loop lives");
    assert_eq!(missing, RankSet::new());
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped));
}

/// L8
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_rank_that_is_not_there_is_refused() {
    let mesh = mesh(2, Config::lan()).await;
    let answer = mesh.controller.wait(RankSet::from(0..3), Progress::Ended, LONG).await;
    let why = Refusal::NoSuchRank { rank: Rank::new(2), size: 2 };
    assert_eq!(answer, Err(AskError::Refused(why)));
}

/// L7, L8: also if it has gone without a word.
#[tokio::test(start_paused = true)]
async fn whoever_has_gone_takes_nobodys_place() {
    let limits = Limits { asks: 1, ..Limits::LARGE };
    let mesh = mesh(1, Config { limits, ..Config::lan() }).await;
    let all = || RankSet::from(0..1);
    let second = Duration::from_secs(1);
    let gone = timeout(second, mesh.controller.wait(all(), Progress::Ended, LONG)).await;
    assert!(gone.is_err(), "it is not answered yet");
    // With the next tick it is noticed.
    tokio::time::sleep(Config::lan().times.check).await;
    let (missing, _) =
        mesh.controller.wait(all(), Progress::Ended, second).await.expect("there is room");
    assert_eq!(missing, all());
}

/// N7, L8
#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_says_why() {
    let limits = Limits { subscribers: 1, ..Limits::LARGE };
    let mesh = mesh(1, Config { limits, ..Config::lan() }).await;
    let _first = mesh.controller.subscribe(Interest::All, None).await.expect("there is room");
    let second = mesh.controller.subscribe(Interest::All, None).await.map(|_| ());
    assert_eq!(second, Err(AskError::Refused(Refusal::TooMany { limit: 1 })));
}

/// K3: a mesh that another controller has started is asked for, and not started again.
#[tokio::test(start_paused = true)]
async fn an_adopted_mesh_is_not_started() {
    for (opening, expected) in [
        (Opening::Adopt, Vec::new()),
        (
            Opening::Start,
            vec![Order::Start {
                ranks: RankSet::from(0..2),
                incarnation: Incarnation::FIRST,
                echoed: None,
            }],
        ),
    ] {
        let agent = Fake::default();
        let controller =
            Controller::new(spec("adopted", 2, Config::lan()), Plain).expect("it holds together");
        let setup =
            Setup { opening, ..Setup::new(controller, FakeAgents::of(&agent), Clock::start()) };
        let (Supervision { owner, .. }, run) = supervise(setup);
        let run = tokio::spawn(run);
        settle().await;
        assert_eq!(agent.take_orders(), expected);
        drop(owner);
        run.await.expect("it does not panic");
    }
}

/// N5, N7: nor does whoever has only just gone.
#[tokio::test(start_paused = true)]
async fn whoever_has_just_gone_takes_nobodys_place() {
    let limits = Limits { subscribers: 1, asks: 1 };
    let mesh = mesh(2, Config { limits, ..Config::lan() }).await;
    for _ in 0..3 {
        let events = mesh.controller.subscribe(Interest::Terminal, None).await;
        drop(events.expect("there is a place"));
        let all = RankSet::from(0..2);
        let wait = mesh.controller.wait(all, Progress::Ended, Duration::from_secs(1_000));
        assert!(timeout(Duration::from_millis(1), wait).await.is_err(), "it waits");
    }
}
