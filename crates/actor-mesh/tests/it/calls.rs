//! calls: cast, call and slice; one answer for each rank.

use std::time::{Duration, Instant};

use actor_mesh::RankError;
use mesh_core::Status;
use mesh_shape::{Rank, RankSet, Region};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::support::{Add, Forget, Hang, Heard, Say, all, soon, world};

#[tokio::test]
async fn every_rank_is_called_and_answers_in_its_place() {
    let world = world("hosts=2,procs=3").await;
    let tools = world.tools().await;
    assert_eq!(tools.extent().to_string(), "hosts=2,procs=3");
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    assert_eq!(all(&answers), [1, 11, 21, 31, 41, 51]);
}

/// R2
#[tokio::test]
async fn a_cast_reaches_every_rank_once_and_in_order() {
    let world = world("procs=4").await;
    let tools = world.tools().await;
    let said: Vec<u64> = (0..100).collect();
    for n in &said {
        assert!(soon(tools.cast(&world.proc, Say(*n))).await.is_empty());
    }
    let heard = soon(tools.call(&world.proc, Heard)).await;
    assert_eq!(all(&heard), vec![said; 4]);
}

#[tokio::test]
async fn a_slice_is_called_in_its_own_order() {
    let world = world("hosts=2,procs=3").await;
    let tools = world.tools().await;
    let column = tools.slice("procs", -1).expect("there is a last one");
    assert_eq!(all(&soon(column.call(&world.proc, Add(0))).await), [20, 50]);
    let region: Region = tools.region().flip("procs").expect("there is that dim");
    let flipped = tools.part(&region).expect("it is all of it");
    assert_eq!(all(&soon(flipped.call(&world.proc, Add(0))).await), [20, 10, 0, 50, 40, 30]);
    assert!(tools.slice("gpus", 0).is_err());
    assert!(column.part(tools.region()).is_err(), "it is more than the slice");
}

/// H9
#[tokio::test]
async fn an_empty_mesh_answers_at_once_with_nothing() {
    let world = world("procs=0").await;
    let tools = world.tools().await;
    assert_eq!(soon(tools.call(&world.proc, Add(1))).await.size(), 0);
    assert!(soon(tools.cast(&world.proc, Add(1))).await.is_empty());
}

/// R1
#[tokio::test]
async fn whoever_does_not_answer_is_named_at_the_deadline() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let one = tools.slice("procs", 1..).expect("there is one");
    soon(one.cast(&world.proc, Hang)).await.complete().expect("it is sent");
    let within = Duration::from_millis(300);
    let asked = Instant::now();
    let answers = soon(tools.call(&world.proc, Add(1)).within(within)).await;
    assert!(asked.elapsed() >= within, "it was given its time");
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(1)));
    assert_eq!(answers.get(Rank::new(1)), Some(&Err(RankError::Deadline { within })));
}

#[tokio::test]
async fn a_reply_that_is_let_go_of_is_told() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let answers = soon(tools.call(&world.proc, Forget)).await;
    assert!(answers.iter().all(|answer| *answer == Err(RankError::Unanswered)), "{answers:?}");
}

/// R1: also of those that have ended before they were called.
#[tokio::test]
async fn ranks_that_have_stopped_say_so() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    soon(tools.stop(Duration::from_secs(5))).await.expect("it is answered");
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    for answer in answers.iter() {
        let Err(RankError::Ended(ended)) = answer else { panic!("they have ended: {answer:?}") };
        assert_eq!(ended.status(), &Status::Stopped);
    }
    assert_eq!(soon(tools.cast(&world.proc, Add(1))).await.len(), 2, "it was sent to none");
}

/// R3: that a rank was not sent a cast is counted, and is an error for whoever wants it to be one.
#[test]
fn a_cast_that_is_not_sent_to_all_is_counted_and_says_so() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let count_ended = || -> Vec<DebugValue> {
        let all = snapshotter.snapshot().into_vec().into_iter();
        let counted = all.filter_map(|(key, .., value)| {
            let is_ended = key.key().labels().any(|label| label.value() == "ended");
            let is_it = key.key().name() == "meshwarden_undelivered_messages_total" && is_ended;
            is_it.then_some(value)
        });
        counted.collect()
    };
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime needs nothing").block_on(async {
            let world = world("procs=3").await;
            let tools = world.tools().await;
            assert_eq!(soon(tools.cast(&world.proc, Add(1))).await.complete(), Ok(()));
            soon(tools.stop(Duration::from_secs(5))).await.expect("it is answered");
            // A snapshot begins all counts anew.
            count_ended();
            let not_sent = soon(tools.cast(&world.proc, Add(1))).await.complete();
            assert_eq!(count_ended(), [DebugValue::Counter(3)]);
            let ranks = not_sent.map_err(|unsent| unsent.ranks.ranks());
            assert_eq!(ranks, Err(RankSet::from(0..3)));
        });
    });
}
