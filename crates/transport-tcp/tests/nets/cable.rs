//! Two network namespaces with a cable between them, which can be cut, throttled, or made to swallow what
//! goes one way.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Fault;

/// Which version of IP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// One end of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Here,
    There,
}

/// Two namespaces, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Cable {
    ends: [Namespace; 2],
    family: Family,
}

/// A network namespace with a name.
#[derive(Debug)]
struct Namespace(String);

impl Family {
    /// The address of an end.
    pub(crate) const fn address(self, end: End) -> &'static str {
        match (self, end) {
            (Self::V4, End::Here) => "10.77.0.1",
            (Self::V4, End::There) => "10.77.0.2",
            (Self::V6, End::Here) => "fd77::1",
            (Self::V6, End::There) => "fd77::2",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::V4 => "24",
            Self::V6 => "64",
        }
    }
}

impl Cable {
    pub(crate) fn new(family: Family) -> Result<Self, Fault> {
        let ends = [Namespace::new()?, Namespace::new()?];
        let [here, there] = [&ends[0].0, &ends[1].0];
        run(&format!("ip link add v0 netns {here} type veth peer name v0 netns {there}"))?;
        for end in [here, there] {
            // Each packet is one, as on a real cable.
            run(&format!("ip -n {end} link set v0 gso_max_segs 1"))?;
        }
        let cable = Self { ends, family };
        for end in [End::Here, End::There] {
            // A namespace of IPv6 waits until it is sure of its addresses, which nobody else has here.
            run(&format!("ip -n {} link set lo up", cable.name(end)))?;
            cable.up(end)?;
        }
        Ok(cable)
    }

    pub(crate) fn name(&self, end: End) -> &str {
        match end {
            End::Here => &self.ends[0].0,
            End::There => &self.ends[1].0,
        }
    }

    /// The addresses of this end and of the other one.
    pub(crate) const fn addresses(&self, end: End) -> (&'static str, &'static str) {
        let (here, there) = (self.family.address(End::Here), self.family.address(End::There));
        match end {
            End::Here => (here, there),
            End::There => (there, here),
        }
    }

    /// What leaves this end is swallowed, without a word to who sent it.
    pub(crate) fn swallow(&self, end: End) -> Result<(), Fault> {
        run(&format!("tc -n {} qdisc add dev v0 root blackhole", self.name(end)))
    }

    /// What leaves this end goes no faster than so many Mbit in a second, and waits for 150 ms at most.
    pub(crate) fn throttle(&self, end: End, mbit: u32) -> Result<(), Fault> {
        let rate = format!("rate {mbit}mbit burst 32kb latency 150ms");
        run(&format!("tc -n {} qdisc add dev v0 root tbf {rate}", self.name(end)))
    }

    /// What leaves this end gets through again.
    pub(crate) fn heal(&self, end: End) -> Result<(), Fault> {
        run(&format!("tc -n {} qdisc del dev v0 root", self.name(end)))
    }

    /// The cable is pulled out at this end.
    pub(crate) fn down(&self, end: End) -> Result<(), Fault> {
        run(&format!("ip -n {} link set v0 down", self.name(end)))
    }

    /// It is plugged in again. An address of IPv6 goes with the link, so it is given anew.
    pub(crate) fn up(&self, end: End) -> Result<(), Fault> {
        let (name, family) = (self.name(end), self.family);
        run(&format!("ip -n {name} link set v0 up"))?;
        let at = format!("{}/{}", family.address(end), family.prefix());
        let at_once = if family == Family::V6 { " nodad" } else { "" };
        run(&format!("ip -n {name} addr replace {at} dev v0{at_once}"))
    }

    /// How large a packet may be that leaves or reaches this end.
    pub(crate) fn mtu(&self, end: End, bytes: u32) -> Result<(), Fault> {
        run(&format!("ip -n {} link set v0 mtu {bytes}", self.name(end)))
    }

    /// The namespace is gone, and the cable with it.
    pub(crate) fn remove(&self, end: End) -> Result<(), Fault> {
        run(&format!("ip netns del {}", self.name(end)))
    }
}

impl Namespace {
    fn new() -> Result<Self, Fault> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = Self(format!("{PREFIX}{}-{number}", std::process::id()));
        run(&format!("ip netns add {}", new.0))?;
        Ok(new)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test may have removed it.
        _ = run(&format!("ip netns del {}", self.0)).is_ok();
    }
}

/// Whether everything is here that a cable needs. What runs that were killed have left behind is removed.
///
/// # Errors
///
/// What is missing.
pub(crate) fn probe() -> Result<(), Fault> {
    sweep();
    let cable = Cable::new(Family::V6)?;
    cable.swallow(End::Here)?;
    cable.throttle(End::There, 1)
}

/// Removes the namespaces of processes that are gone.
fn sweep() {
    let Ok(names) = std::fs::read_dir("/run/netns") else { return };
    for name in names.flatten() {
        let name = name.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another run may be at the same.
            _ = run(&format!("ip netns del {name}")).is_ok();
        }
    }
}

/// Runs a command whose words have no spaces.
fn run(line: &str) -> Result<(), Fault> {
    let mut words = line.split(' ');
    let done = Command::new(words.next().unwrap_or_default()).args(words).output();
    match done {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => {
            Err(format!("{line}: {}", String::from_utf8_lossy(&stderr).trim()).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{line}: there is no such program").into())
        }
        Err(error) => Err(format!("{line}: {error}").into()),
    }
}

/// What our namespaces are called, before the process that they belong to.
const PREFIX: &str = "meshwarden-net-";
