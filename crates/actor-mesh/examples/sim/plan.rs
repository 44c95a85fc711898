//! `Plan`: all that a seed decides beforehand.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use controller::Times;
use mesh_core::Strategy;
use mesh_testkit::fault_net::{Faults, SplitMix64};

use crate::ledger::Begun;

/// What a seed is: the mesh, its network, who sends, and what goes wrong when.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// The sizes of the dims.
    pub(crate) sizes: Vec<usize>,
    pub(crate) size: usize,
    /// Directly to all, if `None`.
    pub(crate) fan_out: Option<usize>,
    /// Whether what fails is started again.
    pub(crate) restarts: bool,
    /// With whom together (RS1).
    pub(crate) strategy: Strategy,
    /// How often at most (RS3).
    pub(crate) max_restarts: u32,
    pub(crate) times: Times,
    pub(crate) network: Network,
    pub(crate) n_senders: usize,
    /// The owner of the mesh lives in another process than that of the processes, and dies in the middle of it all.
    pub(crate) dies: bool,
    /// How many things each sender sends.
    pub(crate) n_sends: usize,
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// Hosts or processes are silent for longer than sessions last.
    pub(crate) is_cut: bool,
    pub(crate) ending: Ending,
}

/// How many ranks a mesh is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranks {
    AtMost(usize),
    Exactly(usize),
}

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Good,
    Slow,
    Moderate,
    Rough,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The actor of a rank panics.
    Panic(usize),
    /// It returns an error.
    Fail(usize),
    /// Its handler does not return for so long.
    Hang(usize, Duration),
    /// The same, and then it panics, with all that waits for it.
    HangAndPanic(usize, Duration),
    /// Not wrong: it casts to all, so many times.
    Tell(usize, u64),
    /// Its process is killed.
    Crash(usize),
    /// Nothing gets into or out of its process for so long.
    Pause(usize, Duration),
    /// What is sent from one process to another is lost for so long; the first is that of the owner.
    Cut(usize, usize, Duration),
    /// All processes of a host are killed at once.
    HostCrash(usize),
    /// All processes of a host are cut off from all others for so long.
    HostCut(usize, Way, Duration),
    /// The process of the owner ends, and with it the controller and the keeper of the mesh.
    OwnerDies(Death),
}

/// Which of the ways of a host are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
    Both,
}

/// How a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its peers are told, as the kernel tells them.
    Told,
    /// Nobody is, as with a machine that has lost its power.
    Silent,
}

/// How the mesh ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is stopped.
    Stop,
    /// Its owner drops it, and with that its controller ends.
    Drop,
    /// The processes below it are stopped first.
    Procs,
}

impl Ranks {
    pub(crate) const fn most(self) -> usize {
        match self {
            Self::AtMost(n) | Self::Exactly(n) => n,
        }
    }
}

impl Network {
    pub(crate) fn faults(self) -> Faults {
        let delay = |min, max| Duration::from_millis(min)..=Duration::from_millis(max);
        match self {
            Self::Good => Faults::none(),
            Self::Slow => Faults { delay: delay(1, 60), ..Faults::none() },
            Self::Moderate => Faults::moderate(),
            Self::Rough => {
                Faults { loss: 0.1, duplication: 0.1, reordering: 0.2, delay: delay(1, 50) }
            }
        }
    }
}

