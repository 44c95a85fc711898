//! mailboxes: bounds, order, and what overtakes what.

use std::time::Duration;

use mesh_core::End;
use mesh_runtime::{Stop, TryCastError};

use crate::script::{WaitFor, gate, one, say};

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_makes_senders_wait_and_loses_nothing() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..4 {
        actor.try_cast(&proc, say(&n.to_string())).unwrap();
    }
    let full = actor.try_cast(&proc, say("no room"));
    let back = TryCastError::Full { actor: "a".to_owned(), message: say("no room") };
    assert_eq!(full, Err(back));
    assert_eq!(actor.n_waiting(), 4);

    let waiting = tokio::spawn({
        let (proc, actor) = (proc.clone(), actor.clone());
        async move { actor.cast(&proc, say("waited")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "there is no room");
    gate.add_permits(1);
    waiting.await.unwrap().unwrap();
    actor.stop(Stop::Drain);
    actor.ended().await;
    let heard = ["0", "1", "2", "3", "waited"].map(|word| format!("a hears {word}"));
    assert_eq!(log.lines()[2..7], heard);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_gives_up_waiting_takes_nobodys_room() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..4 {
        actor.try_cast(&proc, say(&n.to_string())).unwrap();
    }
    for _ in 0..3 {
        let cast = actor.cast(&proc, say("given up"));
        assert!(tokio::time::timeout(Duration::from_secs(1), cast).await.is_err());
    }
    gate.add_permits(1);
    for n in 4..20 {
        actor.cast(&proc, say(&n.to_string())).await.unwrap();
    }
    actor.stop(Stop::Drain);
    actor.ended().await;
    let heard: Vec<String> = (0..20).map(|n| format!("a hears {n}")).collect();
    assert_eq!(log.lines()[2..22], heard);
}

/// Stop overtakes what waits, however much that is.
#[tokio::test(start_paused = true)]
async fn control_overtakes_a_full_mailbox() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    while actor.try_cast(&proc, say("data")).is_ok() {}
    actor.stop(Stop::Now);
    gate.add_permits(1);
    assert_eq!(actor.ended().await, End::Stopped);
    assert_eq!(log.lines(), ["a starts", "a waits", "a stops", "a is dropped"]);
}

/// Whoever waits for room learns that there will be none.
#[tokio::test(start_paused = true)]
async fn senders_that_wait_get_their_message_back_when_the_actor_ends() {
    let (proc, actor, _log) = one("a");
    actor.cast(&proc, WaitFor(gate())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    while actor.try_cast(&proc, say("data")).is_ok() {}
    let kill = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        actor.stop(Stop::Kill);
    };
    let (sent, ()) = tokio::join!(actor.cast(&proc, say("waits")), kill);
    assert_eq!(sent.unwrap_err().message, say("waits"));
}

/// R2: first in, first out, for each sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_sender_keep_their_order() {
    let (proc, actor, log) = one("a");
    let senders = (0..8).map(|sender| {
        let (proc, actor) = (proc.clone(), actor.clone());
        tokio::spawn(async move {
            for n in 0..500 {
                actor.cast(&proc, say(&format!("{sender} {n}"))).await.unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    actor.stop(Stop::Drain);
    actor.ended().await;
    for sender in 0..8 {
        let begin = format!("a hears {sender} ");
        let heard: Vec<usize> =
            log.lines().iter().filter_map(|line| line.strip_prefix(&begin)?.parse().ok()).collect();
        assert_eq!(heard, (0..500).collect::<Vec<_>>());
    }
}
