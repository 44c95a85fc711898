//! `follower`: keeps what is known of a mesh up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mesh_core::{
    Incarnation, Interest, MeshEvent, MeshId, News, PortRef, Refusal, Status, Subscribe, Trouble,
    WhyUndelivered,
};
use mesh_runtime::{CallError, Port, Proc};
use mesh_shape::ValueMesh;
use supervise::{Clock, MeshEvents};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Homes, Known, Seen, Subscribed, Table};
use crate::members::members;

/// How many events of a mesh may wait here; a slower reader gets a snapshot (N7).
const EVENTS: usize = 256;

/// How many events are heard before what they say is told, however many more have come (R1).
const HEARD_AT_ONCE: usize = 64;

/// When it is tried again to reach the controller of a mesh.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the first event may be on its way when a subscription has been taken: whoever was suspended, or cut off, is
/// met again by then.
pub(crate) const BEGUN_WITHIN: Duration = Duration::from_secs(5);

/// How long a process that was given a ref may have no way to the controller, before it is told that it has none: who gives
/// it that may be about to open a session.
const MET_WITHIN: Duration = Duration::from_secs(1);

/// The same for one that refuses, once it has for a while: each time it is waited twice as long, up to this.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// Keeps a [`Table`] up to date.
pub(super) struct Follower {
    /// The control plane of the process.
    pub(super) proc: Proc,
    pub(super) mesh: MeshId,
    pub(super) size: usize,
    pub(super) homes: Homes,
    pub(super) tell: watch::Sender<Table>,
}

impl Follower {
    pub(super) async fn run(self) {
        let (mut again, mut apart, mut unanswered) = (AGAIN, None, None);
        loop {
            let followed = self.follow().await;
            if !matches!(followed, Followed::NoWay) {
                apart = None;
                self.meets();
            }
            if !matches!(followed, Followed::Unanswered) {
                unanswered = None;
            }
            match followed {
                Followed::ToTheEnd => return,
                Followed::IsOver => {
                    self.tell.send_modify(|table| table.is_over = true);
                    return;
                }
                Followed::Refused(why) => {
                    self.tell.send_modify(|table| {
                        // It speaks.
                        (table.silence, table.is_mute) = (None, false);
                        table.refusal = Some(why);
                    });
                    again = (again * 2).min(REFUSED_AGAIN);
                }
                Followed::Lost => again = AGAIN,
                Followed::Unanswered => {
                    // The first time may be for this process, which was suspended meanwhile, and does not count.
                    self.unanswered(*unanswered.get_or_insert_with(Instant::now));
                    again = AGAIN;
                }
                Followed::NoWay => {
                    self.no_way(*apart.get_or_insert_with(Instant::now));
                    again = AGAIN;
                }
            }
            sleep(again).await;
        }
    }

    /// Follows the mesh for as long as its controller is heard.
    async fn follow(&self) -> Followed {
        let port = self.proc.open_port::<MeshEvent>(EVENTS);
        let subscribe =
            Subscribe { to: port.port(), interest: Interest::All, region: None, again: false };
        let door = PortRef::<Subscribe>::of(self.homes.controller.actor());
        let (proc, controller) = (self.proc.clone(), self.homes.controller);
        let mut subscribed = Subscribed::new(proc, controller, port.port());
        match door.call(&self.proc, subscribe).await {
            Ok(Ok(())) => (),
            // It has ended for good: nobody is ever called the same again.
            Err(CallError::Undelivered { why: WhyUndelivered::NoActor, .. }) => {
                subscribed.is_over = true;
                return Followed::IsOver;
            }
            Err(CallError::Undelivered { why: WhyUndelivered::NoRoute, .. }) => {
                return Followed::NoWay;
            }
            Ok(Err(why)) => return Followed::Refused(why),
            Err(_) => return Followed::Unanswered,
        }
        let events = MeshEvents::of_port(port, Clock::start());
        let Some(mut events) = events.begun(BEGUN_WITHIN).await else {
            return Followed::Unanswered;
        };
        let mut known = self.known();
        let mut asked = FuturesUnordered::new();
        let mut untold = Untold::default();
        loop {
            tokio::select! {
                biased;
                Some(found) = asked.next(), if !asked.is_empty() => {
                    match &found {
                        Ok(found) => {
                            known.learn(found, (self.mesh, self.homes.keeper.actor()));
                            untold.has_news = true;
                        }
                        // It is asked again with the next that is heard of the mesh.
                        Err(error) => {
                            tracing::debug!(%error, mesh = %self.mesh, "nobody says where ranks are");
                        }
                    }
                    untold.has_answer = true;
                }
                event = events.next(), if untold.n_events < HEARD_AT_ONCE => {
                    let Some(followed) = self.hear(event, &mut known, &mut untold) else {
                        continue;
                    };
                    subscribed.is_over = matches!(followed, Followed::ToTheEnd | Followed::IsOver);
                    let has_told = untold.has_answer || self.has_told();
                    if subscribed.is_over || untold.is_some() && has_told {
                        self.publish(&known, &untold);
                    }
                    return followed;
                }
                // Not before all is heard that has come, or much of it: to tell costs what the mesh is, and so it is
                // not done for each of many ranks that end at once.
                () = std::future::ready(()), if untold.is_some() => {
                    // An answer that is on its way already comes before what it does not know: both come by one
                    // session.
                    if untold.n_events > 0 && known.is_incomplete() && asked.is_empty() {
                        asked.push(members(&self.proc, self.homes.keeper));
                    }
                    // At first it is not told that there is nothing, before it was asked.
                    if untold.has_answer || asked.is_empty() || self.has_told() {
                        self.publish(&known, &untold);
                    }
                    untold = Untold::default();
                }
            }
        }
    }

