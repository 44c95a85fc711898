//! senders: who has sent what is handled.

use bytes::Bytes;
use mesh_core::{ActorId, Addr, Lane, MeshId, Message, PortId, PortRef, Transport};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, LocalTransport, Port, Proc, codec};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Tells who has sent what it handles, and sends on.
struct Porter(Heard);

type Heard = mpsc::UnboundedSender<Option<ActorId>>;

#[derive(Serialize, Deserialize)]
struct Parcel;

/// Sends a parcel there: as itself, as its process, and as a call.
#[derive(Serialize, Deserialize)]
struct SendOn(PortRef<Parcel>);

macro_rules! message {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("senders.", stringify!($name));
            type Reply = ();
        }
    };
}

message!(Parcel);
message!(SendOn);

impl Actor for Porter {
    const NAME: &'static str = "porter";
    type Params = Heard;

    async fn start(heard: Heard, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(heard))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Parcel>().takes::<SendOn>();
    }
}

impl Handler<Parcel> for Porter {
    async fn handle(&mut self, _: Parcel, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.0.send(cx.sender()).expect("the test listens");
        Ok(())
    }
}

impl Handler<SendOn> for Porter {
    async fn handle(&mut self, SendOn(to): SendOn, cx: &mut Context<Self>) -> Result<(), Failure> {
        to.cast(cx, Parcel).await;
        to.cast(cx.proc(), Parcel).await;
        to.call(cx, Parcel).await?;
        Ok(())
    }
}

#[tokio::test]
async fn the_sender_of_a_cast_is_known_and_nobody_else_is_said_to_be_one() {
    let [here, there] = [(); 2].map(|()| Proc::local().expect("there is a runtime"));
    let (transport, at) = (LocalTransport::encoding(), Addr::Local { name: "there".to_owned() });
    transport.listen(&at, Lane::Data, there.inbound(0)).await.expect("nobody else listens");
    let session = transport.dial(&at, there.id(), Lane::Data, here.inbound(0)).await;
    here.connect(Lane::Data, session.expect("it listens"));

    let (heard, mut senders) = mpsc::unbounded_channel();
    let to = there.spawn::<Porter>(heard.clone());
    for proc in [&here, &there] {
        let from = proc.spawn::<Porter>(heard.clone());
        from.call(proc, SendOn(to.port())).await.expect("it is answered");
        for expected in [Some(from.id()), None, None] {
            assert_eq!(senders.recv().await, Some(expected), "by {proc:?}");
        }
    }
    // Of what came by way of others, who has sent it is only what they say.
    let (port, claimed) = ((to.id(), PortId::of::<Parcel>()), here.spawn::<Porter>(heard).id());
    let bytes: Bytes = codec::encode(Parcel::NAME, &Parcel).expect("it can be");
    let mesh = MeshId::from_random(1);
    there.cast_passed_on(port, (Some(claimed), mesh), bytes).await.expect("it is taken");
    assert_eq!(senders.recv().await, Some(None));
}
