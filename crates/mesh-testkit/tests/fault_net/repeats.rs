//! A seed repeats a run.

use std::time::Duration;

use mesh_testkit::fault_net::{Event, FaultNet, Faults};
use tokio::time::sleep;

use crate::support::{Pair, paused, send_all};

/// Traffic both ways with a cut, a pause and a crash.
fn run(seed: u64) -> Vec<Event> {
    paused(async {
        let pair = Pair::over(FaultNet::new(seed, Faults::moderate())).await;
        let chaos = async {
            sleep(Duration::from_millis(50)).await;
            pair.net.cut_for("a", "b", Duration::from_secs(2));
            sleep(Duration::from_secs(5)).await;
            pair.net.pause("a");
            sleep(Duration::from_secs(5)).await;
            pair.net.resume("a");
            sleep(Duration::from_secs(5)).await;
            pair.net.crash("b");
            sleep(Duration::from_secs(5)).await;
        };
        tokio::join!(send_all(&*pair.out, 0..300), send_all(&*pair.back, 0..300), chaos);
        pair.net.history()
    })
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let (one, other) = (run(7), run(7));
    assert!(one.len() > 1_000, "much has happened: {} events", one.len());
    assert_eq!(one, other);
}

#[test]
fn other_seeds_give_other_histories() {
    let [one, other] = [run(7), run(8)]
        .map(|history| history.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    assert_ne!(one, other);
}

#[test]
fn a_history_reads_as_what_has_happened() {
    let lines = paused(async {
        let pair = Pair::over(FaultNet::new(1, Faults::none())).await;
        send_all(&*pair.out, 0..1).await;
        sleep(Duration::from_millis(5)).await;
        pair.net.crash("b");
        sleep(Duration::from_millis(5)).await;
        pair.net.history().iter().map(ToString::to_string).collect::<Vec<_>>()
    });
    assert_eq!(
        lines,
        [
            "        0.000 ms  a > b  #0 open: sent, arrives in 1ms",
            "        1.000 ms  a > b  #0 open: arrived",
            "        1.000 ms  b  #0 joined",
            "        1.000 ms  b > a  #0 opened: sent, arrives in 1ms",
            "        2.000 ms  b > a  #0 opened: arrived",
            "        2.000 ms  a  #0 opened",
            "        2.000 ms  a > b  #0 data 0: sent, arrives in 1ms",
            "        3.000 ms  a > b  #0 data 0: arrived",
            "        3.000 ms  b  #0 delivered 0",
            "        3.000 ms  b > a  #0 ack 1: sent, arrives in 1ms",
            "        4.000 ms  b > a  #0 ack 1: arrived",
            "        7.000 ms  b  crashed",
            "        7.000 ms  b  #0 lost, 0 back: nobody listens any more where it did",
            "        7.000 ms  b > a  #0 ended: sent, arrives in 1ms",
            "        8.000 ms  b > a  #0 ended: arrived",
            "        8.000 ms  a  #0 lost, 0 back: nobody listens any more where it did",
        ]
    );
}
