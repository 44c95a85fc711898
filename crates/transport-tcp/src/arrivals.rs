//! How many connections of each other machine are at the door.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections that are in their handshake, by the address of the machine that they come from: of IPv6
/// by its network, since whoever has one address there has 2^64 of them.
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
        let from = from.map(network);
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

/// What belongs to one owner: the first 64 bits of an address of IPv6 (RFC 4291, section 2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let bits = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(bits).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_machine() {
        let (arrivals, max) = (Arrivals::default(), 2);
        let admit = |text: &str| arrivals.admit(text.parse().ok(), max);
        let kept: Vec<_> = ["2001:db8::1", "2001:db8::2:1"].into_iter().map(admit).collect();
        assert_eq!(kept.iter().flatten().count(), 2);
        assert!(admit("2001:db8::ffff:ffff:ffff:ffff").is_none());
        assert!(admit("2001:db8:0:1::1").is_some(), "the next network");
    }

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
