//! The step `test`: every test but those in docs.

use crate::cargo::Cargo;
use crate::stop::Stop;

/// Runs the tests with nextest where it is installed, which also runs test binaries side by side,
/// and with cargo's own runner elsewhere. Both run the same tests.
///
/// # Errors
///
/// - [`Stop::Command`] if a test fails.
/// - [`Stop::Skipped`] if some cannot be run on this machine. All others have passed.
pub(super) fn run() -> Result<(), Stop> {
    if Cargo::new("nextest --version").works() {
        Cargo::new("nextest run --workspace --all-features").run()?;
    } else {
        println!("cargo-nextest is not installed: running the same tests with cargo test");
        Cargo::new("test --workspace --all-features --tests").run()?;
    }
    // Whoever cannot be run here says why, where nobody sees it who runs the others.
    let listing = "test --quiet --workspace --all-features --tests -- --list --ignored";
    match skipped(&Cargo::new(listing).read()?) {
        None => Ok(()),
        Some(why) => Err(Stop::Skipped(why)),
    }
}

/// What is to be said if tests are in this listing of those that are ignored.
fn skipped(listing: &str) -> Option<String> {
    let names: Vec<&str> = listing.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let is_one = names.len() == 1;
    let noun = if is_one { "1 test" } else { &format!("{} tests", names.len()) };
    let all = names.join(", ");
    let why = format!("{noun} cannot be run on this machine (all others passed): {all}");
    (!names.is_empty()).then_some(why)
}

#[cfg(test)]
mod tests {
    use super::skipped;

    #[test]
    fn tests_that_cannot_be_run_are_named() {
        let nothing = "\n0 tests, 0 benchmarks\n0 tests, 0 benchmarks\n";
        assert_eq!(skipped(nothing), None);
        let two = "v4::a_hole: test\n\n1 test, 0 benchmarks\ncores::a_core: test\n";
        let why = "2 tests cannot be run on this machine (all others passed): \
                   v4::a_hole, cores::a_core";
        assert_eq!(skipped(two).as_deref(), Some(why));
        let one = "1 test cannot be run on this machine (all others passed): v4::a_hole";
        assert_eq!(skipped("v4::a_hole: test\n").as_deref(), Some(one));
    }
}
