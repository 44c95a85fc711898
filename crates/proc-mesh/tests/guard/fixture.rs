//! A guard with one mesh, and ways to look for what it has left over.

use std::error::Error;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, Incarnation, MeshId};
use mesh_shape::Rank;
use proc_mesh::guard::wire::{CgroupOrder, Confines, End, FromGuard, ProcKey, ToGuard};
use proc_mesh::guard_link::GuardLink;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

/// A guard with one open mesh.
pub(crate) struct Rig {
    pub(crate) link: GuardLink,
    /// Whether beats are echoed, as a controller does.
    pub(crate) renews: bool,
    /// The newest beat that was heard, which orders to start echo.
    pub(crate) heard: Option<BeatSeq>,
    pub(crate) pidfds: Vec<OwnedFd>,
    /// The names of the variables that processes inherit, if not all.
    pub(crate) inherit: Option<Vec<Vec<u8>>>,
    /// What processes do to themselves before they become their program.
    pub(crate) confines: Confines,
    pub(crate) cgroup: Option<CgroupOrder>,
}

/// A mesh begins when its guard is told of it: no moment is later than that.
pub(crate) const NOW: Duration = Duration::MAX;

impl Rig {
    /// A guard with a mesh whose lease outlives the test.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        Self::with_term(Duration::from_secs(600)).await
    }

    pub(crate) async fn with_term(term: Duration) -> Result<Self, Box<dyn Error>> {
        let link = GuardLink::start(Path::new("/proc/self/exe")).await?;
        let (pidfds, confines) = (Vec::new(), Confines::default());
        let mut rig =
            Self { link, renews: true, heard: None, pidfds, inherit: None, confines, cgroup: None };
        let beat_every = (term / 20).min(Duration::from_millis(100));
        let epoch = Epoch::FIRST;
        rig.ask(ToGuard::Open { mesh: mesh(), epoch, term, beat_every, since: NOW })?;
        Ok(rig)
    }

    /// Puts in a message that owns no descriptors.
    pub(crate) fn ask(&mut self, message: ToGuard) -> Result<(), Box<dyn Error>> {
        Ok(self.link.queue(message, Vec::new())?)
    }

    pub(crate) fn command(
        &mut self,
        id: u32,
        line: &[&str],
        dir: Option<&str>,
    ) -> Result<(), Box<dyn Error>> {
        let words: Vec<_> = line.iter().map(|word| word.as_bytes().to_vec()).collect();
        let (program, args) = words.split_first().ok_or("an empty command line")?;
        let (program, args) = (program.clone(), args.to_vec());
        let dir = dir.map(|dir| dir.as_bytes().to_vec());
        let confines = self.confines.clone();
        let (mesh, inherit, cgroup) = (mesh(), self.inherit.clone(), self.cgroup);
        self.ask(ToGuard::Command { mesh, id, program, args, dir, inherit, confines, cgroup })
    }

    /// Starts a rank with the command, and with `N` as a variable.
    pub(crate) fn start_rank(&mut self, rank: usize, command: u32) -> Result<(), Box<dyn Error>> {
        self.start_life(key(rank), command)
    }

    /// Starts one life of a rank with the command, and with `N` as a variable.
    pub(crate) fn start_life(&mut self, key: ProcKey, command: u32) -> Result<(), Box<dyn Error>> {
        let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        let env = vec![(b"N".to_vec(), key.rank.index().to_string().into_bytes())];
        let (epoch, echoed) = (Epoch::FIRST, self.heard);
        let message = ToGuard::Start { key, epoch, echoed, command, cpu: None, env };
        Ok(self.link.queue(message, vec![null()?, null()?, null()?])?)
    }

    /// Starts a rank that runs a script of the shell.
    pub(crate) fn script(&mut self, rank: usize, script: &str) -> Result<(), Box<dyn Error>> {
        let id = u32::try_from(rank)?;
        self.command(id, &["sh", "-c", script], None)?;
        self.start_rank(rank, id)
    }

    /// The next message that is no beat.
    pub(crate) async fn next(&mut self) -> Result<FromGuard, Box<dyn Error>> {
        let deadline = Instant::now() + TOLD_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (message, fds) = timeout(left, self.link.recv()).await??;
            self.pidfds.extend(fds);
            let FromGuard::Beat { seq } = message else { return Ok(message) };
            self.heard = Some(seq);
            if self.renews {
                self.ask(ToGuard::Renew { mesh: mesh(), epoch: Epoch::FIRST, echoed: seq })?;
            }
        }
    }

    /// Serves the link for this long, and gives back what came that is no beat.
    pub(crate) async fn during(
        &mut self,
        time: Duration,
    ) -> Result<Vec<FromGuard>, Box<dyn Error>> {
        let deadline = Instant::now() + time;
        let mut told = Vec::new();
        while let Ok(next) = tokio::time::timeout_at(deadline, self.next()).await {
            told.push(next?);
        }
        Ok(told)
    }

    /// The process id of the rank that starts next.
    pub(crate) async fn started(&mut self) -> Result<u32, Box<dyn Error>> {
        match self.next().await? {
            FromGuard::Started { pid, .. } => Ok(pid),
            other => Err(format!("not started: {other:?}").into()),
        }
    }

    /// How the process that ends next has ended, and whether it was culled.
    pub(crate) async fn ended(&mut self) -> Result<(ProcKey, End, bool), Box<dyn Error>> {
        match self.next().await? {
            FromGuard::Ended { key, end, culled, .. } => Ok((key, end, culled)),
            other => Err(format!("not ended: {other:?}").into()),
        }
    }

    /// Sends a signal to the guard itself.
    pub(crate) fn signal_guard(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        let pid = self.link.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        Ok(kill_process(pid.ok_or("it is running")?, signal)?)
    }

    /// Waits until so many processes have the marker in their command line, serving the link.
    pub(crate) async fn until_marked(
        &mut self,
        marker: &str,
        n_marked: usize,
    ) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + TOLD_WITHIN;
        while marked(marker).len() != n_marked {
            if Instant::now() > deadline {
                return Err(format!("{:?} are there, not {n_marked}", marked(marker)).into());
            }
            self.during(Duration::from_millis(2)).await?;
        }
        Ok(())
    }

    /// Ends the guard, which must end well.
    pub(crate) async fn close(self) -> Result<(), Box<dyn Error>> {
        if self.link.close(TOLD_WITHIN).await { Ok(()) } else { Err("it did not end well".into()) }
    }
}

