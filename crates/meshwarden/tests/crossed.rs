//! crossed: two processes that dial each other at the same time, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mesh_core::{Doors, Message, PortRef};
use mesh_runtime::{Network, Port, PortReceiver, Proc};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, yield_now};
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

    /// Sends one number after the other from now on, whether there is a way or not, and some more once both have
    /// dialled. Returns how many.
    fn sends(&self, to: PortRef<Number>, have_dialled: &Arc<AtomicBool>) -> JoinHandle<u64> {
        let (proc, have_dialled) = (self.proc.clone(), Arc::clone(have_dialled));
        tokio::spawn(async move {
            let (mut n_sent, mut n_after) = (0, 0);
            while n_after < N_AFTER {
                n_after += u64::from(have_dialled.load(Ordering::SeqCst));
                to.cast(&proc, Number(n_sent)).await;
                n_sent += 1;
                yield_now().await;
            }
            n_sent
        })
    }

    /// What was heard, up to the last that was sent.
    async fn hears_up_to(&mut self, last: u64) -> Vec<u64> {
        let mut heard = Vec::new();
        while heard.last() != Some(&last) {
            heard.push(timeout(PATIENCE, self.numbers.recv()).await.expect("it arrives").0);
        }
        heard
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

/// R2: whichever session comes first, and on whichever lane: from the first message that finds a way, each arrives
/// once, and in its turn, also those that go by the lane of what supervises until there is one for data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_ways_are_opened_overtakes_nothing() {
    for round in 0..ROUNDS {
        let mut sides = [Side::new(), Side::new()];
        let [here, there] = &sides;
        let at = "tcp://127.0.0.1:0".parse().unwrap();
        let here_doors = here.network.listen(&at).await.unwrap();
        let there_doors = there.network.listen(&at).await.unwrap();
        let have_dialled = Arc::new(AtomicBool::new(false));
        let from_there = there.sends(here.numbers.port(), &have_dialled);
        let from_here = here.sends(there.numbers.port(), &have_dialled);
        let late = Duration::from_micros(round % 10 * 150);
        let dialled = tokio::join!(here.network.dial(there.proc.peer(), &there_doors), async {
            sleep(late).await;
            there.network.dial(here.proc.peer(), &here_doors).await
        });
        assert_eq!(dialled, (Ok(()), Ok(())));
        have_dialled.store(true, Ordering::SeqCst);
        let n_sent = [from_there.await.unwrap(), from_here.await.unwrap()];
        for (side, n_sent) in sides.iter_mut().zip(n_sent) {
            let heard = side.hears_up_to(n_sent - 1).await;
            let first = heard[0];
            assert!(n_sent - first >= N_AFTER, "once there is a way: {first} of {n_sent}");
            assert_eq!(heard, (first..n_sent).collect::<Vec<_>>(), "round {round}");
        }
    }
}

/// How often it is tried, and how many messages are sent each way.
const ROUNDS: u64 = 100;
const N_SENT: u64 = 200;

/// How many are sent once both have dialled.
const N_AFTER: u64 = 50;
