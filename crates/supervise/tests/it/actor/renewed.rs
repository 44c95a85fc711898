//! renewed: subscriptions that are made again (N5, N7).

use super::*;

/// N5, N7: it is told once what there is, as one that has missed something.
#[tokio::test(start_paused = true)]
async fn who_subscribes_again_is_told_one_snapshot() {
    let mesh = mesh(2).await;
    mesh.agent.report([1], &crash());
    let mut port = mesh.events(16);
    let (to, interest) = (port.port(), Interest::Terminal);
    let again = Subscribe { to, interest, region: None, again: true };
    let door = PortRef::<Subscribe>::of(mesh.home.actor());
    assert_eq!(door.call(&mesh.proc, again).await, Ok(Ok(())));
    mesh.agent.report([0], &Status::Stopped);
    settle().await;
    let told = std::iter::from_fn(|| port.try_recv()).map(|event| match event.news {
        News::Snapshot(all) => (event.seq, Some(all.lagged)),
        _ => (event.seq, None),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(0, Some(true)), (1, None), (2, None)]);
}
