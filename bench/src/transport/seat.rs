//! Each side of ours and of the floor has a processor of its own, as far as there are two: where the system puts both
//! on one, for a while, a ping-pong takes half the time, and figures of two runs cannot be compared.

use std::io;

use meshwarden_bench_player::{Failed, Other};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which of both sides a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is told what to do.
    Plays,
    /// It is at the other end.
    Serves,
}

/// Starts the other end, and takes the seat of whoever plays: the other end would inherit it.
pub(crate) fn opposite(serve: &[&str], input: &[u8]) -> Result<(Other, String), Failed> {
    let other = Other::start(serve, input)?;
    take(Side::Plays)?;
    Ok(other)
}

/// Holds this process to the first processor that it may use, or the last one. Before it has more threads.
pub(crate) fn take(side: Side) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut processors = (0..CpuSet::MAX_CPU).filter(|nth| allowed.is_set(*nth));
    let seat = match side {
        Side::Plays => processors.next(),
        Side::Serves => processors.next_back(),
    };
    let mut seats = CpuSet::new();
    seats.set(seat.ok_or(io::ErrorKind::NotFound)?);
    Ok(sched_setaffinity(None, &seats)?)
}
