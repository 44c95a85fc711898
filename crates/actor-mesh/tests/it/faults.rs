//! faults: meshes over a network that loses, delays, repeats and reorders, by a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{LocalProcs, LocalSpec, RankError};
use controller::Config;
use mesh_core::{OwnerNews, Transport};
use mesh_runtime::Proc;
use mesh_shape::Rank;
use mesh_testkit::fault_net::{FaultNet, Faults};

use crate::support::{Add, Heard, Say, World, registry, tens};

const RANKS: usize = 5;

async fn world(net: &FaultNet) -> World {
    let proc = Proc::local().expect("there is a runtime");
    let (net, made) = (net.clone(), AtomicUsize::new(0));
    // The first is that of the program.
    let transports = Box::new(move || {
        let site = format!("site-{}", made.fetch_add(1, Ordering::Relaxed));
        Arc::new(net.transport(&site)) as Arc<dyn Transport>
    });
    let (name, extent) = ("homes".to_owned(), format!("procs={RANKS}").parse());
    let (extent, registry) = (extent.expect("it is an extent"), registry());
    let spec = LocalSpec {
        name,
        extent,
        config: Config::local(),
        registry,
        transports,
        stalled_handler: None,
    };
    World { procs: LocalProcs::start_with(&proc, spec).await.expect("they start"), proc }
}

/// R1, R2, N1: whatever the network does, each cast arrives once and in order, each call has one answer for
/// each rank, and each death is told once.
#[tokio::test(start_paused = true)]
async fn a_mesh_keeps_its_word_over_a_faulty_network() {
    for seed in 0..40 {
        let net = FaultNet::new(seed, Faults::moderate());
        let world = world(&net).await;
        let mut tools = world.spawn(tens("tools")).await;
        let said: Vec<u64> = (0..20).collect();
        for n in &said {
            let not_sent = tools.cast(&world.proc, Say(*n)).await;
            assert!(not_sent.is_empty(), "seed {seed}: {not_sent:?}");
        }
        let heard = tools.call(&world.proc, Heard).await;
        assert!(heard.iter().all(|it| it.as_ref() == Ok(&said)), "seed {seed}: {heard:?}");
        let victim = (seed as usize) % RANKS;
        let call = tokio::spawn(tools.call(&world.proc, Add(1)));
        tokio::time::sleep(Duration::from_millis(seed % 7)).await;
        world.procs.crash(Rank::new(victim));
        let answers = call.await.expect("it does not panic");
        for (rank, answer) in answers.iter().enumerate() {
            let is_answered = *answer == Ok(1 + 10 * rank as u64);
            let has_ended = matches!(answer, Err(RankError::Ended(_)));
            let is_right = is_answered || (rank == victim && has_ended);
            assert!(is_right, "seed {seed}, rank {rank}: {answer:?}");
        }
        // Nor is anything delivered again that is sent by another way for the one that is lost.
        let heard = tools.call(&world.proc, Heard).await;
        let living = heard.iter().enumerate().filter(|(rank, _)| *rank != victim);
        for (rank, heard) in living {
            assert_eq!(heard.as_ref(), Ok(&said), "seed {seed}, rank {rank}");
        }
        tools.stop(Duration::from_secs(5)).await.expect("it is answered");
        let mut told = BTreeMap::new();
        while let Some(news) = tools.next().await {
            if let OwnerNews::Failed(failures) = news {
                failures.each().for_each(|(rank, _)| *told.entry(rank).or_insert(0) += 1);
            }
        }
        assert_eq!(told, BTreeMap::from([(Rank::new(victim), 1)]), "seed {seed}");
    }
}
