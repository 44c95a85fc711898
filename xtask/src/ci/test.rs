//! The step `test`: every test but those in docs.

use crate::cargo::Cargo;
use crate::stop::Stop;

/// Runs the tests with nextest where it is installed, which also runs test binaries side by side,
/// and with cargo's own runner elsewhere. Both run the same tests.
///
/// # Errors
///
/// - [`Stop::Command`] if a test fails.
pub(super) fn run() -> Result<(), Stop> {
    if Cargo::new("nextest --version").works() {
        Cargo::new("nextest run --workspace --all-features").run()
    } else {
        println!("cargo-nextest is not installed: running the same tests with cargo test");
        Cargo::new("test --workspace --all-features --tests").run()
    }
}
