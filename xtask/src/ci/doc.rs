//! The step `doc`: the docs build without a warning, private items of the programs included.

use crate::cargo::Cargo;
use crate::stop::Stop;

/// Builds the docs of the program first and of the libraries last.
///
/// The program and the facade are both called `meshwarden`: built in one go cargo warns that they
/// write to one place, and whoever is last stays readable.
///
/// # Errors
///
/// - [`Stop::Command`] if a doc is refused.
pub(super) fn run() -> Result<(), Stop> {
    for line in [
        "doc -p meshwarden-cli --bins --no-deps --all-features --document-private-items",
        "doc --workspace --exclude meshwarden-cli --no-deps --all-features",
    ] {
        Cargo::new(line).env("RUSTDOCFLAGS", "-D warnings").run()?;
    }
    Ok(())
}
