//! The verdict on what was done to actors.

use std::fmt::{self, Write};
use std::time::Duration;

use super::THRESHOLD;
use super::drive::Books;
use super::post::{Judged, Sent};
use super::promises;
use crate::kind::Kind;
use crate::ledger::{IsHogged, Ledger, Observer};
use crate::options::Options;
use crate::report::{Machine, Tally, bounded, spread, write_problems, write_tallies};

/// What a run was, and what came of it.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) machine: Machine,
    pub(crate) parts: Vec<Part>,
    /// Whether the guard said that nothing is left over.
    pub(crate) is_closed: bool,
    /// The processes that are left over.
    pub(crate) left_over: Vec<u32>,
}

/// What was done to one mesh.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// How many hogs there were in its second half.
    pub(crate) n_hogs: usize,
    pub(crate) books: Books,
    pub(crate) judged: Judged,
    /// Why it ended early, if it did.
    pub(crate) ended_early: Option<String>,
}

impl Report<'_> {
    /// Whether every fault was told once to everybody, in time, as what it was, nothing else was, every number arrived
    /// where it was to, and no process is left over.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_closed && self.left_over.is_empty() && self.parts.iter().all(Part::is_clean)
    }

    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text);
        debug_assert!(written.is_ok(), "a string takes everything");
        text
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        let Options { seed, extent, .. } = self.options;
        writeln!(to, "seed {seed}, meshes {extent}\n{}", self.machine)?;
        for part in &self.parts {
            part.write(to)?;
        }
        if !self.is_closed {
            writeln!(to, "a guard did not say that nothing is left over")?;
        }
        if !self.left_over.is_empty() {
            writeln!(to, "the processes {:?} are left over", self.left_over)?;
        }
        writeln!(to, "\nleft over: {}", self.left_over.len())?;
        writeln!(to, "{}", if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}

impl Part {
    fn is_clean(&self) -> bool {
        let Books { actors, homes, .. } = &self.books;
        self.ended_early.is_none()
            && self.judged.is_clean()
            && actors.oddities().is_empty()
            && homes.oddities().is_empty()
            && self.tallies().all(|(_, tally)| tally.is_clean())
            && promises::broken(actors).is_empty()
    }

    fn ledgers(&self) -> [(&'static str, &Ledger); 2] {
        [("actors", &self.books.actors), ("processes", &self.books.homes)]
    }

    fn tallies(&self) -> impl Iterator<Item = (String, Tally)> {
        self.ledgers().into_iter().flat_map(|(of, ledger)| {
            Observer::EVERY.into_iter().filter(|_| !ledger.faults().is_empty()).map(move |it| {
                let n_survived = if it == Observer::All { ledger.n_survived() } else { 0 };
                let tally = Tally::new(&ledger.verdict(it), ledger.n_for(it), n_survived);
                (format!("{of}, {}", it.label()), tally)
            })
        })
    }

    /// The columns of with and without hogs.
    fn phases(&self) -> impl Iterator<Item = (IsHogged, usize)> + Clone {
        let hogs = (self.n_hogs > 0).then_some((true, self.n_hogs));
        [(false, 0)].into_iter().chain(hogs)
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        writeln!(to, "\n== {}: {} rounds", self.name, self.books.post.rounds.len())?;
        write_tallies(to, self.tallies())?;
        self.write_latencies(to)?;
        self.write_post(to)?;
        for (of, ledger) in self.ledgers() {
            for observer in Observer::EVERY {
                write_problems(to, observer, &ledger.verdict(observer))?;
            }
            if let Some(n) = ledger.n_lagged() {
                writeln!(
                    to,
                    "subscribers of {of} that were slow, and told anew how all is: {n} times"
                )?;
            }
            for oddity in ledger.oddities().iter().take(SHOWN_MAX) {
                writeln!(to, "odd, of {of}: {oddity}")?;
            }
        }
        for late in promises::broken(&self.books.actors) {
            writeln!(to, "late, {late}")?;
        }
        for (id, kind) in promises::not_judged(&self.books.actors) {
            writeln!(to, "NOT JUDGED, since it was done too seldom: {} ({id})", kind.label())?;
        }
        if let Some(why) = &self.ended_early {
            writeln!(to, "ended early: {why}")?;
        }
        Ok(())
    }

    fn write_latencies(&self, to: &mut String) -> fmt::Result {
        writeln!(
            to,
            "\nmilliseconds until it was told, p50 / p99 / max: from just before it was done, and what was cast before was \
             still waiting;\nto subscribers also from when the actor ended itself, or its threshold of {} ms was over\n\n\
             {:<18}{:>5}{:>6}{:>28}{:>28}{:>28}",
            THRESHOLD.as_millis(),
            "fault",
            "hogs",
            "times",
            "owner",
            "subscriber",
            "from its end"
        )?;
        let ledger = &self.books.actors;
        for kind in Kind::OF_ACTORS {
            for (is_hogged, n_hogs) in self.phases() {
                let n = ledger.n_of(kind, is_hogged);
                if n == 0 {
                    continue;
                }
                let told = |observer| ledger.latencies(observer, kind, is_hogged);
                let all = told(Observer::All);
                let news = match kind {
                    Kind::Wait | Kind::Block => {
                        all.iter().map(|it| it.saturating_sub(THRESHOLD)).collect()
                    }
                    _ => ledger.latencies_of_news(Observer::All, kind, is_hogged),
                };
                let three = [50, 99, 100];
                let [owner, all, news] =
                    [told(Observer::Owner), all, news].map(|it| spread(&it, &three));
                let label = kind.label();
                writeln!(to, "{label:<18}{n_hogs:>5}{n:>6}{owner:>28}{all:>28}{news:>28}")?;
            }
        }
        Ok(())
    }

    fn write_post(&self, to: &mut String) -> fmt::Result {
        let Judged { n_casts, n_calls, n_legs, arrived, returned, unsent, .. } = self.judged;
        let Judged { failures, went_down, unsure, .. } = self.judged;
        let took = |is_call: bool| {
            let of_kind = |sent: &&Sent| sent.is_call == is_call;
            let sent = self.books.post.sent.iter().filter(of_kind);
            let mut all: Vec<Duration> = sent.map(|sent| sent.took).collect();
            all.sort_unstable();
            spread(&all, &[50, 99, 100])
        };
        writeln!(
            to,
            "\n{n_casts} casts and {n_calls} calls meanwhile, {n_legs} legs: {arrived} arrived, {returned} came back, \
             {unsent} were not sent to who had ended, {failures} were answered with an end,\n{went_down} went down with \
             their process, {unsure} had arrived there and came back all the same\n\
             to be cast took {} ms, until all ranks had answered {} ms",
            took(false),
            took(true)
        )?;
        let Judged { lost, duplicate, disordered, unanswered, .. } = &self.judged;
        let found = [
            ("lost", lost),
            ("twice", duplicate),
            ("out of order", disordered),
            ("not answered", unanswered),
        ];
        let counts = found.map(|(word, what)| format!("{word} {}", bounded(what.len(), n_legs)));
        writeln!(to, "{}", counts.join(", "))?;
        for (word, what) in found {
            for what in what.iter().take(SHOWN_MAX) {
                writeln!(to, "{word}: {what}")?;
            }
        }
        Ok(())
    }
}

/// The most lines about problems of one sort.
const SHOWN_MAX: usize = 20;
