//! The bench `shape`: rank arithmetic beside floors, `ndarray` and `ndslice`; and bytes.

mod memory;
mod mesh;
mod peer;
mod places;
mod row;
mod values;
mod views;
mod walks;

use self::row::Row;
use crate::measure::{self, Effort};
use crate::report::{Record, Report};

pub(crate) use self::memory::count as bytes;

/// Times every row, and judges it.
pub(crate) fn times(effort: Effort, bytes: Vec<Vec<Record>>, report: &mut Report) {
    if !peer::IS_HERE {
        report.skipped(peer::NAME, "built without it; `cargo xtask bench shape` builds it in");
    }
    memory::show(bytes, report);
    for rows in [places::rows(), views::rows(), walks::rows(effort), values::rows()] {
        let (contests, judges): (Vec<_>, Vec<_>) = rows.into_iter().map(Row::into_parts).unzip();
        let found = measure::times(contests, effort);
        row::judge(&judges, &found, report);
        found.into_iter().for_each(|records| report.add(records));
    }
}
