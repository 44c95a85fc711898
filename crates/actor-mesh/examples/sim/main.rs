//! Simulates whole meshes of actors on a network with faults, by a seed, and judges what came of it.
//!
//! Everything is the real code but for the network, which is `mesh_testkit::fault_net`, and the clock, which is
//! paused. `cargo xtask sim` builds it so that tokio takes the seed as well; then a seed repeats event for event.
#![expect(clippy::print_stdout, reason = "a program that talks to people")]

mod client;
mod hosts;
mod judge;
mod ledger;
mod options;
mod plan;
mod probe;
mod saboteur;
mod teller;
#[cfg(test)]
mod tests;
mod warnings;
mod watchers;
mod whole;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use options::{Options, World};
use plan::Ranks;
use world::Outcome;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            println!("sim: {why}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    // The panics of the plan are told in the log; ours are not expected.
    std::panic::set_hook(Box::new(|panic| {
        let planned = panic.location().is_some_and(|at| at.file().ends_with("probe.rs"));
        if !planned {
            println!("{panic}");
        }
    }));
    // Nobody else has set one.
    _ = tracing::subscriber::set_global_default(warnings::Warnings).is_ok();
    let (begun, total) = (Instant::now(), Mutex::new(Total::default()));
    let next = AtomicU64::new(options.from);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.from + options.seeds {
                        break;
                    }
                    let (brief, outcome) = run(seed, &options);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.add(seed, &brief, &outcome, &options);
                }
            });
        }
    });
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} in {:.1} s", total.text(), begun.elapsed().as_secs_f64());
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed; twice, if that is asked for, and then the two must be one.
fn run(seed: u64, options: &Options) -> (Brief, Outcome) {
    match options.world {
        World::Actors => {
            let plan = plan::Plan::draw(seed, options.ranks);
            let (text, n_ranks, n_faults) = (plan.text(), plan.size, plan.faults.len());
            (Brief { text, n_ranks, n_faults }, judged(options, || world::run(&plan)))
        }
        World::Hosts => {
            let plan = hosts::Plan::draw(seed, options.ranks.most());
            let (text, n_ranks, n_faults) = (plan.text(), plan.size(), plan.deeds.len());
            (Brief { text, n_ranks, n_faults }, judged(options, || hosts::run(&plan)))
        }
        World::Whole => {
            let plan = whole::Plan::draw(seed, options.ranks.most());
            let (text, n_ranks, n_faults) = (plan.text(), plan.hosts.size(), plan.n_faults());
            (Brief { text, n_ranks, n_faults }, judged(options, || whole::run(&plan)))
        }
    }
}

fn judged(options: &Options, run: impl Fn() -> Outcome) -> Outcome {
    let mut outcome = run();
    if options.twice
        && let Some(difference) = outcome.differs_from(&run())
    {
        outcome.verdict.push(format!("it does not repeat: {difference}"));
    }
    outcome
}

/// What a seed is, in short.
struct Brief {
    text: String,
    n_ranks: usize,
    n_faults: usize,
}

/// What came of all seeds.
#[derive(Default)]
struct Total {
    seeds: u64,
    failed: u64,
    ranks: usize,
    faults: usize,
    sends: usize,
    packets: usize,
}

impl Total {
    fn add(&mut self, seed: u64, brief: &Brief, outcome: &Outcome, options: &Options) {
        self.seeds += 1;
        self.ranks += brief.n_ranks;
        self.faults += brief.n_faults;
        self.sends += outcome.n_sends;
        self.packets += outcome.n_packets;
        if options.log {
            outcome.log.iter().for_each(|line| println!("{line}"));
        }
        if options.verbose {
            let took = outcome.took.as_secs_f64();
            println!("seed {seed}: {}: log {:016x}, {took:.2} s", brief.text, outcome.hash());
        }
        if outcome.verdict.is_empty() {
            return;
        }
        self.failed += 1;
        println!("seed {seed} FAILED: {}", brief.text);
        outcome.verdict.iter().take(20).for_each(|wrong| println!("  {wrong}"));
        let world = options.world.flag();
        let ranks = match options.ranks {
            Ranks::AtMost(n) => n.to_string(),
            Ranks::Exactly(n) => format!("{n} --exactly"),
        };
        println!(
            "  repeat it with: cargo xtask sim{world} --from {seed} --seeds 1 --ranks {ranks} --log"
        );
    }

    fn text(&self) -> String {
        format!(
            "{} seeds, {} failed: {} ranks, {} faults, {} casts, calls and ends told, {} events of the network",
            self.seeds, self.failed, self.ranks, self.faults, self.sends, self.packets
        )
    }
}
