//! hangs: handlers that run for too long, in processes that share who looks at them.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{LocalProcs, LocalSpec};
use controller::Config;
use mesh_core::{Interest, News, Stall, Status, Transport};
use mesh_runtime::{LocalTransport, Proc};
use mesh_shape::RankSet;

use crate::support::{Hang, World, registry, soon};

/// D7, N9: of the ranks of one program, whose actors are numbered alike, the one whose handler hangs is told, by its name
/// and the message, and no other.
#[tokio::test]
async fn only_the_rank_that_hangs_is_told_to() {
    let proc = Proc::local().expect("there is a runtime");
    let board = LocalTransport::default();
    let spec = LocalSpec {
        name: "homes".to_owned(),
        extent: "procs=3".parse().expect("it is an extent"),
        config: Config::local(),
        registry: registry(),
        transports: Box::new(move || Arc::new(board.another()) as Arc<dyn Transport>),
        stalled_handler: Some(Duration::from_millis(500)),
    };
    let procs = LocalProcs::start_with(&proc, spec).await.expect("they start");
    let world = World { proc, procs };
    let tools = world.tools().await;
    let mut events = soon(tools.subscribe(Interest::All)).await.expect("it is taken");
    let second = tools.slice("procs", 1..2).expect("it is there");
    assert!(soon(second.cast(&world.proc, Hang)).await.is_empty());
    let stalled = loop {
        let event = soon(events.next()).await.expect("the mesh lives");
        let News::Changed(changes) = event.news else { continue };
        let stalled = changes.iter().find(|change| matches!(change.status, Status::Stalled(_)));
        if let Some(change) = stalled {
            break change.clone();
        }
    };
    assert_eq!(stalled.ranks, RankSet::from(1..2));
    let Status::Stalled(Stall::Handler(handler)) = &stalled.status else { panic!("{stalled:?}") };
    assert_eq!((handler.actor.as_str(), handler.message.as_str()), ("tools[1]", "test.Hang"));
    // Those that hang would be told by the same look.
    let state = soon(tools.state(&world.proc)).await.expect("it is told");
    assert_eq!(state.ranks.ranks_where(|rank| rank.status == Status::Running).len(), 2);
}
