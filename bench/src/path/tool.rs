//! The actor on each process.

use meshwarden::mesh_core::PortRef;
use meshwarden::prelude::*;
use serde::{Deserialize, Serialize};

/// Answers at once, counts casts, or does not answer.
pub(crate) struct Tool {
    n_casts: u64,
}

/// 64 bytes, and the same for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping(pub(crate) [u8; 32], pub(crate) [u8; 32]);

/// 64 bytes that are not answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Count(pub(crate) [u8; 32], pub(crate) [u8; 32]);

/// How many were counted?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counted;

/// At which address are pings answered?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Where;

/// Is never answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Hang;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("bench.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Ping, Ping);
message!(Count, ());
message!(Counted, u64);
message!(Where, PortRef<Ping>);
message!(Hang, ());

impl Actor for Tool {
    const NAME: &'static str = "tool";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { n_casts: 0 })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers
            .takes::<Ping>()
            .takes::<Count>()
            .takes::<Counted>()
            .takes::<Where>()
            .takes::<Hang>();
    }
}

impl Handler<Ping> for Tool {
    async fn handle(&mut self, ping: Ping, _: &mut Context<Self>) -> Result<Ping, Failure> {
        Ok(ping)
    }
}

impl Handler<Count> for Tool {
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Result<(), Failure> {
        self.n_casts += 1;
        Ok(())
    }
}

impl Handler<Counted> for Tool {
    async fn handle(&mut self, _: Counted, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(self.n_casts)
    }
}

impl Handler<Where> for Tool {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> Result<PortRef<Ping>, Failure> {
        Ok(cx.port())
    }
}

impl Handler<Hang> for Tool {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}
