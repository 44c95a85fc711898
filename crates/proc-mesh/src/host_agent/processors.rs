//! The processors that ranks are bound to.

use std::collections::BTreeMap;
use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};
use tracing::warn;

/// The processors that this thread may use, one of each physical core first, then the second ones of
/// each, and so on; in the order of their numbers otherwise. None, with a warning, if the system does not
/// say: on a machine of more than 1,024 processors it has more to say than is asked for.
pub(super) fn allowed() -> Vec<u32> {
    let set = match sched_getaffinity(None) {
        Ok(set) => set,
        Err(error) => {
            let most = CpuSet::MAX_CPU;
            warn!(%error, most, "ranks are not bound: the system does not say to which processors");
            return Vec::new();
        }
    };
    let allowed = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    in_order(allowed.filter_map(|cpu| u32::try_from(cpu).ok()), core_of)
}

/// What the threads of one physical core have in common: the first of them.
fn core_of(cpu: u32) -> u32 {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    // `0,4` or `0-1`; without it every processor is a core of its own.
    let siblings = fs::read_to_string(path).unwrap_or_default();
    let first = siblings.split([',', '-']).next().unwrap_or_default();
    first.trim().parse().unwrap_or(cpu)
}

fn in_order(cpus: impl Iterator<Item = u32>, core_of: impl Fn(u32) -> u32) -> Vec<u32> {
    let mut n_of_core = BTreeMap::<u32, usize>::new();
    let mut ordered: Vec<(usize, u32)> = cpus
        .map(|cpu| {
            let n_before = n_of_core.entry(core_of(cpu)).or_default();
            *n_before += 1;
            (*n_before, cpu)
        })
        .collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, cpu)| cpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_physical_core_is_used_once_before_any_is_used_twice() {
        assert_eq!(in_order(0..8, |cpu| cpu % 4), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(in_order(0..6, |cpu| cpu / 2), [0, 2, 4, 1, 3, 5]);
        assert_eq!(in_order([3, 5, 6, 7].into_iter(), |cpu| cpu / 4), [3, 5, 6, 7]);
        assert_eq!(in_order([4, 5, 1].into_iter(), |cpu| cpu % 4), [4, 5, 1]);
    }

    #[test]
    fn some_processor_is_allowed() {
        assert!(!allowed().is_empty());
    }
}
