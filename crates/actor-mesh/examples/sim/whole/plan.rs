//! `Plan`: all that a seed decides beforehand of hosts whose controllers change, and of actors that live on them.

use std::time::Duration;

use mesh_testkit::fault_net::SplitMix64;

use crate::hosts::{self, Deed};
use crate::plan::{
    self, Death, Ending, Fault, MANY, disturbance, index, keep_sessions, strategy, strategy_name,
};

/// What a seed is: hosts and their controllers, and a mesh of actors of somebody else.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) hosts: hosts::Plan,
    /// The times of its faults count from [`STARTED`].
    pub(crate) actors: plan::Plan,
}

/// When the actors are there, and things begin to go wrong.
pub(crate) const STARTED: Duration = Duration::from_secs(15);

impl Plan {
    /// What the seed says, with at most so many ranks.
    pub(crate) fn draw(seed: u64, ranks_max: usize) -> Self {
        let mut rng = SplitMix64::named(seed, "whole");
        let hosts = hosts::Plan::draw(seed, ranks_max).later(STARTED, Duration::from_secs(5));
        let (size, n_hosts) = (hosts.size(), hosts.n_hosts);
        let until = hosts.healed_at().saturating_sub(STARTED);
        let n_faults = index(&mut rng, 4 + size / 4);
        let each = (0..n_faults).map(|_| {
            let at = 500 + rng.below(until.as_millis() as u64 - 500);
            let fault = match disturbance(&mut rng, size, n_hosts) {
                // Longer than any session is silent.
                Fault::Pause(rank, lasting) if rng.chance(0.4) => Fault::Pause(rank, 3 * lasting),
                fault => fault,
            };
            (Duration::from_millis(at), fault)
        });
        let mut faults: Vec<(Duration, Fault)> = each.collect();
        let dies = rng.chance(0.2);
        if dies {
            let how = if rng.chance(0.5) { Death::Told } else { Death::Silent };
            let at = 500 + rng.below(until.as_millis() as u64 - 500);
            faults.push((Duration::from_millis(at), Fault::OwnerDies(how)));
        }
        faults.sort_by_key(|(at, _)| *at);
        keep_sessions(&mut faults, hosts.per_host);
        let endings = [Ending::Stop, Ending::Stop, Ending::Drop, Ending::Procs];
        let actors = plan::Plan {
            seed,
            sizes: vec![n_hosts, hosts.per_host],
            size,
            fan_out: (rng.below(4) > 0).then(|| 2 + index(&mut rng, 7)),
            restarts: rng.chance(0.6),
            strategy: strategy(seed),
            max_restarts: if rng.chance(0.4) { rng.below(4) as u32 } else { MANY },
            times: hosts.times,
            network: hosts.network,
            n_senders: 2 + index(&mut rng, 2),
            dies,
            n_sends: 20 + index(&mut rng, 40),
            is_cut: faults.iter().any(|(_, fault)| matches!(fault, Fault::Pause(..)))
                || hosts.deeds.iter().any(|(_, deed)| matches!(deed, Deed::HostCut(..))),
            faults,
            ending: endings[index(&mut rng, endings.len())],
        };
        Self { hosts, actors }
    }

    /// How long senders pause at most, so that they send for as long as things go wrong.
    pub(crate) fn between(&self) -> Duration {
        6 * self.hosts.healed_at().saturating_sub(STARTED) / (self.actors.n_sends as u32)
    }

    pub(crate) fn n_faults(&self) -> usize {
        let is_fault = |(_, deed): &&(Duration, Deed)| !matches!(deed, Deed::Begin(_));
        self.hosts.deeds.iter().filter(is_fault).count() + self.actors.faults.len()
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        let plan::Plan { fan_out, restarts, strategy, max_restarts, .. } = &self.actors;
        let plan::Plan { faults, ending, dies, .. } = &self.actors;
        let name = strategy_name(*strategy);
        let tree = fan_out.map_or_else(|| "no tree".to_owned(), |n| format!("fan-out {n}"));
        let restarts = match restarts {
            true if *max_restarts < MANY => format!("{max_restarts} {name}"),
            true => name.to_owned(),
            false => "no restarts".to_owned(),
        };
        let dies = if *dies { "its owner dies" } else { "its owner lives" };
        let (hosts, n) = (self.hosts.text(), faults.len());
        format!("{hosts}; actors: {tree}, {restarts}, {n} faults, {dies}, {ending:?}")
    }
}
