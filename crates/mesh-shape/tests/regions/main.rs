//! regions: views behave as NumPy's, checked against copies of every rank and against ndarray.

mod array;
mod huge;
#[cfg(feature = "ndarray")]
mod oracle;
mod program;
mod python;
mod refusals;
mod sets;
mod texts;
mod views;

use proptest::prelude::ProptestConfig;

fn cases(n: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(n) }
}
