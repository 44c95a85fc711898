//! Restarts while the machine has other things to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use libtest_mimic::Trial;
use mesh_core::{Change, Failures};

use crate::fixture::{Site, ends_to_the_close, failures_to_the_end, restarting, shells, subscribe};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(under_load_each_life_is_told_once_and_the_intensity_escalates_once)]
}

/// Threads that want all the processors there are, four times over.
struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let n_threads = 4 * thread::available_parallelism().map_or(1, usize::from);
        let spin = || {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || while !is_over.load(Ordering::Relaxed) {})
        };
        let threads = (0..n_threads).map(|_| spin()).collect();
        Self { is_over, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            _ = thread.join().is_ok();
        }
    }
}

const MAX_RESTARTS: u32 = 40;

/// RS1, RS2, RS3, N1, N2, N4: also of subscribers, whose last word comes after the last life.
async fn under_load_each_life_is_told_once_and_the_intensity_escalates_once() -> Outcome {
    let site = Site::start().await?;
    let load = Load::start();
    let mut spec = restarting(shells("exit 3"), MAX_RESTARTS);
    spec.config.restart.backoff_max = spec.config.restart.backoff_min;
    let mut mesh = site.spawn(spec).await?;
    let subscriber = subscribe(&mesh).await?;
    let told = failures_to_the_end(&mut mesh).await;
    let heard = ends_to_the_close(subscriber).await;
    drop(load);

    let changes: Vec<&Change> = told.iter().flat_map(|failures| &failures.changes).collect();
    let lives = each_life_once(changes.iter().copied())?;
    let n_restarts: usize =
        changes.iter().filter(|it| it.restart_in.is_some()).map(|it| it.ranks.len()).sum();
    assert_eq!(n_restarts, MAX_RESTARTS as usize, "RS1: each marked as restarting");
    assert_eq!(lives.len(), n_restarts + 4, "each restart is one more life, and each life is told");
    must_be_contiguous(&lives)?;
    must_escalate_once(&told)?;

    // It may have come later than the first lives ended.
    let heard = each_life_once(&heard)?;
    assert!(heard.is_subset(&lives), "{heard:?}");
    let last = |lives: &BTreeSet<(usize, u64)>| {
        (0..4).map(|rank| lives.range((rank, 0)..(rank + 1, 0)).last().copied()).collect::<Vec<_>>()
    };
    assert_eq!(last(&heard), last(&lives), "nobody was told that it is over before it was");
    site.close(mesh.label().id()).await
}

/// No life of a rank was left out.
fn must_be_contiguous(lives: &BTreeSet<(usize, u64)>) -> Outcome {
    for rank in 0..4 {
        let lives = lives.range((rank, 0)..(rank + 1, 0)).map(|(_, life)| *life);
        if !lives.clone().eq(0..lives.clone().count() as u64) {
            return Err(format!("rank {rank}: {:?}", lives.collect::<Vec<_>>()).into());
        }
    }
    Ok(())
}

/// RS3: once, naming those that have failed, of which at least one stays so.
fn must_escalate_once(told: &[Failures]) -> Outcome {
    let escalations: Vec<_> = told.iter().filter_map(|it| it.escalation.as_ref()).collect();
    let [escalation] = escalations[..] else { return Err(format!("{escalations:?}").into()) };
    let stays = escalation.failed.difference(&escalation.starting);
    let is_right = !stays.is_empty()
        && escalation.starting.difference(&escalation.failed).is_empty()
        && escalation.failed.iter().all(|rank| rank.index() < 4);
    if is_right { Ok(()) } else { Err(format!("{escalation:?}").into()) }
}

/// Every rank and life that is told of; fails if one is told twice.
fn each_life_once<'a>(
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<BTreeSet<(usize, u64)>, String> {
    let mut lives = BTreeSet::new();
    for change in changes {
        for rank in change.ranks.iter() {
            let life = (rank.index(), change.incarnation.number());
            if !lives.insert(life) {
                return Err(format!("told twice: rank and life {life:?}"));
            }
        }
    }
    Ok(lives)
}
