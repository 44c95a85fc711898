//! `ractor_cluster` in the bench `transport`.

use std::env;
use std::time::Duration;

use meshwarden_bench_player::{Failed, Other, Player, end_with_it, play, say};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::node::NodeServerSessionInformation;
use ractor_cluster::{NodeEventSubscription, NodeServer, NodeServerMessage, RactorClusterMessage};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// What the actor takes.
#[derive(RactorClusterMessage)]
enum Word {
    Cast(Vec<u8>),
    #[rpc]
    Echo(Vec<u8>, RpcReplyPort<Vec<u8>>),
    #[rpc]
    Handled(RpcReplyPort<u64>),
}

struct Echo;

impl Actor for Echo {
    type Msg = Word;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Word>, (): ()) -> Result<u64, ActorProcessingErr> {
        pg::join(GROUP.into(), vec![me.get_cell()]);
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Word>,
        word: Word,
        n: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match word {
            Word::Cast(bytes) => {
                std::hint::black_box(&bytes);
                *n += 1;
            }
            Word::Echo(bytes, reply) => reply.send(bytes)?,
            Word::Handled(reply) => reply.send(*n)?,
        }
        Ok(())
    }
}

struct Watch(mpsc::UnboundedSender<()>);

impl NodeEventSubscription for Watch {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {}
    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}
    fn node_session_disconnected(&self, _: NodeServerSessionInformation) {
        _ = self.0.send(()).is_ok();
    }
}

struct Ractor {
    echo: ActorRef<Word>,
    lost: mpsc::UnboundedReceiver<()>,
    other: Other,
}

impl Player for Ractor {
    async fn call(&mut self) -> Result<(), Failed> {
        let reply = ractor::call!(self.echo, Word::Echo, vec![7; 64])?;
        (reply.len() == 64).then_some(()).ok_or_else(|| "it is sent back".into())
    }

    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        for _ in 0..n {
            self.echo.cast(Word::Cast(vec![7; bytes]))?;
        }
        // It has no bound: whoever never waits would starve who writes.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        Ok(ractor::call!(self.echo, Word::Handled)?)
    }

    async fn lost(&mut self) -> Result<(), Failed> {
        self.lost.recv().await.ok_or_else(|| "it is told".into())
    }

    fn other(&mut self) -> &mut Other {
        &mut self.other
    }
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    if env::args().nth(1).as_deref() == Some("serve") { serve().await } else { drive().await }
}

async fn node(name: &str) -> Result<(ActorRef<NodeServerMessage>, u16), Failed> {
    // The port that it listens at is not told, so one is chosen.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server =
        NodeServer::new(port, "cookie".into(), name.into(), "localhost".into(), None, None);
    Ok((Actor::spawn(None, server, ()).await?.0, port))
}

async fn serve() -> Result<(), Failed> {
    end_with_it();
    let (_node, port) = node("there").await?;
    let _echo = Actor::spawn(None, Echo, ()).await?;
    sleep(Duration::from_millis(100)).await;
    say(&port.to_string())?;
    std::future::pending().await
}

async fn drive() -> Result<(), Failed> {
    let (node, _) = node("here").await?;
    let (watch, lost) = mpsc::unbounded_channel();
    let subscription = Box::new(Watch(watch));
    node.cast(NodeServerMessage::SubscribeToEvents { id: "bench".into(), subscription })?;
    let (other, port) = Other::start(&["serve"], &[])?;
    ractor_cluster::client_connect(&node, format!("127.0.0.1:{port}")).await?;
    let echo = loop {
        if let Some(echo) = pg::get_members(&GROUP.to_owned()).pop() {
            break echo.into();
        }
        sleep(Duration::from_millis(5)).await;
    };
    tokio::spawn(play(Ractor { echo, lost, other })).await?
}

const GROUP: &str = "echo";
