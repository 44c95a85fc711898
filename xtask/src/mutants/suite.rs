//! `Suites`: builds and runs the tests of one package in the copy of the workspace.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::child::{self, Ended};
use super::results::Results;
use super::told;
use super::tree::Tree;
use crate::cargo::Cargo;
use crate::stop::Stop;

/// Builds and runs tests in the copy of the workspace.
#[derive(Clone, Debug)]
pub(super) struct Suites {
    /// The root of the copy.
    tree: PathBuf,
    /// Where everything else is: what is built, and what was said.
    home: PathBuf,
    has_nextest: bool,
}

/// What came of running tests.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) results: Results,
    pub(super) ended: Ended,
    pub(super) time: Duration,
}

impl Suites {
    /// The suites of `tree`, with nextest where it is installed and with cargo's own runner elsewhere.
    ///
    /// # Errors
    ///
    /// [`Stop::Problems`] if a file cannot be written.
    pub(super) fn of(tree: &Tree, home: &Path) -> Result<Self, Stop> {
        let suites = Self {
            tree: tree.root().to_owned(),
            home: home.to_owned(),
            has_nextest: Cargo::new("nextest --version").works(),
        };
        let config = suites.nextest_config();
        let log = home.join("log");
        fs::write(&config, NEXTEST).map_err(|error| told(&config, &error))?;
        fs::create_dir_all(&log).map_err(|error| told(&log, &error))?;
        Ok(suites)
    }

    /// Builds the tests of a package. Returns whether they compile.
    ///
    /// # Errors
    ///
    /// [`Stop::Problems`] if the compiler cannot be started, or has no end.
    pub(super) fn build(&self, package: &str, log: &str) -> Result<bool, Stop> {
        let mut command = if self.has_nextest {
            self.cargo(&["nextest", "run", "--no-run", "--all-features", "-p", package])
        } else {
            self.cargo(&["test", "--no-run", "--tests", "--all-features", "-p", package])
        };
        let log = self.log(log);
        match child::run(&mut command, &log, BUILD_TIME_MAX)? {
            Ended::Exited(status) => Ok(status.success()),
            Ended::Overdue => {
                let minutes = BUILD_TIME_MAX.as_secs() / 60;
                Err(Stop::problem(format!("no build in {minutes} minutes: see {}", log.display())))
            }
        }
    }

    /// Runs the tests of a package whose names contain one of `filters`; all if there are none.
    ///
    /// # Errors
    ///
    /// [`Stop::Problems`] if they cannot be started, or the log cannot be read.
    pub(super) fn test(
        &self,
        (package, filters): (&str, &[String]),
        deadline: Duration,
        log: &str,
    ) -> Result<Ran, Stop> {
        let mut command = if self.has_nextest {
            let mut command = self.cargo(&["nextest", "run", "--config-file"]);
            command.arg(self.nextest_config()).args(QUIETLY.split(' '));
            command
        } else {
            self.cargo(&["test", "--tests", "--no-fail-fast"])
        };
        command.args(["--all-features", "-p", package, "--"]).args(filters);
        let (log, start) = (self.log(log), Instant::now());
        let ended = child::run(&mut command, &log, deadline)?;
        let time = start.elapsed();
        let text = fs::read(&log).map_err(|error| told(&log, &error))?;
        let text = String::from_utf8_lossy(&text);
        let read = if self.has_nextest { Results::of_nextest } else { Results::of_libtest };
        Ok(Ran { results: read(&text), ended, time })
    }

    /// Where what is said under that name is kept.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.home.join("log").join(format!("{name}.txt"))
    }

    fn nextest_config(&self) -> PathBuf {
        self.home.join("nextest.toml")
    }

    fn cargo(&self, args: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(args).current_dir(&self.tree).envs(ENV.iter().copied());
        command.env("CARGO_TARGET_DIR", self.home.join("target"));
        command
    }
}

/// Far more than a build takes.
const BUILD_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// One failure does not hide the next, and a test that hangs is ended by itself, so that it has a name;
/// after longer than one takes on a machine that does much else.
const NEXTEST: &str = "[profile.default]\n\
    fail-fast = false\n\
    slow-timeout = { period = \"30s\", terminate-after = 4 }\n";

/// One line for each test; what a test has written comes after the summary.
const QUIETLY: &str = "--color never --status-level pass --final-status-level none \
                       --failure-output final --success-output never";

/// To build quickly, and to be told of a failure at once: the smallest history that fails, and where
/// it is kept, is of no interest here.
const ENV: &[(&str, &str)] = &[
    ("CARGO_PROFILE_DEV_DEBUG", "false"),
    ("CARGO_TERM_COLOR", "never"),
    ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true"),
    ("PROPTEST_MAX_SHRINK_ITERS", "0"),
    ("RUST_BACKTRACE", "0"),
];
