//! `kameo` with its feature `remote` in the bench `transport`.

use std::env;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use kameo::actor::{RemoteActorRef, Spawn};
use kameo::message::{Context, Message};
use kameo::{Actor, RemoteActor, remote, remote_message};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, noise, tcp, yamux};
use meshwarden_bench_player::{Failed, Other, Player, end_with_it, play, say};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;

#[derive(Actor, RemoteActor)]
struct Echo(u64);

#[derive(Serialize, Deserialize)]
struct Cast(Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Ping(Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Handled;

#[remote_message]
impl Message<Cast> for Echo {
    type Reply = ();
    async fn handle(&mut self, cast: Cast, _: &mut Context<Self, ()>) {
        std::hint::black_box(&cast.0);
        self.0 += 1;
    }
}

#[remote_message]
impl Message<Ping> for Echo {
    type Reply = Vec<u8>;
    async fn handle(&mut self, ping: Ping, _: &mut Context<Self, Vec<u8>>) -> Vec<u8> {
        ping.0
    }
}

#[remote_message]
impl Message<Handled> for Echo {
    type Reply = u64;
    async fn handle(&mut self, _: Handled, _: &mut Context<Self, u64>) -> u64 {
        self.0
    }
}

struct Kameo {
    echo: RemoteActorRef<Echo>,
    lost: mpsc::UnboundedReceiver<()>,
    other: Other,
}

impl Player for Kameo {
    async fn call(&mut self) -> Result<(), Failed> {
        let reply = self.echo.ask(&Ping(vec![7; 64])).await?;
        (reply.len() == 64).then_some(()).ok_or_else(|| "it is sent back".into())
    }

    /// Acknowledged, and so many at once as it takes: what is only told is lost in part.
    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        let mut left = n;
        while left > 0 {
            let now = left.min(AT_ONCE);
            let casts: Vec<_> = (0..now).map(|_| Cast(vec![7; bytes])).collect();
            try_join_all(casts.iter().map(|cast| self.echo.tell(cast).send_ack())).await?;
            left -= now;
        }
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        Ok(self.echo.ask(&Handled).await?)
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

/// As `remote::bootstrap` has it, without looking for others, and a link that is idle is kept.
fn swarm() -> Result<libp2p::Swarm<remote::Behaviour>, Failed> {
    // By default it takes no more than 1 MiB.
    let config = remote::messaging::Config::default().with_request_size_maximum(16 << 20);
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| remote::Behaviour::new(key.public().to_peer_id(), config))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build();
    swarm.behaviour().try_init_global()?;
    Ok(swarm)
}

async fn serve() -> Result<(), Failed> {
    end_with_it();
    let mut swarm = swarm()?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let echo = Echo::spawn(Echo(0));
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                say(&address.to_string()).ok();
            }
        }
    });
    // Whoever asks first gives it somebody to keep the name at.
    while echo.register(NAME).await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
    std::future::pending().await
}

async fn drive() -> Result<(), Failed> {
    let (other, address) = Other::start(&["serve"], &[])?;
    let mut swarm = swarm()?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    swarm.dial(address.parse::<Multiaddr>()?)?;
    let (watch, lost) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionClosed { .. } => _ = watch.send(()).is_ok(),
                SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                    swarm.add_peer_address(peer_id, endpoint.get_remote_address().clone());
                }
                _ => (),
            }
        }
    });
    let echo = loop {
        if let Ok(Some(echo)) = RemoteActorRef::<Echo>::lookup(NAME).await {
            break echo;
        }
        sleep(Duration::from_millis(5)).await;
    };
    tokio::spawn(play(Kameo { echo, lost, other })).await?
}

const NAME: &str = "echo";

/// Fewer than it takes at once by default, 100.
const AT_ONCE: usize = 64;
