//! `room`: whether the machine and the user may have as many processes as a mesh has ranks.

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::{Resource, geteuid, getrlimit};

/// Something that bounds how many processes there can be.
struct Limit {
    most: u64,
    /// Where it is set.
    place: &'static str,
}

/// Refuses more ranks than there can be processes at once, before any is started.
///
/// # Errors
///
/// Names the limit. There may be room for fewer than that, which shows when they are started.
pub(super) fn check(n_ranks: usize) -> Result<()> {
    fit(n_ranks, limits())
}

fn fit(n_ranks: usize, limits: impl IntoIterator<Item = Limit>) -> Result<()> {
    for Limit { most, place } in limits {
        let is_room = u64::try_from(n_ranks).is_ok_and(|n_ranks| n_ranks <= most);
        ensure!(
            is_room,
            "{n_ranks} ranks are more processes than there can be: {place} allows {most}"
        );
    }
    Ok(())
}

/// The limits that can be read here.
fn limits() -> Vec<Limit> {
    let ids = |place| Some(Limit { most: number_in(place)?.saturating_sub(1), place });
    let threads = |place| Some(Limit { most: number_in(place)?, place });
    let system = [ids(PID_MAX), threads(THREADS_MAX)];
    let mut limits: Vec<_> = system.into_iter().flatten().collect();
    // The kernel lets root have any number.
    if !geteuid().is_root() {
        let most = getrlimit(Resource::Nproc).current;
        limits.extend(most.map(|most| Limit { most, place: "this user (ulimit -u)" }));
    }
    limits
}

fn number_in(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Ids of processes are above 0 and below this.
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// Each process has at least one thread.
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_ranks_than_there_can_be_processes_are_refused() {
        let limits = || [(300, "the first"), (200, "the second")];
        let limits = || limits().map(|(most, place)| Limit { most, place });
        assert!(fit(200, limits()).is_ok());
        let error = fit(201, limits()).expect_err("there is no room").to_string();
        let expected = "201 ranks are more processes than there can be: the second allows 200";
        assert_eq!(error, expected);
    }

    /// A limit that cannot be read would allow anything.
    #[test]
    fn the_limits_of_the_system_are_known() {
        assert!(limits().len() >= 2, "{}", limits().len());
        assert!(check(1).is_ok());
        assert!(check(usize::MAX).is_err());
    }
}
