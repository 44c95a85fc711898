//! Relays and casters as actors, over a network whose links are cut under them.

mod backs;
mod farewell;
mod large;
mod liars;
mod silent;
mod stuck;
mod world;

use std::time::Duration;

use mesh_cast::Kind;
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};

use world::{Later, World, replies};

/// Sessions that are lost soon.
fn impatient() -> SessionConfig {
    SessionConfig {
        resend: Duration::from_millis(10),
        resend_max: Duration::from_millis(20),
        keepalive: Duration::from_millis(20),
        delivery: Duration::from_millis(100),
        dial: Duration::from_millis(100),
        ..SessionConfig::default()
    }
}

/// R2: sessions between forwarders are lost, again and again, and nobody is dead: every rank has every message
/// once, in order, and every rank replies.
#[tokio::test(start_paused = true)]
async fn lost_sessions_cost_nobody_a_message() {
    const RANKS: u64 = 9;
    for seed in 0..24 {
        let net = FaultNet::with_config(seed, Faults::none(), impatient());
        let world = World::new(&net, RANKS as usize, 2).await;
        let mut number = 0;
        for round in 0..6 {
            // Any two, parents and children among them.
            let one = (seed + 5 * round) % RANKS;
            let other = (one + 1 + (seed + round) % (RANKS - 1)) % RANKS;
            let (one, other) = (world::site(one), world::site(other));
            let lasting = Duration::from_millis(150 + 40 * (seed % 5));
            net.cut_for(&one, &other, lasting);
            if round % 2 == 0 {
                net.cut_for(&other, &one, lasting);
            }
            for _ in 0..8 {
                world.send(Kind::Cast, number).await;
                number += 1;
                tokio::time::sleep(Duration::from_millis(7 * (seed % 4))).await;
            }
        }
        let replies = world.call(number).await;
        let expected: Vec<u64> = (0..=number).collect();
        for (rank, reply) in replies.iter().enumerate() {
            assert_eq!(reply.as_ref(), Ok(&expected), "seed {seed}, rank {rank}");
        }
    }
}

/// The caller's own sessions are lost, too: what it cannot reach it reaches by way of others.
#[tokio::test(start_paused = true)]
async fn a_caller_that_is_cut_off_from_a_forwarder_goes_around_it() {
    for victim in 0..5 {
        let net = FaultNet::with_config(victim, Faults::none(), impatient());
        let world = World::new(&net, 5, 2).await;
        world.send(Kind::Cast, 0).await;
        net.part("caller", &world::site(victim));
        for number in 1..20 {
            world.send(Kind::Cast, number).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let replies = world.call(20).await;
        let expected: Vec<u64> = (0..=20).collect();
        for (rank, reply) in replies.iter().enumerate() {
            assert_eq!(reply.as_ref(), Ok(&expected), "victim {victim}, rank {rank}");
        }
    }
}

/// R2: a relay that has heard nothing for long has forgotten the table; it is told again, also if there is nobody
/// else who could.
#[tokio::test(start_paused = true)]
async fn what_was_forgotten_is_told_again() {
    for size in [1, 7] {
        let net = FaultNet::new(1, Faults::none());
        let world = World::new(&net, size, 2).await;
        assert!(world.call(0).await.iter().all(Result::is_ok));
        tokio::time::sleep(Duration::from_secs(700)).await;
        let replies = world.call(1).await;
        assert!(replies.iter().all(|reply| *reply == Ok(vec![0, 1])), "{size}: {replies:?}");
    }
}

/// R1: the sessions by which answers are to come are lost after the legs have arrived. Nothing comes back of that,
/// and whoever waits asks again.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_answer_hears_of_a_lost_session() {
    // A caller and a forwarder, and a forwarder and one below it.
    for (one, other) in [("caller".to_owned(), world::site(2)), (world::site(2), world::site(3))] {
        let net = FaultNet::with_config(1, Faults::none(), impatient());
        let world = World::new(&net, 5, 2).await;
        let asked = world.post(Kind::Call, &Later(10), None).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        net.part(&one, &other);
        tokio::time::sleep(Duration::from_secs(1)).await;
        net.join(&one, &other);
        let replies = replies::<Later>(asked, 5, Duration::from_secs(30)).await;
        assert!(replies.iter().all(Result::is_ok), "{one}, {other}: {replies:?}");
    }
}