impl Plan {
    /// What the seed says, with so many ranks.
    pub(crate) fn draw(seed: u64, ranks: Ranks) -> Self {
        let mut rng = SplitMix64::named(seed, "plan");
        let sizes = sizes(&mut rng, ranks);
        let size: usize = sizes.iter().product();
        let fan_out = (rng.below(4) > 0).then(|| 2 + index(&mut rng, 7));
        let networks = [Network::Good, Network::Slow, Network::Moderate, Network::Rough];
        let network = networks[index(&mut rng, networks.len())];
        let restarts = rng.chance(0.5);
        let n_sends = if size > 200 { 8 } else { 10 + index(&mut rng, 30) };
        let n_faults = index(&mut rng, 3 + size.min(64) / 4);
        let mut faults: Vec<_> = (0..n_faults).map(|_| fault(&mut rng, size, sizes[0])).collect();
        let dies = rng.chance(0.2);
        if dies {
            let how = if rng.chance(0.5) { Death::Told } else { Death::Silent };
            faults.push((moment(&mut rng), Fault::OwnerDies(how)));
        }
        faults.sort_by_key(|(at, _)| *at);
        keep_sessions(&mut faults, size / sizes[0]);
        if network == Network::Rough {
            faults.iter_mut().for_each(|(_, fault)| fault.shorten(ROUGH_MOST));
        }
        // There is one who sends from elsewhere, where the owner dies.
        let n_senders = 1 + index(&mut rng, 3) + usize::from(dies);
        let endings = [Ending::Stop, Ending::Stop, Ending::Drop, Ending::Procs];
        let ending = endings[index(&mut rng, endings.len())];
        Self {
            seed,
            sizes,
            size,
            fan_out,
            restarts,
            strategy: strategy(seed),
            max_restarts: MANY,
            times: Times::local(),
            network,
            n_senders,
            dies,
            n_sends,
            faults,
            is_cut: false,
            ending,
        }
    }

    /// The ranks of a host.
    pub(crate) fn ranks_of(&self, host: usize) -> Range<usize> {
        let per_host = self.size / self.sizes[0];
        host * per_host..(host + 1) * per_host
    }

    /// The extent, as it is read.
    pub(crate) fn extent(&self) -> String {
        let dims = self.sizes.iter().zip(DIMS).map(|(size, dim)| format!("{dim}={size}"));
        dims.collect::<Vec<_>>().join(",")
    }

    /// In a line.
    pub(crate) fn text(&self) -> String {
        let tree = self.fan_out.map_or_else(|| "no tree".to_owned(), |n| format!("fan-out {n}"));
        let restarts = if self.restarts { strategy_name(self.strategy) } else { "no restarts" };
        let (extent, n_faults) = (self.extent(), self.faults.len());
        let (network, ending) = (self.network, self.ending);
        let dies = if self.dies { "its owner dies" } else { "its owner lives" };
        format!("{extent}, {tree}, {restarts}, {network:?}, {n_faults} faults, {dies}, {ending:?}")
    }

    /// Whether ranks that are healthy are asked to end, and begin again, since another one has failed.
    pub(crate) fn is_together(&self) -> bool {
        self.restarts && self.strategy != Strategy::OneForOne
    }

    /// What of it the ledger goes by.
    pub(crate) fn begun(&self) -> Begun {
        Begun { is_together: self.is_together(), is_lossy: self.network == Network::Rough }
    }

    /// Whether a rank begins again when this one, or another, has failed.
    pub(crate) fn begins_again(&self, rank: usize, failed: usize) -> bool {
        self.restarts
            && match self.strategy {
                Strategy::OneForOne => rank == failed,
                Strategy::OneForAll => true,
                Strategy::RestForOne => rank >= failed,
            }
    }

    /// Whether a healthy rank may answer too late.
    pub(crate) fn may_be_late(&self) -> bool {
        let is_slow = |(_, fault): &(_, Fault)| {
            matches!(
                fault,
                Fault::Hang(..)
                    | Fault::HangAndPanic(..)
                    | Fault::Pause(..)
                    | Fault::Cut(..)
                    | Fault::HostCut(..)
            )
        };
        self.is_cut || self.faults.iter().any(is_slow)
    }
}

impl Fault {
    /// It cuts the owner off from processes for no longer than that.
    fn shorten(&mut self, most: Duration) {
        if let Self::Pause(_, lasting)
        | Self::Cut(0, _, lasting)
        | Self::Cut(_, 0, lasting)
        | Self::HostCut(_, _, lasting) = self
        {
            *lasting = most.min(*lasting);
        }
    }
}

/// Where a packet in ten is lost, a session that says something once a second, and may be silent for ten, lasts through
/// this and what is lost after it.
const ROUGH_MOST: Duration = Duration::from_secs(3);

/// More restarts than any seed needs.
pub(crate) const MANY: u32 = 10_000;

/// The names of the dims.
pub(crate) const DIMS: [&str; 3] = ["hosts", "procs", "lanes"];

