//! How many connections of each other machine are at the door.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections that are in their handshake, by the address of the machine that they come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Arrival {
    all: Arrivals,
    /// `None` if it comes from this machine: those are not counted.
    from: Option<IpAddr>,
}

impl Arrivals {
    /// `None` if there are `max` of that address already.
    pub(crate) fn admit(&self, from: Option<IpAddr>, max: usize) -> Option<Arrival> {
        if let Some(address) = from {
            let mut all = self.all();
            let count = all.entry(address).or_default();
            if *count >= max {
                return None;
            }
            *count += 1;
        }
        Some(Arrival { all: self.clone(), from })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let Some(address) = self.from else { return };
        let mut all = self.all.all();
        if let Some(count) = all.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_other_machine_has_so_many_and_this_one_is_not_counted() {
        let (arrivals, max) = (Arrivals::default(), 2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().ok());
        let kept: Vec<_> = (0..3).map(|_| arrivals.admit(one, max)).collect();
        assert_eq!(kept.iter().flatten().count(), 2);
        assert!(arrivals.admit(other, max).is_some());
        assert!((0..9).all(|_| arrivals.admit(None, max).is_some()));
        drop(kept);
        assert!(arrivals.admit(one, max).is_some());
        assert!(arrivals.all().is_empty(), "nobody is remembered who has gone");
    }
}
