//! honest: agents that obey, in a world that fails; after it has healed all is as it should be.

mod agents;
mod sim;

use std::fmt;
use std::time::Duration;

use controller::Times;
use mesh_core::{Epoch, RestartConfig, RestartPolicy, Strategy as Together};
use proptest::prelude::*;

use super::{Plan, mesh_of, times};
use sim::Sim;

/// Something that goes wrong, at this moment.
#[derive(Clone)]
struct Fault {
    at_ms: u64,
    harm: Harm,
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    /// A rank fails.
    Crash { rank: usize },
    /// A rank ends well.
    End { rank: usize },
    /// A rank does not listen when it is asked to end; it must be killed.
    Deaf { rank: usize },
    /// Nothing reaches the agent, and nothing that it says is heard.
    Cut { agent: usize, ms: u64 },
    /// What the agent is asked is lost, and nobody says so.
    Lose { agent: usize, ms: u64 },
    /// The agent ends with all its ranks, and comes back later with a new life.
    Restart { agent: usize, ms: u64 },
    /// The controller is not run.
    Sleep { ms: u64 },
}

/// What goes wrong, in the order of time; reads as one line per fault.
#[derive(Clone)]
struct Faults(Vec<Fault>);

fn faults() -> impl Strategy<Value = Faults> {
    let (rank, agent) = (prop_oneof![8 => 0_usize..6, 1 => 6_usize..33], 0_usize..3);
    let harm = prop_oneof![
        6 => rank.clone().prop_map(|rank| Harm::Crash { rank }),
        2 => rank.clone().prop_map(|rank| Harm::End { rank }),
        2 => rank.prop_map(|rank| Harm::Deaf { rank }),
        2 => (agent.clone(), 100_u64..16_000).prop_map(|(agent, ms)| Harm::Cut { agent, ms }),
        4 => (agent.clone(), 500_u64..6_000).prop_map(|(agent, ms)| Harm::Lose { agent, ms }),
        2 => (agent, 10_u64..4_000).prop_map(|(agent, ms)| Harm::Restart { agent, ms }),
        1 => (100_u64..12_000).prop_map(|ms| Harm::Sleep { ms }),
    ];
    let fault = (0_u64..20_000, harm).prop_map(|(at_ms, harm)| Fault { at_ms, harm });
    prop::collection::vec(fault, 0..14).prop_map(|mut faults| {
        faults.sort_by_key(|fault| fault.at_ms);
        Faults(faults)
    })
}

/// Few ranks of few agents, under rules that allow as many restarts as are needed.
fn plan() -> impl Strategy<Value = Plan> {
    let strategy = prop_oneof![
        Just(Together::OneForOne),
        Just(Together::OneForAll),
        Just(Together::RestForOne)
    ];
    let policy = prop_oneof![Just(RestartPolicy::Transient), Just(RestartPolicy::Permanent)];
    let sizes = (prop_oneof![8 => 1_usize..6, 1 => 6_usize..33], 1_usize..4);
    let times =
        prop_oneof![5 => Just(Times::lan()), 1 => Just(Times::local()), 1 => Just(Times::wan())];
    (sizes, strategy, policy, times, any::<u64>()).prop_map(
        |((size, n_agents), strategy, policy, times, seed)| {
            let rules = RestartConfig {
                policy,
                strategy,
                backoff_max: Duration::from_secs(2),
                ..RestartConfig::on_failure(1_000)
            };
            Plan { size, n_agents, rules, times, is_slice: false, seed }
        },
    )
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what goes wrong:")?;
        for Fault { at_ms, harm } in &self.0 {
            let seconds = Duration::from_millis(*at_ms).as_secs_f64();
            writeln!(f, "t={seconds:.3}s  {harm:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={} ms  {:?}", self.at_ms, self.harm)
    }
}

proptest! {
    #![proptest_config(times(1))]

    /// H2, H7, N1, N2, N4, L6, RS1, RS2, K1 to K3, C1, ST4: whatever fails, no two lives of a rank are
    /// ever alive; when all is well again every rank is what it should be, each end was told once, and
    /// a stop ends what is left.
    #[test]
    fn all_is_well_when_the_world_has_healed(
        plan in plan(),
        faults in faults(),
        is_adopted in prop::bool::weighted(0.3),
    ) {
        let mut sim = Sim::new(mesh_of(&plan), plan.seed)?;
        if is_adopted {
            sim.adopt()?;
        } else {
            sim.open()?;
        }
        let result = sim.run(&faults.0);
        prop_assert!(result.is_ok(), "{}\n{}", result.unwrap_err(), sim.story());
        prop_assert!(sim.epoch() == Epoch::FIRST);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: times(1).cases / 2, ..times(1) })]

    /// C1, H2, N1, N4, L6, K1, K2: a stop in the middle of all that ends, whatever has failed and fails
    /// then: when all is well again no rank lives, and each crash was told.
    #[test]
    fn a_stop_while_the_world_fails_ends_every_rank(
        plan in plan(),
        faults in faults(),
        stop_at_ms in 0_u64..40_000,
    ) {
        let mut sim = Sim::new(mesh_of(&plan), plan.seed)?;
        sim.open()?;
        let result = sim.run_and_stop(&faults.0, stop_at_ms);
        prop_assert!(result.is_ok(), "{}\n{}", result.unwrap_err(), sim.story());
    }
}
