//! Runs by seed, with links that are cut and healed and sites that are paused, and a judge of each.

use std::time::Duration;

use mesh_core::Outbound;
use mesh_testkit::fault_net::{FaultNet, Faults, SplitMix64};
use tokio::time::sleep;

use crate::support::{Ear, Pair, paused, send, until};

const SEEDS: u64 = 200;
const N: u64 = 100;

fn up_to(rng: &mut SplitMix64, millis: u64) -> Duration {
    Duration::from_millis(rng.below(millis + 1))
}

/// Sends numbered envelopes at odd times; how many were taken.
async fn sender(out: &dyn Outbound, mut rng: SplitMix64) -> u64 {
    for number in 0..N {
        sleep(up_to(&mut rng, 100)).await;
        if send(out, number).await.is_err() {
            return number;
        }
    }
    N
}

/// Does this and that to the network, and mends it all.
async fn chaos(net: &FaultNet, mut rng: SplitMix64, is_deadly: bool) {
    let longest = if rng.below(2) == 0 { 4_000 } else { 14_000 };
    for _ in 0..4 {
        sleep(up_to(&mut rng, 3_000)).await;
        let lasting = up_to(&mut rng, longest);
        let (from, to) = if rng.below(2) == 0 { ("a", "b") } else { ("b", "a") };
        match rng.below(4) {
            0 => net.cut_for(from, to, lasting),
            1 => {
                net.cut_for(from, to, lasting);
                net.cut_for(to, from, lasting);
            }
            2 => {
                net.cut(from, to);
                sleep(lasting).await;
                net.heal(from, to);
            }
            _ => {
                net.pause(from);
                sleep(lasting).await;
                net.resume(from);
            }
        }
    }
    if is_deadly {
        net.crash("b");
    }
    net.join("a", "b");
}

/// What is wrong with one direction.
fn judge(n_taken: u64, to: &Ear, from: &Ear, is_lost: bool) -> Result<(), String> {
    let (to, came_back) = (to.heard(), from.heard().came_back.clone());
    let n_arrived = to.numbers.len() as u64;
    if to.numbers != (0..n_arrived).collect::<Vec<_>>() {
        return Err(format!("not in order, or not once: {:?}", to.numbers));
    }
    // Acknowledgements are cumulative, so that what comes back is what was taken last.
    let first_back = n_taken - came_back.len() as u64;
    if came_back != (first_back..n_taken).collect::<Vec<_>>() {
        return Err(format!("not what was taken last: {came_back:?}"));
    }
    if to.n_late > 0 || to.lost.len() != usize::from(is_lost) {
        return Err(format!("{} late, told {:?}", to.n_late, to.lost));
    }
    let is_complete = if is_lost { n_arrived >= first_back } else { n_arrived == N };
    if !is_complete || n_arrived > n_taken {
        return Err(format!("{n_arrived} of {n_taken} arrived, {first_back}.. came back"));
    }
    Ok(())
}

/// One run. Whether the session was lost.
fn run(seed: u64, faults: Faults, is_deadly: bool) -> Result<bool, String> {
    paused(async {
        let pair = Pair::over(FaultNet::new(seed, faults)).await;
        let rng = |name| SplitMix64::named(seed, name);
        let (out_taken, back_taken, ()) = tokio::join!(
            sender(&*pair.out, rng("out")),
            sender(&*pair.back, rng("back")),
            chaos(&pair.net, rng("chaos"), is_deadly),
        );
        let is_lost = || pair.a.lost().is_some() && pair.b.lost().is_some();
        let n_heard = |ear: &Ear| ear.heard().numbers.len() as u64;
        let is_done = || n_heard(&pair.a) == N && n_heard(&pair.b) == N;
        until("all has arrived, or is lost", || is_lost() || (!is_deadly && is_done())).await;
        // What could still come late, or twice.
        sleep(Duration::from_secs(20)).await;
        judge(out_taken, &pair.b, &pair.a, is_lost()).map_err(|why| format!("a > b: {why}"))?;
        judge(back_taken, &pair.a, &pair.b, is_lost()).map_err(|why| format!("b > a: {why}"))?;
        Ok(is_lost())
    })
}

/// Every seed; how many of the sessions were lost.
fn n_lost(faults: &Faults, is_deadly: bool) -> usize {
    let run = |seed| match run(seed, faults.clone(), is_deadly) {
        Ok(is_lost) => usize::from(is_lost),
        Err(why) => panic!("seed {seed} of {faults:?}: {why}"),
    };
    (0..SEEDS).map(run).sum()
}

/// Both must come, or half of the rule is not tried.
fn assert_both(n_lost: usize) {
    assert!((20..=180).contains(&n_lost), "{n_lost} of {SEEDS} sessions were lost");
}

#[test]
fn over_links_that_are_only_cut_everything_arrives_or_comes_back() {
    assert_both(n_lost(&Faults::none(), false));
}

#[test]
fn over_bad_links_that_are_cut_everything_arrives_or_comes_back() {
    assert_both(n_lost(&Faults::moderate(), false));
}

#[test]
fn over_very_bad_links_that_are_cut_everything_arrives_or_comes_back() {
    assert_both(n_lost(&Faults::heavy(), false));
}

#[test]
fn with_a_crash_everything_arrives_or_comes_back() {
    assert_eq!(n_lost(&Faults::moderate(), true), SEEDS as usize);
}
