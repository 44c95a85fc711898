//! Ours as programs use it: an actor is called and cast to from another process.

use std::io::{self, BufReader, Write};

use meshwarden::mesh_core::{Blob, Lane, Message, PeerId, PortRef, Transport};
use meshwarden::mesh_runtime::{
    Actor, Context, ControlThread, Failure, Handler, Handlers, Port, Proc, ProcConfig, ReplyTo,
};
use meshwarden_bench_player::{Failed, Other, Player, end_with_it};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::door::{Keys, address};
use super::seat::opposite;

/// Answers at once, counts casts, or does not answer.
struct Echo(u64);

/// 64 bytes, and the same for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Ping([u8; 32], [u8; 32]);

/// 64 bytes that are not answered.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Short([u8; 32], [u8; 32]);

/// So many bytes as there are.
#[derive(Serialize, Deserialize)]
struct Long(Blob);

#[derive(Serialize, Deserialize)]
struct Handled;

/// Is never answered.
#[derive(Serialize, Deserialize)]
struct Hang;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("transport.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Ping, Ping);
message!(Short, ());
message!(Long, ());
message!(Handled, u64);
message!(Hang, ());

impl Actor for Echo {
    const NAME: &'static str = "echo";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(0))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers
            .takes::<Ping>()
            .takes::<Short>()
            .takes::<Long>()
            .takes::<Handled>()
            .takes::<Hang>();
    }
}

impl Handler<Ping> for Echo {
    async fn handle(&mut self, ping: Ping, _: &mut Context<Self>) -> Result<Ping, Failure> {
        Ok(ping)
    }
}

impl Handler<Short> for Echo {
    async fn handle(&mut self, short: Short, _: &mut Context<Self>) -> Result<(), Failure> {
        std::hint::black_box(&short);
        self.0 += 1;
        Ok(())
    }
}

impl Handler<Long> for Echo {
    async fn handle(&mut self, long: Long, _: &mut Context<Self>) -> Result<(), Failure> {
        std::hint::black_box(&long.0);
        self.0 += 1;
        Ok(())
    }
}

impl Handler<Handled> for Echo {
    async fn handle(&mut self, _: Handled, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(self.0)
    }
}

impl Handler<Hang> for Echo {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle_call(
        &mut self,
        _: Hang,
        mut reply: ReplyTo<()>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        cx.attach(async move {
            reply.abandoned().await;
            Ok(())
        });
        Ok(())
    }
}

/// What the other end says of itself: where it listens, who it is, and whom to call there.
type Ready = (String, PeerId, PortRef<Handled>);

pub(crate) async fn serve(door: &str) -> Result<(), Failed> {
    let transport = Keys::read(&mut io::stdin().lock())?.transport()?;
    end_with_it();
    let proc = Proc::start(ProcConfig::local(), Handle::current());
    let at = transport.listen(&address(door), Lane::Data, proc.inbound(0)).await?;
    let ready: Ready = (at.to_string(), proc.peer(), proc.spawn::<Echo>(()).port());
    let mut out = io::stdout();
    writeln!(out, "{}", serde_json::to_string(&ready)?)?;
    out.flush()?;
    std::future::pending().await
}

struct Actors {
    here: Proc,
    _control: ControlThread,
    handled: PortRef<Handled>,
    other: Other,
    body: Blob,
}

pub(crate) async fn play(door: &str) -> Result<(), Failed> {
    let keys = Keys::new(door)?;
    let (other, line) = opposite(&["serve", &format!("actors-{door}")], &keys.to_bytes())?;
    let (at, peer, handled): Ready = serde_json::from_reader(BufReader::new(line.as_bytes()))?;
    // Sees to the deadlines of calls, as in every program with a mesh.
    let control = ControlThread::start("control")?;
    let config = ProcConfig { control: Some(control.handle().clone()), ..ProcConfig::local() };
    let here = Proc::start(config, Handle::current());
    let transport = keys.transport()?;
    let session = transport.dial(&at.parse()?, peer.proc, Lane::Data, here.inbound(0)).await?;
    here.connect(Lane::Data, session);
    meshwarden_bench_player::play(Actors {
        here,
        _control: control,
        handled,
        other,
        body: Blob::default(),
    })
    .await
}

impl Actors {
    fn port<M: Message>(&self) -> PortRef<M> {
        PortRef::of(self.handled.actor())
    }
}

impl Player for Actors {
    async fn call(&mut self) -> Result<(), Failed> {
        let (port, ping) = (self.port(), Ping([1; 32], [2; 32]));
        let reply = port.call(&self.here, ping).await?;
        (reply == ping).then_some(()).ok_or_else(|| "it is sent back".into())
    }

    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        if bytes == 64 {
            let port = self.port();
            for _ in 0..n {
                port.cast(&self.here, Short([1; 32], [2; 32])).await;
            }
            return Ok(());
        }
        if self.body.len() != bytes {
            self.body = vec![7; bytes].into();
        }
        let port = self.port();
        for _ in 0..n {
            port.cast(&self.here, Long(self.body.clone())).await;
        }
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        Ok(self.handled.call(&self.here, Handled).await?)
    }

    async fn lost(&mut self) -> Result<(), Failed> {
        match self.port().call(&self.here, Hang).await {
            Ok(()) => Err("nobody answers".into()),
            Err(_) => Ok(()),
        }
    }

    fn other(&mut self) -> &mut Other {
        &mut self.other
    }
}
