//! What became of one program that something was done to.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mesh_testkit::history::{Fault, FaultKind, History, Observation};
use meshwarden::mesh_core::{Incarnation, Timestamp};
use meshwarden::mesh_shape::Rank;
use meshwarden::supervise::Clock;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::client::{ABANDON, ARGUMENT, LEASE, N_HOSTS, N_OF_RANK, N_RANKS, Said};
use crate::drive::patiently;
use crate::kind::Program;
use crate::ledger::Observer;
use crate::processes::{Process, descendants, marked, signal, until_gone};

/// What became of one program.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// What was done to its ranks, and what its observers said.
    pub(crate) history: History,
    /// How long everything that had to be gone took to be.
    pub(crate) gone_after: Duration,
    /// Until the last observer was told of the last rank, if any was to be.
    pub(crate) told_after: Option<Duration>,
    /// What should not have been.
    pub(crate) problems: Vec<String>,
}

/// A program that runs.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    clock: Clock,
    /// The ranks.
    ranks: BTreeSet<Process>,
    /// Its guards, and everything that they have.
    family: BTreeSet<Process>,
}

impl Fate {
    /// Starts a program, does it to that, and looks at what comes of it.
    pub(crate) async fn of(program: Program) -> Result<Self> {
        let mut running = Running::start().await?;
        let at = running.clock.now();
        let mut fate = Self::new(program, at);
        match program {
            Program::Kill => running.kill(&mut fate).await?,
            Program::Pause => running.pause(&mut fate).await?,
            Program::Abandon => running.abandon(&mut fate).await?,
        }
        let left = until_gone(running.family, PATIENCE).await;
        if !left.is_empty() {
            fate.problems.push(format!("the processes {left:?} are left over"));
        }
        let ends = fate.history.observations.iter().filter(|seen| seen.status.is_terminal());
        fate.told_after = ends.map(|seen| seen.at.since(at)).max();
        Ok(fate)
    }

    fn new(program: Program, at: Timestamp) -> Self {
        let faults = program.end().map(|end| {
            (0..N_RANKS).map(move |rank| Fault {
                id: rank as u64,
                rank: Rank::new(rank),
                incarnation: Incarnation::FIRST,
                kind: FaultKind::Ends(end.clone()),
                at,
            })
        });
        let history = History {
            faults: faults.into_iter().flatten().collect(),
            observers: Observer::EVERY.map(|observer| observer.label().to_owned()).to_vec(),
            observations: Vec::new(),
        };
        Self { history, gone_after: Duration::ZERO, told_after: None, problems: Vec::new() }
    }

    /// How many ends its observers had to be told of, all together.
    pub(crate) fn n_ends(&self) -> usize {
        self.history.faults.len() * self.history.observers.len()
    }

    fn hear(&mut self, at: Timestamp, said: Said) {
        let Said::Told { observer, ranks, incarnation, status } = said else { return };
        for rank in ranks {
            self.history.observations.push(Observation {
                observer: observer.clone(),
                rank: Rank::new(rank),
                incarnation: Incarnation::new(incarnation),
                status: status.clone(),
                at,
            });
        }
    }

    /// Something had to be gone by then.
    fn must_be_gone(&mut self, (left, after): (Vec<u32>, Duration), bound: Duration) {
        self.gone_after = after;
        if !left.is_empty() || after > bound {
            self.problems.push(format!(
                "{left:?} were left after {:.2} s, everything is to be gone after {:.2} s",
                after.as_secs_f64(),
                bound.as_secs_f64()
            ));
        }
    }
}

