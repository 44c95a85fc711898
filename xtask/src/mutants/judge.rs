//! The judgement: every mutant is planted, and the test that it names is run; if that passes, all tests
//! of its package.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::child::Ended;
use super::mutant::Mutant;
use super::suite::{Ran, Suites};
use super::tree::{Synced, Tree};
use super::verdict::Verdict;
use super::{NAME_WIDTH, told};
use crate::cargo;
use crate::stop::Stop;

/// Plants and judges these mutants, one after the other. Returns whether all died as they should.
///
/// # Errors
///
/// [`Stop::Problems`] if nothing can be judged: a suite fails by itself, or has no test that a mutant
/// names, or something cannot be read, written or started.
pub(super) fn all(mutants: &[Mutant]) -> Result<bool, Stop> {
    let start = Instant::now();
    let home = cargo::root().join("target").join("mutants");
    fs::create_dir_all(&home).map_err(|error| told(&home, &error))?;
    let lock = home.join("lock");
    let lock = File::create(&lock).map_err(|error| told(&lock, &error))?;
    if lock.try_lock().is_err() {
        return Err(Stop::problem(format!("another run is at work in {}", home.display())));
    }
    let (tree, Synced { files, changed }) = Tree::synced(home.join("tree"))?;
    println!("{files} files in {}, {changed} of them brought up to date", tree.root().display());
    let suites = Suites::of(&tree, &home)?;
    let judge = Judge { times: healthy(&suites, mutants)?, suites, tree };
    let mut n_killed = 0;
    for (index, mutant) in mutants.iter().enumerate() {
        let begun = Instant::now();
        let verdict = judge.judge(mutant)?;
        n_killed += usize::from(verdict.is_killed());
        let (number, of, seconds) = (index + 1, mutants.len(), begun.elapsed().as_secs_f64());
        say(&format!("{number:>3}/{of} {seconds:>5.1} s  "));
        judge.tell(mutant, &verdict);
    }
    println!("\n{n_killed} of {} killed in {:.0} s", mutants.len(), start.elapsed().as_secs_f64());
    Ok(n_killed == mutants.len())
}

/// Runs the suite of every package without a mutant, and returns how long each took.
fn healthy<'a>(
    suites: &Suites,
    mutants: &'a [Mutant],
) -> Result<BTreeMap<&'a str, Duration>, Stop> {
    let mut by_package: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_package.entry(&mutant.package).or_default().push(mutant);
    }
    let mut times = BTreeMap::new();
    for (package, mutants) in by_package {
        let ran = healthy_one(suites, package)?;
        let lost = mutants.into_iter().filter(|mutant| {
            !ran.results.passed().any(|test| mutant.names(test) && mutant.runs(test))
        });
        let lost = lost.map(|Mutant { path, killed_by, .. }| {
            format!("{path}: no test that is run for it is called {killed_by}")
        });
        Stop::unless_empty(lost.collect())?;
        times.insert(package, ran.time);
    }
    Ok(times)
}

/// A suite that fails by itself can judge nobody.
fn healthy_one(suites: &Suites, package: &str) -> Result<Ran, Stop> {
    let log = format!("without-a-mutant-{package}");
    let see = suites.log(&log).display().to_string();
    say(&format!("without a mutant: {package} "));
    if !suites.build(package, &log)? {
        println!("does not compile");
        return Err(Stop::problem(format!("see {see}")));
    }
    let ran = suites.test((package, &[]), HEALTHY_TIME_MAX, &log)?;
    if matches!(ran.ended, Ended::Exited(status) if status.success()) {
        println!(
            "passes {} tests in {:.1} s",
            ran.results.passed().count(),
            ran.time.as_secs_f64()
        );
        return Ok(ran);
    }
    let failed: Vec<&str> = ran.results.failed().map(|(name, _)| name).collect();
    println!("fails: {}", failed.join(", "));
    Err(Stop::problem(format!("see {see}")))
}

/// What it takes to judge a mutant.
struct Judge<'a> {
    tree: Tree,
    suites: Suites,
    /// How long each suite takes without a mutant.
    times: BTreeMap<&'a str, Duration>,
}

impl Judge<'_> {
    fn judge(&self, mutant: &Mutant) -> Result<Verdict, Stop> {
        let planted = match mutant.planted(|path| self.tree.read(path)) {
            Ok(planted) => planted,
            Err(why) => return Ok(Verdict::DoesNotApply(why)),
        };
        let Mutant { name, package, filters, killed_by, .. } = mutant;
        self.tree.with(&planted, || {
            if !self.suites.build(package, name)? {
                return Ok(Verdict::DoesNotCompile);
            }
            let healthy = self.times.get(package.as_str()).copied().unwrap_or_default();
            let deadline = healthy * 10 + Duration::from_secs(90);
            // The named test alone takes no time; who else finds the bug matters only if it does not.
            let named = std::slice::from_ref(killed_by);
            let ran = self.suites.test((package, named), deadline, name)?;
            let verdict = Verdict::of(mutant, &ran);
            if verdict.is_killed() {
                return Ok(verdict);
            }
            let ran = self.suites.test((package, filters), deadline, name)?;
            Ok(Verdict::of(mutant, &ran))
        })
    }

    fn tell(&self, mutant: &Mutant, verdict: &Verdict) {
        let Mutant { name, what, killed_by, .. } = mutant;
        println!("{name:<NAME_WIDTH$} {verdict}");
        if verdict.is_killed() {
            return;
        }
        println!("    the bug: {what}");
        println!("    who should have found it: {killed_by}");
        if !matches!(verdict, Verdict::DoesNotApply(_)) {
            println!("    what was said: {}", self.suites.log(name).display());
        }
    }
}

/// Part of a line, shown at once.
fn say(text: &str) {
    print!("{text}");
    // Who does not listen is told by the next whole line.
    _ = io::stdout().flush().is_ok();
}

/// Far more than a suite takes.
const HEALTHY_TIME_MAX: Duration = Duration::from_secs(20 * 60);
