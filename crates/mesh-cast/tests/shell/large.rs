//! large: what does not fit into a frame of the control lane.

use std::time::Duration;

use bytes::Bytes;
use mesh_cast::{Failure, Kind};
use mesh_core::{Fault, WhyUndelivered};
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use tokio::time::Instant;

use crate::world::{Fill, World, replies};

/// As TCP has them.
fn frames_of_a_mebibyte() -> FaultNet {
    let config = SessionConfig { body_bytes_max: 1 << 20, ..SessionConfig::default() };
    FaultNet::with_config(1, Faults::none(), config)
}

const SOON: Duration = Duration::from_secs(5);

/// R1, R2: neither a message nor the replies that are merged need to fit into one.
#[tokio::test(start_paused = true)]
async fn a_large_message_goes_down_and_large_replies_come_up() {
    let net = frames_of_a_mebibyte();
    let world = World::new(&net, 9, 2).await;
    for rank in 0..9 {
        // Each has been told another number of times, so their replies differ.
        for number in 0..rank as u64 {
            let one = Some(rank..rank + 1);
            drop(world.post(Kind::Cast, &crate::world::Tell(number), one).await);
        }
    }
    let (question, len) = (Bytes::from(vec![7; 3 << 20]), 700 << 10);
    let outcomes = world.post(Kind::Call, &Fill(question, len), None).await;
    let replies = replies::<Fill>(outcomes, 9, SOON).await;
    for (rank, reply) in replies.into_iter().enumerate() {
        assert!(reply == Ok(vec![rank as u8; len].into()), "rank {rank}");
    }
}

/// R1, R3: what is larger than anything may be is refused at once, with the reason.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_answered_at_once_with_the_reason() {
    let net = frames_of_a_mebibyte();
    let world = World::new(&net, 5, 2).await;
    let is_too_large = |reply: &Result<Bytes, Failure>| match reply {
        Err(Failure::Fault(Fault::Undelivered(WhyUndelivered::TooLarge { bytes, max }))) => {
            (*max, bytes > max) == (16 << 20, true)
        }
        _ => false,
    };
    let asked = Instant::now();
    let questions = [
        // The question is too large, and then the replies are.
        Fill(vec![7; 17 << 20].into(), 1),
        Fill(Bytes::new(), 17 << 20),
        Fill(Bytes::new(), 1),
    ];
    for (question, is_fine) in questions.iter().zip([false, false, true]) {
        let outcomes = world.post(Kind::Call, question, None).await;
        for reply in replies::<Fill>(outcomes, 5, SOON).await {
            let is_expected =
                if is_fine { reply == Ok(Bytes::from(vec![0])) } else { is_too_large(&reply) };
            assert!(is_expected, "another one");
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}
