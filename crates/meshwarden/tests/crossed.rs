//! crossed: two processes that dial each other at the same time, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Doors, Message};
use mesh_runtime::{Network, Port, PortReceiver, Proc};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use transport_tcp::{Secret, TcpConfig, TcpTransport};

#[derive(Serialize, Deserialize)]
struct Number(u64);

impl Message for Number {
    const NAME: &'static str = "test.Number";
    type Reply = ();
}

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of both: its process, its sessions, and where it hears the other.
struct Side {
    proc: Proc,
    network: Network,
    numbers: PortReceiver<Number>,
}

impl Side {
    fn new() -> Self {
        let proc = Proc::local().expect("there are threads");
        let secret = Secret::from_bytes([7; 32]);
        let config = TcpConfig::for_lease(secret, Duration::from_secs(10));
        let transport = TcpTransport::new(config).expect("the numbers hold together");
        let numbers = proc.open_port(1_000_000);
        let network = Network::new(proc.clone(), Arc::new(transport), 0);
        Self { proc, network, numbers }
    }

    /// Dials the other, and sends all numbers as soon as there is a way.
    async fn dials_and_sends(&self, other: &Self, doors: &Doors, after: Duration) {
        sleep(after).await;
        assert_eq!(self.network.dial(other.proc.peer(), doors).await, Ok(()));
        for number in 0..N_SENT {
            other.numbers.port().cast(&self.proc, Number(number)).await;
        }
    }

    /// What was heard, up to as many as were sent; and what has come besides by then.
    async fn hears(&mut self) -> Vec<u64> {
        let mut heard = Vec::new();
        while heard.len() < N_SENT as usize {
            heard.push(timeout(PATIENCE, self.numbers.recv()).await.expect("it arrives").0);
        }
        heard.extend(std::iter::from_fn(|| self.numbers.try_recv()).map(|number| number.0));
        heard
    }
}

/// R2: whichever session comes first, each message arrives once, and in its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossed_dials_lose_nothing_repeat_nothing_and_let_nothing_overtake() {
    for round in 0..ROUNDS {
        let (mut here, mut there) = (Side::new(), Side::new());
        let at = "tcp://127.0.0.1:0".parse().unwrap();
        let here_doors = here.network.listen(&at).await.unwrap();
        let there_doors = there.network.listen(&at).await.unwrap();
        // Either may be the first, and neither may be.
        let [late, later] = [round % 10 * 100, round / 10 * 100].map(Duration::from_micros);
        tokio::join!(
            here.dials_and_sends(&there, &there_doors, late),
            there.dials_and_sends(&here, &here_doors, later)
        );
        let all: Vec<_> = (0..N_SENT).collect();
        assert_eq!((here.hears().await, there.hears().await), (all.clone(), all), "{round}");
    }
}

/// How often it is tried, and how many messages are sent each way.
const ROUNDS: u64 = 100;
const N_SENT: u64 = 200;
