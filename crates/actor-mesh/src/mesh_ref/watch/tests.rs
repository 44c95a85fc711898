//! What a ref is told by a controller that says nothing.

use mesh_cast::FanOut;
use mesh_core::{MeshId, MeshLabel};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Proc};
use mesh_shape::Region;

use super::*;
use crate::view::Homes;

/// Takes subscriptions, and what it tells of them is lost.
struct Silent;

impl Actor for Silent {
    const NAME: &'static str = "silent";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>();
    }
}

impl Handler<Subscribe> for Silent {
    async fn handle(
        &mut self,
        _: Subscribe,
        _: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        Ok(Ok(()))
    }
}

/// N5, N10: whoever subscribes is told what there is, or that nothing was told, and does not wait for ever.
#[tokio::test(start_paused = true)]
async fn a_subscription_without_a_snapshot_is_none() {
    let proc = Proc::local().expect("there is a runtime");
    let silent = proc.spawn::<Silent>(()).id();
    let homes = Homes { controller: PortRef::of(silent), keeper: PortRef::of(silent) };
    let label = MeshLabel::new(MeshId::from_random(1), "silent", "actor");
    let region = Arc::new(Region::all("ranks=2".parse().expect("it is an extent")));
    let mesh = ActorMeshRef::<Silent>::new(label, region, homes, FanOut::ALL);
    let within = proc.call_within();
    let told = async {
        match mesh.subscribe(&proc, Interest::All).await {
            Ok(mut events) => Ok(events.next().await.is_some()),
            Err(why) => Err(why),
        }
    };
    let told = timeout(within * 2, told).await;
    assert_eq!(told, Ok(Err(WatchError::Silent { within })));
}
