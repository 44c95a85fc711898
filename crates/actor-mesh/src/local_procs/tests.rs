//! Of whom it is told that his owner has let go of him.

use mesh_shape::extent;

use super::*;

/// Two processes, and the ranks that are told as let go of when they are dropped just after `ask`.
async fn let_go(ask: impl AsyncFnOnce(ControllerRef<Status>)) -> RankSet {
    let proc = Proc::local().expect("there is a runtime");
    let extent = extent!(procs = 2).expect("it is small");
    let procs = LocalProcs::start(&proc, "homes", extent, ActorRegistry::new()).await;
    let procs = procs.expect("they start");
    let town = Arc::clone(&procs.homes.town);
    tokio::select! {
        biased;
        () = ask(procs.controller().clone()) => (),
        () = std::future::ready(()) => (),
    }
    drop(procs);
    let told = async {
        loop {
            if let Some(ranks) = town.let_go.get() {
                return ranks.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(KILLED_WITHIN, told).await.expect("it is told")
}

/// ST4: whoever was asked to end just before has not been let go of.
#[tokio::test(start_paused = true)]
async fn who_was_asked_to_end_is_not_let_go_of() {
    let all = RankSet::from(0..2);
    assert_eq!(let_go(async |_| ()).await, all);
    assert_eq!(let_go(async |it| _ = it.state().await.is_ok()).await, all, "that asks nobody");
    assert!(let_go(async |it| _ = it.kill().await.is_ok()).await.is_empty());
    assert!(let_go(async |it| _ = it.stop(GRACE).await.is_ok()).await.is_empty());
}
