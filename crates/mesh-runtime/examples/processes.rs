//! Two processes: actors talk by address, and whoever waits for one that is lost is told.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, sync::Arc};

use mesh_runtime::mesh_core::{Message, PortRef};
use mesh_runtime::{
    Actor, CallError, Context, Failure, Handler, Handlers, LocalTransport, Network, Port, Proc,
};
use serde::{Deserialize, Serialize};

struct Library {
    readers: Vec<PortRef<News>>,
}

impl Actor for Library {
    const NAME: &'static str = "library";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { readers: Vec::new() })
    }

    /// What it takes by address. Others need not know its type.
    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>().takes::<Add>();
    }
}

/// An address is a plain value, and travels.
#[derive(Serialize, Deserialize)]
struct Subscribe(PortRef<News>);
impl Message for Subscribe {
    const NAME: &'static str = "processes.Subscribe";
    type Reply = ();
}
impl Handler<Subscribe> for Library {
    async fn handle(
        &mut self,
        Subscribe(reader): Subscribe,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.readers.push(reader);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Add(String);
impl Message for Add {
    const NAME: &'static str = "processes.Add";
    type Reply = usize;
}
impl Handler<Add> for Library {
    async fn handle(&mut self, Add(title): Add, cx: &mut Context<Self>) -> Result<usize, Failure> {
        for reader in &self.readers {
            reader.cast(cx, News(title.clone())).await;
        }
        Ok(self.readers.len())
    }
}

#[derive(Serialize, Deserialize)]
struct News(String);
impl Message for News {
    const NAME: &'static str = "processes.News";
    type Reply = ();
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Both within this program, but what goes from one to the other is encoded, as between machines.
    let (here, there) = (Proc::local()?, Proc::local()?);
    let board = LocalTransport::encoding();
    let network = Network::new(there.clone(), Arc::new(board.another()), 0);
    let doors = network.listen(&"local://there".parse()?).await?;
    Network::new(here.clone(), Arc::new(board), 0).dial(there.peer(), &doors).await?;

    let library = there.spawn::<Library>(());
    let (subscribe, add) = (library.port::<Subscribe>(), library.port::<Add>());
    let mut news = here.open_port::<News>(8);
    subscribe.call(&here, Subscribe(news.port())).await?;
    let n_readers = add.call(&here, Add("On Ends".to_owned())).await?;
    println!("{n_readers} reader is told of {:?}", news.recv().await.0);
    assert_eq!(n_readers, 1);

    // It goes away as if it had died, while somebody waits for it.
    let leave = async { network.leave() };
    let (lost, ()) = tokio::join!(add.call(&here, Add("On Beginnings".to_owned())), leave);
    println!("{lost:?}");
    assert!(matches!(lost, Err(CallError::PeerLost { .. })));
    // And now there is no way any more.
    let lost = add.call(&here, Add("On Beginnings".to_owned())).await;
    assert!(matches!(lost, Err(CallError::Undelivered { .. })));
    Ok(())
}
