//! What is done to the network: links cut, sites paused and killed.

use std::time::Duration;

use mesh_core::Lost;

use super::{Net, Pause};
use crate::fault_net::end::{EndId, SiteId, TransportId};
use crate::fault_net::event::What;
use crate::fault_net::faults::Faults;
use crate::fault_net::link::Cut;

impl<I: Clone> Net<I> {
    /// Nothing that is sent gets through, this way, for so long or for good.
    pub(crate) fn cut(&mut self, from: &str, to: &str, lasting: Option<Duration>) {
        let (from, to) = (self.site(from), self.site(to));
        let until = lasting.map(|lasting| self.now.saturating_add(lasting));
        self.link(from, to).set_cut(until.map_or(Cut::ForGood, Cut::Until));
        let (from, to) = (self.name(from), self.name(to));
        self.record(What::Cut { from, to, lasting });
    }

    /// What is sent gets through again.
    pub(crate) fn heal(&mut self, from: &str, to: &str) {
        let (from, to) = (self.site(from), self.site(to));
        self.link(from, to).set_cut(Cut::No);
        let (from, to) = (self.name(from), self.name(to));
        self.record(What::Healed { from, to });
    }

    /// From now on one way has these faults.
    pub(crate) fn set_faults(&mut self, from: &str, to: &str, faults: Faults) {
        let (from, to) = (self.site(from), self.site(to));
        self.link(from, to).set_faults(faults);
    }

    /// A site takes and sends nothing until it is resumed.
    pub(crate) fn pause(&mut self, site: &str) {
        let site = self.site(site);
        if self.sites[site.0].pause.is_some() {
            return;
        }
        let (arriving, leaving) = (Vec::new(), Vec::new());
        self.sites[site.0].pause = Some(Pause { since: self.now, arriving, leaving });
        self.record(What::Paused(self.name(site)));
        self.pump_all(site);
    }

    /// A site goes on, late, with what has come and what it had to say.
    pub(crate) fn resume(&mut self, site: &str) {
        let site = self.site(site);
        let Some(Pause { since, arriving, leaving }) = self.sites[site.0].pause.take() else {
            return;
        };
        self.record(What::Resumed(self.name(site)));
        let gap = self.now.saturating_sub(since);
        self.ends.values_mut().filter(|end| end.here == site).for_each(|end| end.forgive(gap));
        leaving.into_iter().for_each(|flying| self.set_out(flying));
        // What has come is looked at before anybody is judged.
        arriving.into_iter().for_each(|flying| self.arrive(flying));
        self.pump_all(site);
    }

    /// All that runs at a site dies, and its sessions and listeners with it.
    pub(crate) fn crash(&mut self, site: &str) {
        let site = self.site(site);
        // What had come, and what it had still to say, is gone too.
        self.sites[site.0].pause = None;
        self.record(What::Crashed(self.name(site)));
        let here = self.transports.iter().filter(|(_, at)| **at == site);
        let dead: Vec<TransportId> = here.map(|(id, _)| *id).collect();
        dead.into_iter().for_each(|transport| self.end_transport(transport, Lost::Gone));
    }

    fn pump_all(&mut self, site: SiteId) {
        let ends = self.ends.iter().filter(|(_, end)| end.here == site);
        let ids: Vec<EndId> = ends.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.pump(id));
    }
}
