//! `Step`: one check, and the list of all of them.

use super::{alone, bench, consumers, doc, edges, examples, fuzz, mutants, sim, test, tidy};

use crate::cargo::Cargo;
use crate::stop::Stop;

/// One check.
pub(super) struct Step {
    /// What it is called on the command line.
    pub(super) name: &'static str,
    /// What holds when it passes.
    pub(super) about: &'static str,
    work: Work,
}

/// What a step does.
enum Work {
    /// Runs one command of cargo.
    Cargo(&'static str),
    /// Runs one command of a part of cargo that may not be installed.
    Tool { probe: &'static str, line: &'static str, missing: &'static str },
    /// Does something of our own.
    Own(fn() -> Result<(), Stop>),
}

impl Step {
    /// Does the work.
    ///
    /// # Errors
    ///
    /// - [`Stop::Skipped`] if the tool that it needs is missing.
    /// - [`Stop::Command`] or [`Stop::Problems`] if the check does not hold.
    pub(super) fn run(&self) -> Result<(), Stop> {
        match &self.work {
            Work::Cargo(line) => Cargo::new(line).run(),
            Work::Tool { probe, line, missing } => {
                if !Cargo::new(probe).works() {
                    return Err(Stop::Skipped((*missing).to_owned()));
                }
                Cargo::new(line).run()
            }
            Work::Own(run) => run(),
        }
    }
}

/// Every check, cheapest first.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the code is formatted",
        work: Work::Tool {
            probe: "fmt --version",
            line: "fmt --all --check",
            missing: "rustfmt is not installed: rustup component add rustfmt",
        },
    },
    Step {
        name: "tidy",
        about: "files are laid out as CONTRIBUTING.md says",
        work: Work::Own(tidy::run),
    },
    Step {
        name: "edges",
        about: "who may depend on whom and on what, licences included",
        work: Work::Own(edges::run),
    },
    Step {
        name: "mutants",
        about: "every planted bug still fits the code",
        work: Work::Own(mutants::run),
    },
    Step {
        name: "clippy",
        about: "no warning of the compiler or of clippy",
        work: Work::Tool {
            probe: "clippy --version",
            line: "clippy --workspace --all-targets --all-features -- -D warnings",
            missing: "clippy is not installed: rustup component add clippy",
        },
    },
    Step {
        name: "alone",
        about: "each crate builds without the others' features",
        work: Work::Own(alone::run),
    },
    Step {
        name: "consumers",
        about: "a part can be taken alone, from outside the workspace",
        work: Work::Own(consumers::run),
    },
    Step {
        name: "bench",
        about: "the benches build and run; their figures are not judged",
        work: Work::Own(bench::run),
    },
    Step {
        name: "fuzz",
        about: "the fuzz targets compile; they are not run",
        work: Work::Own(fuzz::run),
    },
    Step {
        name: "sim",
        about: "whole meshes keep their word on a bad network, each seed the same way again",
        work: Work::Own(sim::run),
    },
    Step { name: "test", about: "every test but those in docs", work: Work::Own(test::run) },
    Step {
        name: "doctest",
        about: "every example in docs",
        work: Work::Cargo("test --workspace --all-features --doc"),
    },
    Step { name: "doc", about: "the docs build, every link leads", work: Work::Own(doc::run) },
    Step {
        name: "examples",
        about: "every example program builds, and does what it tells",
        work: Work::Own(examples::run),
    },
    Step {
        name: "demo",
        about: "the demonstration does what it promises",
        work: Work::Cargo("run -p meshwarden-cli -- demo --json"),
    },
    Step {
        name: "chaos",
        about: "real faults are each told exactly once",
        work: Work::Cargo("run -p meshwarden --example chaos --all-features -- --faults 200"),
    },
    Step {
        name: "actors",
        about: "real faults of actors are each told exactly once, and what is cast to them arrives",
        work: Work::Cargo(
            "run -p meshwarden --example chaos --all-features -- --actors --faults 200",
        ),
    },
    Step {
        name: "quiet",
        about: "nobody is told of an end that was none, among 16 hogs",
        work: Work::Cargo(
            "run -p meshwarden --example chaos --all-features -- --quiet-ranks 200 --hogs 16 --minutes 5",
        ),
    },
    Step {
        name: "deny",
        about: "licences, bans and sources, as deny.toml says",
        work: Work::Tool {
            probe: "deny --version",
            line: "deny --offline check licenses bans sources",
            missing: "cargo-deny is not installed (edges holds its licences and bans)",
        },
    },
];
