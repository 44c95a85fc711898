//! The verdict, for people and for programs.

mod data;
mod figures;
mod machine;
mod tally;

use std::fmt::{self, Write};
use std::time::Duration;

use mesh_testkit::history::{Observation, Verdict};

use crate::kind::{Kind, Program};
use crate::ledger::{IsHogged, Ledger, Noticed, Observer};
use crate::options::Options;
use crate::programs::Programs;
pub(crate) use figures::{bounded, millis, percentile, ratios, spread};
pub(crate) use machine::Machine;
pub(crate) use tally::{Tally, write_tallies};

/// What a run was, and what came of it.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) machine: Machine,
    pub(crate) skipped: &'a [(Kind, String)],
    pub(crate) ledger: &'a Ledger,
    pub(crate) programs: &'a Programs,
    /// Why the run ended early, if it did.
    pub(crate) ended_early: Option<String>,
    /// The processes that are left over.
    pub(crate) left_over: Vec<u32>,
}

impl Report<'_> {
    /// Whether every fault was told once to everybody, as what it was, nothing else was, and no
    /// process is left over.
    pub(crate) fn is_clean(&self) -> bool {
        self.ended_early.is_none()
            && self.left_over.is_empty()
            && self.ledger.oddities().is_empty()
            && self.programs.problems().is_empty()
            && self.tallies().all(|(_, tally)| tally.is_clean())
    }

    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text);
        debug_assert!(written.is_ok(), "a string takes everything");
        text
    }

    /// Every observer of the mesh, and those of all programs of a kind together.
    fn tallies(&self) -> impl Iterator<Item = (String, Tally)> {
        let of_mesh = Observer::EVERY.into_iter().map(|observer| {
            let n_survived = if observer == Observer::All { self.ledger.n_survived() } else { 0 };
            let (verdict, n_ends) = (self.ledger.verdict(observer), self.ledger.n_for(observer));
            (observer.label().to_owned(), Tally::new(&verdict, n_ends, n_survived))
        });
        let of_programs = Program::ALL.into_iter().map(|program| {
            let verdicts = self.programs.verdicts(program);
            let tallies = verdicts.map(|(verdict, n_ends)| Tally::new(&verdict, n_ends, 0));
            (program.label().to_owned(), tallies.fold(Tally::default(), Tally::plus))
        });
        of_mesh.chain(of_programs)
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        let Options { seed, extent, .. } = self.options;
        writeln!(to, "seed {seed}, mesh {extent}\n{}\n", self.machine)?;
        for (kind, why) in self.skipped {
            writeln!(to, "SKIPPED: {}: {why}\n", kind.label())?;
        }
        self.write_faults(to)?;
        write_tallies(to, self.tallies())?;
        self.write_latencies(to)?;
        self.write_observers(to)?;
        self.write_programs(to)?;
        self.write_noticed(to)?;
        for observer in Observer::EVERY {
            write_problems(to, observer, &self.ledger.verdict(observer))?;
        }
        for oddity in self.ledger.oddities().iter().take(SHOWN_MAX) {
            writeln!(to, "odd: {oddity}")?;
        }
        for problem in self.programs.problems().iter().take(SHOWN_MAX) {
            writeln!(to, "wrong: {problem}")?;
        }
        if let Some(why) = &self.ended_early {
            writeln!(to, "ended early: {why}")?;
        }
        if !self.left_over.is_empty() {
            writeln!(to, "the processes {:?} are left over", self.left_over)?;
        }
        writeln!(to, "left over: {}", self.left_over.len())?;
        match (self.is_clean(), self.skipped.len()) {
            (false, _) => writeln!(to, "NOT CLEAN"),
            (true, 0) => writeln!(to, "clean"),
            (true, n) => writeln!(to, "clean, but for {n} kinds of faults that were SKIPPED"),
        }
    }

    /// The columns of with and without hogs.
    fn phases(&self) -> impl Iterator<Item = (IsHogged, String)> + Clone {
        let hogs = (self.options.n_hogs > 0).then(|| (true, self.options.n_hogs.to_string()));
        [(false, "0".to_owned())].into_iter().chain(hogs)
    }

    fn write_faults(&self, to: &mut String) -> fmt::Result {
        write!(to, "{:<18}", "fault")?;
        for (_, n_hogs) in self.phases() {
            write!(to, "{:>9}", format!("{n_hogs} hogs"))?;
        }
        for kind in Kind::ALL {
            write!(to, "\n{:<18}", kind.label())?;
            for (is_hogged, _) in self.phases() {
                write!(to, "{:>9}", self.ledger.n_of(kind, is_hogged))?;
            }
        }
        for program in Program::ALL {
            write!(to, "\n{:<18}", program.label())?;
            for (is_hogged, _) in self.phases() {
                write!(to, "{:>9}", self.programs.of(program, is_hogged).count())?;
            }
        }
        writeln!(to, "\n\nexit codes: {} of 256", self.ledger.exit_codes().len())
    }

    fn write_latencies(&self, to: &mut String) -> fmt::Result {
        writeln!(
            to,
            "\nmilliseconds from just before the fault until it was told; the floor: until the kernel told of a\n\
             plain child that the same was done to; after its end: from when a pidfd of that very process told\n\n\
             {:<18}{:>5}{:>6} {:<5}{:>28}  {:>28}{:>15}{:>18}",
            "fault", "hogs", "times", "to", "p50 / p99 / max", "floor", "÷ floor", "after its end"
        )?;
        for kind in Kind::ALL {
            let observer = Ledger::teller(kind);
            for (is_hogged, n_hogs) in self.phases() {
                let told = self.ledger.latencies(observer, kind, is_hogged);
                if told.is_empty() {
                    continue;
                }
                let floor = self.ledger.floor(kind, is_hogged);
                let news = self.ledger.latencies_of_news(observer, kind, is_hogged);
                let (label, name, n) = (kind.label(), short(observer), told.len());
                let three = [50, 99, 100];
                writeln!(
                    to,
                    "{label:<18}{n_hogs:>5}{n:>6} {name:<5}{:>28}  {:>28}{:>15}{:>18}",
                    spread(&told, &three),
                    spread(&floor, &three),
                    ratios(&told, &floor),
                    spread(&news, &three[..2]),
                )?;
            }
        }
        Ok(())
    }

    /// How all ends came to everybody.
    fn write_observers(&self, to: &mut String) -> fmt::Result {
        writeln!(
            to,
            "\n{:<23}{:>5}{:>7}{:>28}   every end but the stop, milliseconds",
            "told to", "hogs", "times", "p50 / p99 / max"
        )?;
        for observer in Observer::EVERY {
            for (is_hogged, n_hogs) in self.phases() {
                let ends = Kind::ALL.iter().filter(|it| !it.is_survived() && **it != Kind::Stop);
                let mut all: Vec<Duration> = ends
                    .flat_map(|kind| self.ledger.latencies(observer, *kind, is_hogged))
                    .collect();
                all.sort_unstable();
                let (name, spread) = (observer.label(), spread(&all, &[50, 99, 100]));
                writeln!(to, "{name:<23}{n_hogs:>5}{:>7}{spread:>28}", all.len())?;
            }
        }
        Ok(())
    }

    fn write_programs(&self, to: &mut String) -> fmt::Result {
        writeln!(
            to,
            "\n{:<18}{:>5}{:>6}{:>30}{:>30}   milliseconds",
            "whole programs", "hogs", "times", "all gone, p50 / p99 / max", "all told"
        )?;
        for program in Program::ALL {
            for (is_hogged, n_hogs) in self.phases() {
                let gone = self.programs.gone_after(program, is_hogged);
                let fates = self.programs.of(program, is_hogged);
                let mut told: Vec<Duration> = fates.filter_map(|fate| fate.told_after).collect();
                told.sort_unstable();
                let three = [50, 99, 100];
                writeln!(
                    to,
                    "{:<18}{n_hogs:>5}{:>6}{:>30}{:>30}",
                    program.label(),
                    gone.len(),
                    spread(&gone, &three),
                    spread(&told, &three)
                )?;
            }
        }
        writeln!(to)
    }

    fn write_noticed(&self, to: &mut String) -> fmt::Result {
        let Noticed { suspect, unreachable, silent, dumping } = self.ledger.noticed();
        writeln!(
            to,
            "not ends, and not judged: {suspect} ranks were told as suspect, {unreachable} as unreachable, \
             {silent} as silent without a freeze, {dumping} as dumping core"
        )
    }
}

/// Says what is wrong with what an observer was told.
pub(crate) fn write_problems(
    to: &mut String,
    observer: Observer,
    verdict: &Verdict,
) -> fmt::Result {
    let name = observer.label();
    for (id, _) in verdict.lost.iter().take(SHOWN_MAX) {
        writeln!(to, "lost: the {name} was never told of fault {id}")?;
    }
    for (word, seen) in [("duplicate", &verdict.duplicate), ("spurious", &verdict.spurious)] {
        for seen in seen.iter().take(SHOWN_MAX) {
            let Observation { rank, incarnation, status, .. } = seen;
            writeln!(
                to,
                "{word}: the {name} was told of rank {rank}, life {incarnation}: {status}"
            )?;
        }
    }
    for (id, seen) in verdict.wrong_cause.iter().take(SHOWN_MAX) {
        writeln!(to, "wrong cause: the {name} was told of fault {id} as {}", seen.status)?;
    }
    Ok(())
}

const fn short(observer: Observer) -> &'static str {
    match observer {
        Observer::Owner => "owner",
        Observer::Terminal | Observer::All => "sub.",
    }
}

/// The most lines about problems of one sort.
const SHOWN_MAX: usize = 20;
