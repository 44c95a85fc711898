//! `Plan`: all that a seed of attached hosts decides beforehand.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use controller::Times;
use mesh_testkit::fault_net::SplitMix64;

use crate::plan::{Death, Network, Way};

/// What a seed is: the hosts, the controllers one after the other, and what goes wrong when.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) n_hosts: usize,
    /// How many ranks a host has.
    pub(crate) per_host: usize,
    pub(crate) times: Times,
    pub(crate) restarts: bool,
    pub(crate) network: Network,
    /// Nothing goes wrong with hosts, so that all have heard of a controller soon after it has begun.
    pub(crate) is_calm: bool,
    /// In the order of time.
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// Until when something else may go wrong.
    pub(crate) until: Duration,
    pub(crate) last: Last,
}

/// Something that is done. Controllers go by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A controller begins: the first starts the mesh, each other adopts it.
    Begin(u64),
    /// Its process dies.
    Die(u64, Death),
    /// It is cut off from all hosts, and lives on.
    CutOff(u64),
    /// It is not cut off any more: it speaks as if nothing had happened.
    Rejoin(u64),
    /// A rank exits with a code.
    Exit(usize, i32),
    /// A host dies with its agent and all of its ranks.
    HostCrash(usize),
    /// A host is cut off from the controllers, for so long.
    HostCut(usize, Way, Duration),
}

/// How it all ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The last controller stops the mesh.
    Stop,
    /// It dies, and nobody comes after it.
    Die(Death),
}

impl Plan {
    /// What the seed says, with at most so many ranks.
    pub(crate) fn draw(seed: u64, ranks_max: usize) -> Self {
        let mut rng = SplitMix64::named(seed, "hosts");
        let n_hosts = 1 + index(&mut rng, ranks_max.min(8));
        let per_host = 1 + index(&mut rng, (ranks_max / n_hosts).min(8));
        let networks = [Network::Good, Network::Slow, Network::Moderate, Network::Rough];
        let network = networks[index(&mut rng, networks.len())];
        // Where packets are often lost, a beat and its echo take seconds.
        let is_long = network == Network::Rough || rng.chance(0.5);
        let times = if is_long { Times::lan() } else { Times::local() };
        let (restarts, is_calm) = (rng.chance(0.5), rng.chance(0.5));
        let deaths = [Death::Told, Death::Silent];
        let last = match index(&mut rng, 2) {
            0 => Last::Stop,
            _ => Last::Die(deaths[index(&mut rng, 2)]),
        };
        let mut plan = Self {
            seed,
            n_hosts,
            per_host,
            times,
            restarts,
            network,
            is_calm,
            deeds: vec![(Duration::ZERO, Deed::Begin(1))],
            until: Duration::ZERO,
            last,
        };
        let until = plan.draw_controllers(&mut rng);
        plan.draw_faults(&mut rng, until);
        plan.deeds.sort_by_key(|(at, _)| *at);
        plan
    }

    /// The same, but the first controller has so long until anything else is done; and for so long at least after that
    /// something may go wrong.
    pub(crate) fn later(mut self, by: Duration, at_least: Duration) -> Self {
        self.deeds.iter_mut().skip(1).for_each(|(at, _)| *at += by);
        self.until = by + at_least;
        self
    }

    /// Who comes when, and how each but the last ends. Returns when the last has settled.
    fn draw_controllers(&mut self, rng: &mut SplitMix64) -> Duration {
        let mut at = within(rng, 300, 8_000);
        for number in 1..=rng.below(3) {
            let how = match rng.below(3) {
                0 => Deed::Die(number, Death::Told),
                1 => Deed::Die(number, Death::Silent),
                _ => Deed::CutOff(number),
            };
            let begins = at + self.draw_gap(rng);
            self.deeds.extend([(at, how), (begins, Deed::Begin(number + 1))]);
            // A predecessor that lives must be cut off for the timeout, unless all have heard of its successor: else a
            // host that has not is kept alive by the one, and given up by the other.
            let heard = if self.is_calm { Duration::from_secs(3) } else { self.times.timeout };
            let rejoins = begins + heard + within(rng, 500, 3_000);
            if matches!(how, Deed::CutOff(_)) {
                self.deeds.push((rejoins, Deed::Rejoin(number)));
            }
            at = rejoins + within(rng, 1_000, 10_000);
        }
        at
    }