    /// Hears an event, or that there are none any more; says how following has ended, if it has.
    fn hear(
        &self,
        event: Option<MeshEvent>,
        known: &mut Known,
        untold: &mut Untold,
    ) -> Option<Followed> {
        let Some(event) = event else { return Some(Followed::Lost) };
        let is_silent = event.news == News::Trouble(Trouble::ControllerLost);
        self.heard(is_silent.then(|| event.clone()));
        if is_silent {
            return Some(Followed::Lost);
        }
        untold.has_news |= known.hear(&event.news);
        untold.n_events += 1;
        if event.news == News::Trouble(Trouble::Abandoned) {
            return Some(Followed::IsOver);
        }
        (event.news == News::Closed).then_some(Followed::ToTheEnd)
    }

    fn has_told(&self) -> bool {
        self.tell.borrow().known.is_some()
    }

    /// What was known last.
    fn known(&self) -> Known {
        self.tell.borrow().known.as_deref().cloned().unwrap_or_else(|| {
            let (incarnation, status) = (Incarnation::FIRST, Status::Initializing);
            let unknown = Seen { incarnation, status, member: None, before: Arc::default() };
            let ranks = ValueMesh::uniform(self.size, unknown);
            let homes = ValueMesh::uniform(self.size, None);
            Known { procs: None, ranks, homes, table: None }
        })
    }

    /// Tells what is known: of those that run only where they are known to be, so that whoever sees one can
    /// reach it. An end is told at once, whatever else is still asked (R1). What was told and still holds is not told again:
    /// whoever hears of a change looks at all ranks that it has asked, and a heartbeat is none (H8).
    fn publish(&self, known: &Known, untold: &Untold) {
        if !untold.has_news && self.tell.borrow().holds() {
            return;
        }
        #[cfg(test)]
        tests::count();
        self.tell.send_modify(|table| {
            (table.known, table.is_over) = (Some(Arc::new(known.reachable())), false);
            (table.refusal, table.is_away) = (None, false);
        });
    }

    /// Tells that there is no way to the controller, where there has been none since then: who waits for the first word of
    /// the mesh need not, unless there may be one in a moment. Where something is known nobody does.
    fn no_way(&self, since: Instant) {
        let is_away = since.elapsed() >= MET_WITHIN;
        self.tell.send_if_modified(|table| {
            // That there is no way says more.
            (table.is_away, table.is_mute) = (is_away, table.is_mute && !is_away);
            is_away && table.known.is_none()
        });
    }

    /// There is a way to the controller, or was a moment ago. Nobody waits for that word.
    fn meets(&self) {
        self.tell.send_if_modified(|table| {
            table.is_away = false;
            false
        });
    }

    /// Tells that the controller does not answer, if it has not since then: it has stated no period that could be waited
    /// for, and so it has as long as calls have (N10).
    fn unanswered(&self, since: Instant) {
        let is_mute = since.elapsed() >= self.proc.call_within();
        self.tell.send_if_modified(|table| is_mute && !std::mem::replace(&mut table.is_mute, true));
    }

    /// Tells whether the controller is silent, if that has changed: whatever it says ends its silence (N10).
    fn heard(&self, silence: Option<MeshEvent>) {
        self.tell.send_if_modified(|table| {
            let was_mute = std::mem::take(&mut table.is_mute);
            let has_changed = table.silence.is_some() != silence.is_some();
            if has_changed {
                table.silence = silence;
            }
            has_changed || was_mute
        });
    }
}

/// What is new since it was told last.
#[derive(Default)]
struct Untold {
    /// How many events of the mesh have come.
    n_events: usize,
    /// It was asked where ranks are, and nothing more will come of that.
    has_answer: bool,
    /// Something else is known than before.
    has_news: bool,
}

impl Untold {
    const fn is_some(&self) -> bool {
        self.n_events > 0 || self.has_answer
    }
}

/// How following a mesh has ended.
enum Followed {
    /// With the mesh.
    ToTheEnd,
    /// Its owner has let go of it, or its controller has ended: what has become of its ranks is not known.
    IsOver,
    /// Its controller refuses: more follow it than may.
    Refused(Refusal),
    /// Its controller is not heard any more.
    Lost,
    /// Its controller has not answered, or not said what the mesh is.
    Unanswered,
    /// There is no session with the process of its controller.
    NoWay,
}

#[cfg(test)]
mod tests;
