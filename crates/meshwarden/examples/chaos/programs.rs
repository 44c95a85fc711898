//! Whole programs that something is done to: a mesh, its controller and its host agents in one process.
//!
//! Host agents live in the process of whoever owns the mesh, so an agent cannot be killed without its
//! controller and its owner. Here each program is a process of its own, and this one does it to them, hears what they
//! were told, and looks at what is left.

pub(crate) mod client;
mod fate;

use std::time::Duration;

use anyhow::Result;
use mesh_testkit::history::Verdict;
use tokio::task::JoinSet;

use crate::kind::Program;
use crate::ledger::IsHogged;
pub(crate) use fate::Fate;

/// Programs that run now, and what became of the others.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    running: JoinSet<(Program, IsHogged, Result<Fate>)>,
    waiting: Vec<Program>,
    is_hogged: IsHogged,
    ended: Vec<(Program, IsHogged, Fate)>,
    problems: Vec<String>,
}

impl Programs {
    /// What is started from now on runs with or without hogs.
    pub(crate) const fn begin_phase(&mut self, is_hogged: IsHogged) {
        self.is_hogged = is_hogged;
    }

    /// Starts one, beside the others; it waits for its turn if there are many.
    pub(crate) fn start(&mut self, program: Program) {
        self.waiting.push(program);
        self.launch();
        while let Some(ended) = self.running.try_join_next() {
            self.on_ended(ended);
        }
    }

    /// Waits until one has ended; `false` if none is left.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> bool {
        let Some(ended) = self.running.join_next().await else { return false };
        self.on_ended(ended);
        true
    }

    /// Ends those that run.
    pub(crate) async fn end(&mut self) {
        self.waiting.clear();
        self.running.shutdown().await;
    }

    fn on_ended(
        &mut self,
        ended: Result<(Program, IsHogged, Result<Fate>), tokio::task::JoinError>,
    ) {
        match ended {
            Ok((program, is_hogged, Ok(fate))) => {
                let label = program.label();
                let problems = fate.problems.iter().map(|why| format!("{label}: {why}"));
                self.problems.extend(problems);
                self.ended.push((program, is_hogged, fate));
            }
            Ok((program, _, Err(error))) => {
                self.problems.push(format!("{}: {error:#}", program.label()));
            }
            Err(error) => self.problems.push(error.to_string()),
        }
        self.launch();
    }

    fn launch(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some(program) = self.waiting.pop()
        {
            let is_hogged = self.is_hogged;
            self.running.spawn(async move { (program, is_hogged, Fate::of(program).await) });
        }
    }

    /// Those that something was done to.
    pub(crate) fn of(&self, program: Program, is_hogged: IsHogged) -> impl Iterator<Item = &Fate> {
        let is_it = move |(it, hogged, _): &&(Program, IsHogged, Fate)| {
            (*it, *hogged) == (program, is_hogged)
        };
        self.ended.iter().filter(is_it).map(|(_, _, fate)| fate)
    }

    /// What everybody was told of all programs that this was done to: each verdict, and the number of ends that there were to be told.
    pub(crate) fn verdicts(&self, program: Program) -> impl Iterator<Item = (Verdict, usize)> {
        let its = self.ended.iter().filter(move |(it, _, _)| *it == program);
        its.map(|(_, _, fate)| (fate.history.judge(), fate.n_ends()))
    }

    /// What should not have been.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// How long everything that had to be gone took to be, in rising order.
    pub(crate) fn gone_after(&self, program: Program, is_hogged: IsHogged) -> Vec<Duration> {
        let mut all: Vec<Duration> =
            self.of(program, is_hogged).map(|fate| fate.gone_after).collect();
        all.sort_unstable();
        all
    }
}

/// Programs that run at once, beside the mesh of the driver.
const AT_ONCE: usize = 2;
