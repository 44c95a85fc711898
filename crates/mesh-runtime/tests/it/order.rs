//! order: what goes by one session until there is a better one, and then by that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh_core::{Addr, DialError, Lane, Message, PortRef, Transport};
use mesh_runtime::{LocalTransport, Network, Port, PortReceiver, Proc, TryCastError};
use mesh_testkit::fault_net::{FaultNet, Faults};
use mesh_testkit::{Gate, Gated};
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until, timeout};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Number(u64);

impl Message for Number {
    const NAME: &'static str = "order.Number";
    type Reply = ();
}

/// The lane for data is opened late.
struct LateData;

/// How late.
const LATE: Duration = Duration::from_secs(10);

#[async_trait]
impl Gate for LateData {
    async fn dial(&self, _: &Addr, lane: Lane) -> Result<(), DialError> {
        if lane == Lane::Data {
            sleep(LATE).await;
        }
        Ok(())
    }
}

/// One that dials over the first transport, and one that listens on the second and hears numbers.
struct Two {
    here: Network,
    there: Network,
    to: PortRef<Number>,
}

impl Two {
    fn new(here: Arc<dyn Transport>, there: Arc<dyn Transport>) -> (Self, PortReceiver<Number>) {
        let proc = || Proc::local().expect("there is a runtime");
        let here = Network::new(proc(), here, 0);
        let there = Network::new(proc(), there, 0);
        let numbers = there.proc().open_port(1);
        (Self { here, there, to: numbers.port() }, numbers)
    }

    async fn connect(&self, at: &str) {
        let doors = self.there.listen(&at.parse().expect("it is one")).await.expect("it is free");
        self.here.dial(self.there.proc().peer(), &doors).await.expect("somebody is there");
    }

    async fn cast(&self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.to.cast(self.here.proc(), Number(number)).await;
        }
    }
}

async fn hears(numbers: &mut PortReceiver<Number>, n: usize) -> Vec<u64> {
    let mut heard = Vec::new();
    while heard.len() < n {
        let next = timeout(Duration::from_secs(600), numbers.recv()).await;
        heard.push(next.expect("nothing is lost").0);
    }
    heard
}

/// R2: whoever waits for room on another lane goes over to his own as soon as there is one, and overtakes nothing.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_on_another_lane_goes_over_to_his_own() {
    const N: u64 = 2 * LocalTransport::WINDOW as u64;
    let (board, begun) = (LocalTransport::default(), Instant::now());
    let there = Arc::new(board.another());
    let (two, mut numbers) =
        Two::new(Arc::new(Gated::new(Arc::new(board), Arc::new(LateData))), there);
    let sent = async {
        sleep_until(begun + LATE / 2).await;
        two.cast(0..N).await;
        begun.elapsed()
    };
    let (sent, ()) = tokio::join!(sent, two.connect("local://there"));
    // Nobody has read by then: what is left goes into the room of the other lane.
    assert!(sent >= LATE && sent < LATE + Duration::from_secs(1), "{sent:?}");
    assert_eq!(hears(&mut numbers, N as usize).await, (0..N).collect::<Vec<_>>());
}

/// R2: on a network where each session has its own time, what goes by the lane of what supervises until there is
/// one for data is not overtaken by what goes by that.
#[test]
fn what_is_sent_while_the_ways_are_opened_overtakes_nothing() {
    for seed in 0..SEEDS {
        for faults in [Faults::none(), Faults::moderate(), Faults::heavy()] {
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(true).build();
            runtime.expect("there are descriptors").block_on(send_early(seed, faults));
        }
    }
}

async fn send_early(seed: u64, faults: Faults) {
    const N: u64 = 200;
    let net = FaultNet::new(seed, faults.clone());
    let there = Arc::new(net.transport("there"));
    let (two, mut numbers) = Two::new(Arc::new(net.transport("here")), there);
    let sent = async {
        while !two.here.proc().has_way_to(two.to.actor()) {
            sleep(Duration::from_millis(1)).await;
        }
        for number in 0..N {
            two.cast(number..=number).await;
            sleep(Duration::from_micros(seed * 97 % 1_000)).await;
        }
    };
    let hears = hears(&mut numbers, N as usize);
    let (_, _, heard) = tokio::join!(sent, two.connect("local://there"), hears);
    assert_eq!(heard, (0..N).collect::<Vec<_>>(), "seed {seed}, {faults:?}");
}

/// R3: what may not go yet is given back to whoever does not wait, and goes when it may.
#[tokio::test(start_paused = true)]
async fn who_does_not_wait_is_told_while_the_session_changes() {
    let net = FaultNet::new(1, Faults::none());
    let there = Arc::new(net.transport("there"));
    let late = Gated::new(Arc::new(net.transport("here")), Arc::new(LateData));
    let (two, mut numbers) = Two::new(Arc::new(late), there);
    let begun = Instant::now();
    let sent = async {
        sleep_until(begun + LATE).await;
        while !two.here.is_open(two.there.proc().peer()) {
            two.cast(0..1).await;
            sleep(Duration::from_micros(100)).await;
        }
        two.to.try_cast(two.here.proc(), Number(1))
    };
    let (sent, ()) = tokio::join!(sent, two.connect("local://there"));
    assert!(matches!(sent, Err(TryCastError::Full { message: Number(1), .. })), "{sent:?}");
    // By then all of it is acknowledged.
    sleep(Duration::from_secs(1)).await;
    let hears_all = async { while hears(&mut numbers, 1).await == [0] {} };
    assert_eq!(two.to.try_cast(two.here.proc(), Number(1)), Ok(()));
    hears_all.await;
    assert_eq!(numbers.try_recv(), None);
}

/// How many networks are tried.
const SEEDS: u64 = 20;
