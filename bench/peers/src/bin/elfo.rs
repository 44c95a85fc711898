//! `elfo` in the bench `transport`.

use std::env;
use std::sync::{Arc, Mutex};

use elfo::prelude::*;
use elfo::topology::Outcome;
use elfo::{ActorGroup, Blueprint, Topology};
use meshwarden_bench_player::{Failed, Other, Player, end_with_it, play, say};

#[message]
struct Cast(Vec<u8>);

#[message(ret = Vec<u8>)]
struct Ping(Vec<u8>);

#[message(ret = u64)]
struct Handled;

/// Is never answered.
#[message(ret = ())]
struct Hang;

struct Elfo {
    cx: Context,
    other: Other,
}

impl Player for Elfo {
    async fn call(&mut self) -> Result<(), Failed> {
        let reply = self.cx.request(Ping(vec![7; 64])).resolve().await?;
        (reply.len() == 64).then_some(()).ok_or_else(|| "it is sent back".into())
    }

    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        for _ in 0..n {
            self.cx.send(Cast(vec![7; bytes])).await?;
        }
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        Ok(self.cx.request(Handled).resolve().await?)
    }

    async fn lost(&mut self) -> Result<(), Failed> {
        // Ends with the connection.
        match self.cx.request(Hang).resolve().await {
            Ok(()) => Err("nobody answers".into()),
            Err(_) => Ok(()),
        }
    }

    fn other(&mut self) -> &mut Other {
        &mut self.other
    }
}

fn echo() -> Blueprint {
    ActorGroup::new().exec(|mut cx| async move {
        let mut n = 0;
        let mut pending = Vec::new();
        while let Some(envelope) = cx.recv().await {
            msg!(match envelope {
                Cast(bytes) => {
                    std::hint::black_box(&bytes);
                    n += 1;
                }
                (Ping(bytes), token) => cx.respond(token, bytes),
                (Handled, token) => cx.respond(token, n),
                (Hang, token) => pending.push(token),
            })
        }
    })
}

fn driver(other: Other) -> Blueprint {
    let other = Arc::new(Mutex::new(Some(other)));
    ActorGroup::new().exec(move |cx| {
        let other = Arc::clone(&other);
        async move {
            let other = other.lock().ok().and_then(|mut other| other.take());
            let Some(other) = other else { return };
            // The other end is found a little later.
            while cx.request(Handled).resolve().await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let played = play(Elfo { cx, other }).await;
            if let Err(why) = &played {
                eprintln!("elfo: {why}");
            }
            std::process::exit(i32::from(played.is_err()));
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    if env::args().nth(1).as_deref() == Some("serve") { serve().await } else { drive().await }
}

async fn serve() -> Result<(), Failed> {
    end_with_it();
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let topology = Topology::empty();
    let configurers = topology.local("system.configurers").entrypoint();
    let network = topology.local("system.network");
    let echos = topology.local("echos");
    network.mount(elfo::batteries::network::new(&topology));
    let config = format!("[system.network]\nlisten = [\"tcp://127.0.0.1:{port}\"]\n");
    let config: toml::Table = toml::from_str(&config)?;
    configurers.mount(elfo::batteries::configurer::fixture(&topology, config));
    echos.mount(echo());
    say(&port.to_string())?;
    Ok(elfo::init::try_start(topology).await?)
}

async fn drive() -> Result<(), Failed> {
    let (other, port) = Other::start(&["serve"], &[])?;
    let topology = Topology::empty();
    let configurers = topology.local("system.configurers").entrypoint();
    let network = topology.local("system.network");
    let drivers = topology.local("drivers");
    let echos = topology.remote("echos");
    drivers.route_to(&echos, |_, _| Outcome::Broadcast);
    network.mount(elfo::batteries::network::new(&topology));
    let config = format!(
        "[system.network]\ndiscovery.predefined = [\"tcp://127.0.0.1:{port}\"]\ndiscovery.attempt_interval = \"50ms\"\n"
    );
    let config: toml::Table = toml::from_str(&config)?;
    configurers.mount(elfo::batteries::configurer::fixture(&topology, config));
    drivers.mount(driver(other));
    Ok(elfo::init::try_start(topology).await?)
}
