//! abandoned: what is told over ports of an owner that has gone (C2, N7, N10).

use tokio::time::timeout;

use super::*;

/// Longer than anything takes: whoever waits for more waits for ever.
const HANGS: Duration = Duration::from_secs(3_600);

/// More than find room on the way to a port.
const LOST: usize = 400;

/// N10, N7: it is told when it is looked for, and when news come back; also to who lags, and no end is lost.
#[tokio::test(start_paused = true)]
async fn that_the_owner_has_gone_is_told_over_the_ports() {
    for (n_before, n_after) in [(0, 0), (0, 1), (LOST, 1)] {
        let n_failed = n_before + n_after;
        let mesh = mesh(n_failed + 1).await;
        let port = mesh.events(1);
        assert_eq!(mesh.subscribe(port.port(), None).await, Ok(()));
        for rank in 0..n_before {
            mesh.agent.report([rank], &crash());
            settle().await;
        }
        drop(mesh.owner);
        mesh.agent.report(n_before..n_failed, &crash());
        settle().await;
        let mut events = MeshEvents::of_port(port, Clock::start());
        let (mut failed, mut last) = (RankSet::new(), None);
        while let Some(event) = timeout(HANGS, events.next()).await.expect("the last word comes") {
            match &event.news {
                News::Snapshot(all) => {
                    failed.extend(all.failed.iter().flat_map(|it| it.ranks.iter()));
                }
                News::Changed(all) => failed.extend(all.iter().flat_map(|it| it.ranks.iter())),
                _ => (),
            }
            last = Some(event.news);
        }
        let expected = (RankSet::from(0..n_failed), Some(News::Trouble(Trouble::Abandoned)));
        assert_eq!((failed, last), expected, "of {n_before} and {n_after}");
        assert_eq!(mesh.actor.ended().await, End::Stopped);
        assert!(mesh.agent.is_dropped());
    }
}

/// C2: who does not read holds up the end of the controller for a while, and that of the ranks not at all. What is
/// asked meanwhile is answered by that end.
#[tokio::test(start_paused = true)]
async fn a_port_that_is_not_read_does_not_keep_what_has_no_owner() {
    let mesh = mesh(2).await;
    let events = mesh.events(1);
    assert_eq!(mesh.subscribe(events.port(), None).await, Ok(()));
    settle().await;
    drop(mesh.owner);
    mesh.agent.report([0], &crash());
    mesh.home.cast(&mesh.proc, MeshRequest::Kill).await;
    settle().await;
    assert!(mesh.agent.is_dropped());
    let asked = mesh.home.call(&mesh.proc, MeshRequest::GetState);
    let asked = timeout(Duration::from_secs(6), asked).await;
    assert!(matches!(asked, Ok(Err(_))), "{asked:?}");
    assert_eq!(mesh.actor.ended().await, End::Stopped);
}