    /// How long there is nobody: less than a lease, more than one, or whatever comes.
    fn draw_gap(&self, rng: &mut SplitMix64) -> Duration {
        let lease = self.times.lease.as_millis() as u64;
        match rng.below(5) {
            0..3 => within(rng, 10, (self.times.lease - self.margin()).as_millis() as u64),
            3 => within(rng, lease + 2_000, 2 * lease),
            _ => within(rng, 10, 2 * lease),
        }
    }

    fn draw_faults(&mut self, rng: &mut SplitMix64, until: Duration) {
        let (size, until) = (self.size(), until.as_millis() as u64);
        let mut cut = BTreeSet::new();
        for _ in 0..rng.below(3 + size as u64 / 4) {
            let at = within(rng, 500, until);
            let rank = index(rng, size);
            let ways = [Way::In, Way::Out, Way::Both];
            let lasting = within(rng, 100, 2 * self.times.lease.as_millis() as u64);
            let deed = match rng.below(if self.is_calm { 3 } else { 6 }) {
                0 => Deed::Exit(rank, 0),
                1 | 2 => Deed::Exit(rank, 1 + rng.below(255) as i32),
                3 => Deed::HostCrash(rank / self.per_host),
                _ => Deed::HostCut(rank / self.per_host, ways[index(rng, ways.len())], lasting),
            };
            // Of two cuts of one link the later one says until when.
            if !matches!(deed, Deed::HostCut(host, ..) if !cut.insert(host)) {
                self.deeds.push((at, deed));
            }
        }
    }

    /// The ranks of a host.
    pub(crate) const fn ranks_of(&self, host: usize) -> Range<usize> {
        host * self.per_host..(host + 1) * self.per_host
    }

    pub(crate) const fn size(&self) -> usize {
        self.n_hosts * self.per_host
    }

    /// By how much less than a lease a silence may have culled what it should not, or must not have: the newest beat
    /// that was echoed is so old, and the next one takes so long to be.
    pub(crate) const fn margin(&self) -> Duration {
        Duration::from_millis(match self.network {
            Network::Good | Network::Slow => 1_500,
            Network::Moderate => 2_500,
            Network::Rough => 5_000,
        })
    }

    /// How long after a controller has begun those know of it who live on the hosts.
    pub(crate) fn known_after(&self, number: u64) -> Duration {
        let mut rng = SplitMix64::named(self.seed, &format!("known {number}"));
        // The first one is to be there before anybody else.
        if number == 1 || rng.chance(0.3) { Duration::ZERO } else { within(&mut rng, 1, 1_500) }
    }

    /// Whether those who live on the hosts hear a controller that is cut off from these.
    pub(crate) fn is_heard_when_cut_off(&self) -> bool {
        SplitMix64::named(self.seed, "heard").chance(0.5)
    }

    /// When nothing is wrong any more.
    pub(crate) fn healed_at(&self) -> Duration {
        let over = |(at, deed): &(Duration, Deed)| match deed {
            Deed::HostCut(_, _, lasting) => *at + *lasting,
            _ => *at,
        };
        self.deeds.iter().map(over).fold(self.until, Duration::max)
    }

    /// When all is told that is waited for, also by one who takes itself for cut off.
    pub(crate) fn quiet_at(&self) -> Duration {
        self.healed_at() + 3 * self.times.timeout + SETTLED
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        let Self { n_hosts, per_host, network, last, .. } = self;
        let restarts = if self.restarts { "restarts" } else { "no restarts" };
        let n = self.deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Begin(_))).count();
        let (lease, n_deeds) = (self.times.lease, self.deeds.len());
        format!(
            "hosts={n_hosts},procs={per_host}, a lease of {lease:?}, {restarts}, {network:?}, {n} controllers, \
             {n_deeds} deeds, {last:?}"
        )
    }
}

/// What is on its way, when nothing goes wrong any more.
const SETTLED: Duration = Duration::from_secs(20);

fn index(rng: &mut SplitMix64, below: usize) -> usize {
    rng.below(below.max(1) as u64) as usize
}

fn within(rng: &mut SplitMix64, min: u64, max: u64) -> Duration {
    Duration::from_millis(min + rng.below(max.saturating_sub(min).max(1)))
}