pub(crate) fn index(rng: &mut SplitMix64, below: usize) -> usize {
    rng.below(below as u64) as usize
}

/// With whom ranks are started again, where they are. It is drawn by itself: all else of a seed stays what it is.
pub(crate) fn strategy(seed: u64) -> Strategy {
    match SplitMix64::named(seed, "strategy").below(4) {
        0 => Strategy::OneForAll,
        1 => Strategy::RestForOne,
        _ => Strategy::OneForOne,
    }
}

/// As it is read.
pub(crate) const fn strategy_name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::OneForOne => "restarts",
        Strategy::OneForAll => "restarts of all",
        Strategy::RestForOne => "restarts of the rest",
    }
}

fn sizes(rng: &mut SplitMix64, ranks: Ranks) -> Vec<usize> {
    let n_dims = 1 + index(rng, DIMS.len());
    let (mut left, mut sizes) = (ranks.most(), Vec::new());
    for nth in 0..n_dims {
        let most = match n_dims - nth {
            1 => left,
            more => (2 * left.isqrt() / more).clamp(1, left),
        };
        // Large ones are what is asked for.
        let size = most - index(rng, most.div_ceil(2));
        let size = match ranks {
            Ranks::AtMost(_) => size,
            Ranks::Exactly(_) if nth + 1 == n_dims => left,
            Ranks::Exactly(_) => (1..=size).rev().find(|it| left % it == 0).unwrap_or(1),
        };
        sizes.push(size);
        left /= size;
    }
    sizes
}

/// The owner loses no session that nothing opens again: it is cut off from each rank once, for less than a session
/// may be silent.
pub(crate) fn keep_sessions(faults: &mut Vec<(Duration, Fault)>, per_host: usize) {
    let mut seen = BTreeSet::new();
    faults.retain(|(_, fault)| match fault {
        Fault::Pause(rank, _) => seen.insert(rank + 1),
        Fault::Cut(0, site, _) | Fault::Cut(site, 0, _) => seen.insert(*site),
        Fault::HostCut(host, ..) => {
            let sites = host * per_host + 1..=(host + 1) * per_host;
            let is_new = sites.clone().all(|site| !seen.contains(&site));
            if is_new {
                sites.for_each(|site| _ = seen.insert(site));
            }
            is_new
        }
        _ => true,
    });
}

fn moment(rng: &mut SplitMix64) -> Duration {
    Duration::from_micros(500_000 + rng.below(14_000_000))
}

/// Something that goes wrong with a process, by itself or with the network, and not with a host as a whole.
pub(crate) fn disturbance(rng: &mut SplitMix64, size: usize, n_hosts: usize) -> Fault {
    loop {
        let (_, fault) = fault(rng, size, n_hosts);
        if !matches!(fault, Fault::HostCrash(_)) {
            return fault;
        }
    }
}

fn fault(rng: &mut SplitMix64, size: usize, n_hosts: usize) -> (Duration, Fault) {
    let at = moment(rng);
    let mut within = |min: u64, max: u64| Duration::from_millis(min + rng.below(max - min));
    let (hang, pause, from_owner, between) =
        (within(100, 9_000), within(100, 7_000), within(100, 7_000), within(100, 15_000));
    let rank = index(rng, size);
    let (host, ways) = (rank / (size / n_hosts), [Way::In, Way::Out, Way::Both]);
    let fault = match rng.below(13) {
        11 => Fault::HostCrash(host),
        12 => Fault::HostCut(host, ways[index(rng, ways.len())], from_owner),
        8 => Fault::HangAndPanic(rank, hang),
        9 | 10 => Fault::Tell(rank, 1 + rng.below(12)),
        0 => Fault::Panic(rank),
        1 => Fault::Fail(rank),
        2 => Fault::Hang(rank, hang),
        3 | 4 => Fault::Crash(rank),
        5 => Fault::Pause(rank, pause),
        6 if rng.chance(0.5) => Fault::Cut(0, rank + 1, from_owner),
        6 => Fault::Cut(rank + 1, 0, from_owner),
        _ => Fault::Cut(rank + 1, index(rng, size) + 1, between),
    };
    (at, fault)
}