pub(crate) fn mesh() -> MeshId {
    MeshId::from_random(7)
}

/// The first life of a rank.
pub(crate) fn key(rank: usize) -> ProcKey {
    ProcKey { mesh: mesh(), rank: Rank::new(rank), incarnation: Incarnation::FIRST }
}

/// A later life of a rank.
pub(crate) fn life(rank: usize, incarnation: u64) -> ProcKey {
    ProcKey { incarnation: Incarnation::new(incarnation), ..key(rank) }
}

pub(crate) const fn killed_by(signal: i32) -> End {
    End::Signaled { signal, core: false }
}

/// A duration for `sleep` that no other process has.
pub(crate) fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("98765.{}{:04}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The processes that run `sleep` with the marker. Zombies have no command line and do not count.
pub(crate) fn marked(marker: &str) -> Vec<u32> {
    let is_marked = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(b"sleep") && words.next() == Some(marker.as_bytes())
    };
    let entries = fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_marked).collect()
}

/// Waits until the condition holds.
pub(crate) async fn until(
    what: &str,
    within: Duration,
    holds: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + within;
    while !holds() {
        if Instant::now() > deadline {
            return Err(format!("not within {within:?}: {what}").into());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Whether there is such a process, or a zombie of it.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The letter of the kernel for what the process is doing: `T` for stopped.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// What is to come must come within this, on a busy machine too.
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(20);
