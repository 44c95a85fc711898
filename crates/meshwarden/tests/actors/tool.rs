//! An actor that does what it is told.

use std::path::PathBuf;
use std::time::Duration;

use meshwarden::prelude::*;
use serde::{Deserialize, Serialize};

/// Has a number.
pub(crate) struct Tool(u64);

impl Actor for Tool {
    const NAME: &'static str = "tool";
    type Params = u64;

    async fn start(number: u64, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(number))
    }

    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        if self.0 == CLEANS_UP {
            let path = std::env::temp_dir().join(format!("meshwarden-test-{}", std::process::id()));
            std::fs::write(path, "clean")?;
        }
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers
            .takes::<Add>()
            .takes::<Pid>()
            .takes::<Echo>()
            .takes::<Hang>()
            .takes::<Block>()
            .takes::<BlockWith>()
            .takes::<Pause>()
            .takes::<Exit>()
            .takes::<Panic>()
            .takes::<Now>()
            .takes::<AskOthers>();
    }
}

/// Is created from bytes.
pub(crate) struct Heavy;

impl Actor for Heavy {
    const NAME: &'static str = "heavy";
    type Params = Vec<u8>;

    async fn start(_: Vec<u8>, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// The number of those that write a file when they clean up.
pub(crate) const CLEANS_UP: u64 = 4711;

/// Adds to the number, and is answered with the sum.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Add(pub(crate) u64);

/// Asks for the id of the process.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pid;

/// Is answered with the number of bytes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Echo(pub(crate) Vec<u8>);

/// Is never answered.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Hang;

/// Blocks the user's thread.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Block(pub(crate) Duration);

/// Blocks the user's thread as long as the file is there that it creates.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BlockWith(pub(crate) PathBuf);

/// Is answered after a while.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pause(pub(crate) Duration);

/// Ends the process with this code.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Exit(pub(crate) i32);

/// Panics.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Panic;

/// Asks for the wall clock of the process, in seconds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Now;

/// Adds to the numbers of others, and is answered with the sums.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AskOthers(pub(crate) ActorMeshRef<Tool>, pub(crate) u64);

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("actors.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Add, u64);
message!(Pid, u32);
message!(Echo, usize);
message!(Hang, ());
message!(Block, ());
message!(BlockWith, ());
message!(Pause, ());
message!(Exit, ());
message!(Panic, ());
message!(Now, u64);
message!(AskOthers, Vec<u64>);

impl Handler<Add> for Tool {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.0 += n;
        Ok(self.0)
    }
}

impl Handler<Pid> for Tool {
    async fn handle(&mut self, _: Pid, _: &mut Context<Self>) -> Result<u32, Failure> {
        Ok(std::process::id())
    }
}

impl Handler<Echo> for Tool {
    async fn handle(&mut self, Echo(bytes): Echo, _: &mut Context<Self>) -> Result<usize, Failure> {
        Ok(bytes.len())
    }
}

impl Handler<Hang> for Tool {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

impl Handler<Block> for Tool {
    async fn handle(&mut self, Block(time): Block, _: &mut Context<Self>) -> Result<(), Failure> {
        std::thread::sleep(time);
        Ok(())
    }
}

impl Handler<BlockWith> for Tool {
    async fn handle(
        &mut self,
        BlockWith(file): BlockWith,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        std::fs::write(&file, "")?;
        // Its process ends with the test.
        while file.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Handler<Pause> for Tool {
    async fn handle(&mut self, Pause(time): Pause, _: &mut Context<Self>) -> Result<(), Failure> {
        tokio::time::sleep(time).await;
        Ok(())
    }
}

impl Handler<Exit> for Tool {
    async fn handle(&mut self, Exit(code): Exit, _: &mut Context<Self>) -> Result<(), Failure> {
        std::process::exit(code)
    }
}

impl Handler<Panic> for Tool {
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        panic!("as asked")
    }
}

impl Handler<Now> for Tool {
    async fn handle(&mut self, _: Now, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(now())
    }
}

/// What the wall clock of this process shows, in seconds.
#[expect(clippy::disallowed_methods, reason = "a test steps it, and looks whether it is stepped")]
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl Handler<AskOthers> for Tool {
    async fn handle(
        &mut self,
        AskOthers(others, n): AskOthers,
        cx: &mut Context<Self>,
    ) -> Result<Vec<u64>, Failure> {
        let answers = others.call(cx, Add(n)).await;
        Ok(answers.iter().cloned().collect::<Result<_, _>>()?)
    }
}