impl Running {
    /// Starts it, and waits until everything runs that its ranks start.
    async fn start() -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a program cannot be started")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = patiently("a program to start", lines.next_line()).await??;
        let Said::Up { mesh, pids } = serde_json::from_str(&line.context("it has ended")?)? else {
            bail!("a program does not begin with what it is");
        };
        let pid = child.id().context("a program has ended")?;
        let mark = format!("MESHWARDEN_MESH_ID={mesh}");
        let full = async {
            loop {
                let mark = mark.clone();
                let looked = spawn_blocking(move || (marked(&mark), descendants(pid))).await?;
                if is_full(&looked.0, &looked.1) {
                    return Ok::<_, anyhow::Error>(looked);
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let (marked, family) = patiently("the processes of a program to run", full).await??;
        let ranks = marked.into_iter().filter(|process| pids.contains(&process.pid)).collect();
        Ok(Self { child, lines, clock: Clock::start(), ranks, family })
    }

    fn signal(&self, what: Signal) -> Result<()> {
        signal(self.child.id().context("the program has ended")?, what)
    }

    /// K3, O1: everything ends with its agents.
    async fn kill(&mut self, fate: &mut Fate) -> Result<()> {
        let at = self.clock.now();
        self.signal(Signal::KILL)?;
        let left = until_gone(self.family.clone(), PATIENCE).await;
        fate.must_be_gone((left, self.clock.now().since(at)), CULLED);
        self.child.wait().await?;
        self.hear(fate).await
    }

    /// F2, K2: ranks whose lease has run out end, and are told as orphaned.
    async fn pause(&mut self, fate: &mut Fate) -> Result<()> {
        let at = self.clock.now();
        self.signal(Signal::STOP)?;
        let left = until_gone(self.ranks.clone(), PATIENCE).await;
        fate.must_be_gone((left, self.clock.now().since(at)), LEASE + CULLED);
        self.signal(Signal::CONT)?;
        self.hear_out(fate).await
    }

    /// Its agents end, and with them the guards and the ranks, and say so (N1).
    async fn abandon(&mut self, fate: &mut Fate) -> Result<()> {
        let at = self.clock.now();
        let stdin = self.child.stdin.as_mut().context("it is piped")?;
        stdin.write_all(format!("{ABANDON}\n").as_bytes()).await?;
        let left = until_gone(self.family.clone(), PATIENCE).await;
        fate.must_be_gone((left, self.clock.now().since(at)), CULLED);
        self.hear_out(fate).await
    }

    /// Hears what it says until it has ended, and that was its end.
    async fn hear_out(&mut self, fate: &mut Fate) -> Result<()> {
        patiently("a program to end", self.hear(fate)).await??;
        let status = patiently("a program to end", self.child.wait()).await??;
        ensure!(status.success(), "the program has ended with {status}");
        Ok(())
    }

    async fn hear(&mut self, fate: &mut Fate) -> Result<()> {
        while let Some(line) = self.lines.next_line().await? {
            let at = self.clock.now();
            let said = serde_json::from_str(&line)?;
            if said == Said::Finished {
                // It still reads what it is told.
                drop(self.child.stdin.take());
            }
            fate.hear(at, said);
        }
        Ok(())
    }
}

/// Whether everything runs that the ranks of a program start, and nothing else is on its way. Given who
/// carries the mark of its mesh, and who descends from it.
fn is_full(marked: &BTreeSet<Process>, family: &BTreeSet<Process>) -> bool {
    marked.len() == N_RANKS * N_OF_RANK
        && family.len() == marked.len() + N_HOSTS
        && family.is_superset(marked)
        && marked.iter().all(|process| process.is_called("sleep"))
}

/// How long what has to end may take at most; of those whose lease has run out, after that (K2).
const CULLED: Duration = Duration::from_secs(1);
/// How long is waited for what should have been gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two looks at who runs.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use mesh_testkit::history::Verdict;
    use meshwarden::mesh_core::{Cause, Reason, Status};

    use super::*;

    fn told(observer: Observer, ranks: &[usize], reason: Reason) -> Said {
        let status = Status::failed(Cause::new(reason));
        let (observer, ranks) = (observer.label().to_owned(), ranks.to_vec());
        Said::Told { observer, ranks, incarnation: 0, status }
    }

    /// What is wrong with what was said of a program: lost, duplicate, spurious, wrong.
    fn judge(program: Program, said: &[Said]) -> [usize; 4] {
        let mut fate = Fate::new(program, Timestamp::START);
        for said in said {
            fate.hear(Timestamp::START, said.clone());
        }
        let Verdict { lost, duplicate, spurious, wrong_cause, .. } = fate.history.judge();
        [lost.len(), duplicate.len(), spurious.len(), wrong_cause.len()]
    }

    /// K2, N1, N2
    #[test]
    fn every_rank_of_a_program_is_to_be_told_once_to_everybody_as_what_it_was() {
        let all: Vec<Said> = Observer::EVERY
            .into_iter()
            .map(|observer| told(observer, &[0, 1, 2, 3], Reason::Orphaned))
            .collect();
        let with = |more: Said| [all.clone(), vec![more]].concat();
        assert_eq!(judge(Program::Pause, &all), [0; 4]);
        assert_eq!(judge(Program::Pause, &all[1..]), [4, 0, 0, 0]);
        let again = told(Observer::Owner, &[2], Reason::Orphaned);
        assert_eq!(judge(Program::Pause, &with(again)), [0, 1, 0, 0]);
        let other = told(Observer::Owner, &[4], Reason::Orphaned);
        assert_eq!(judge(Program::Pause, &with(other)), [0, 0, 1, 0]);
        assert_eq!(judge(Program::Abandon, &all), [0, 0, 0, 12], "nobody was orphaned");
        assert_eq!(judge(Program::Kill, &all), [0, 0, 12, 0], "nobody was left to say that");
    }

    /// K2, K3
    #[test]
    fn what_is_gone_too_late_or_never_is_a_problem() {
        let is_problem = |left: Vec<u32>, after| {
            let mut fate = Fate::new(Program::Kill, Timestamp::START);
            fate.must_be_gone((left, after), CULLED);
            !fate.problems.is_empty()
        };
        assert!(!is_problem(vec![], CULLED));
        assert!(is_problem(vec![], CULLED * 2) && is_problem(vec![7], Duration::ZERO));
    }
}
