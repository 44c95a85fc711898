//! A subscriber's end: events in order, and word of a controller that has gone silent.

use std::fmt;
use std::time::Duration;

use controller::Watchdog;
use mesh_core::{MeshEvent, News, Part, Trouble};
use tokio::sync::{mpsc, watch};
use tokio::time::{timeout, timeout_at};

use crate::clock::{Clock, Queued};
use crate::parts::Joining;

/// The events of one subscription, first a snapshot, last [`News::Closed`], [`Trouble::Replaced`] or
/// [`Trouble::Abandoned`]. Whoever does not read them in time misses some, and gets a snapshot that says so:
/// [`Snapshot`](mesh_core::Snapshot) tells what is in it and what is lost (N7).
///
/// Dropping it unsubscribes; those of a port are found to be gone by the next event that nobody takes (N7), unless they
/// [hold](Self::holding) what says so.
#[derive(Debug)]
pub struct MeshEvents {
    events: Source,
    clock: Clock,
    watchdog: Watchdog,
    joining: Joining,
    /// What a silence is told with: it has the number of the last message.
    last: Option<MeshEvent>,
    /// It came while the subscription began, and is to be told.
    first: Option<Queued<MeshEvent>>,
    /// The last event has come.
    is_closed: bool,
    /// Who is told whether the controller is silent.
    silence: Option<watch::Sender<bool>>,
    /// What ends with it.
    _held: Option<Held>,
}

/// Kept for what it does when it is dropped.
struct Held(#[expect(dead_code, reason = "it is dropped")] Box<dyn Send + Sync>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// Where the events come from.
#[derive(Debug)]
enum Source {
    Loop(mpsc::Receiver<Queued<MeshEvent>>),
    #[cfg(feature = "actor")]
    Port(mesh_runtime::PortReceiver<MeshEvent>),
}

impl Source {
    async fn recv(&mut self, clock: Clock) -> Option<MeshEvent> {
        match self {
            Self::Loop(events) => {
                let Queued { since, item: mut event } = events.recv().await?;
                event.hold(clock.now().since(since));
                Some(event)
            }
            #[cfg(feature = "actor")]
            Self::Port(events) => {
                let (mut event, waited) = events.recv_with_wait().await;
                event.hold(waited);
                Some(event)
            }
        }
    }
}

impl MeshEvents {
    pub(crate) const fn new(events: mpsc::Receiver<Queued<MeshEvent>>, clock: Clock) -> Self {
        Self::of(Source::Loop(events), clock)
    }

    /// The events that come to a port which was subscribed with
    /// [`Subscribe`](mesh_core::Subscribe), from a controller in this process or another.
    ///
    /// There are no events after the [last](News::is_last) one; a controller that ends before it is told of by its
    /// silence (N10). Whether anything is told at all, [`begun`](Self::begun) finds out.
    #[cfg(feature = "actor")]
    #[must_use]
    pub const fn of_port(events: mesh_runtime::PortReceiver<MeshEvent>, clock: Clock) -> Self {
        Self::of(Source::Port(events), clock)
    }

    /// The same events, and something that is dropped with them: what unsubscribes their port, say.
    #[must_use]
    pub fn holding(mut self, held: impl Send + Sync + 'static) -> Self {
        self._held = Some(Held(Box::new(held)));
        self
    }

    /// The same events; whether their controller is silent is shown there as well, for who subscribes again where a
    /// subscription was lost with a session. A snapshot that comes again, of another subscription, is of a reader that has
    /// [lagged](mesh_core::Snapshot::lagged): what came between is in it, or lost.
    #[must_use]
    pub fn showing_silence(mut self, silence: watch::Sender<bool>) -> Self {
        self.silence = Some(silence);
        self
    }

    /// The same events, once the first of them is there: the snapshot, which is told all the same. `None` if it does not
    /// come within that time, or, where it is long and comes in parts, does not go on for as long. It is part of the answer to who subscribes (N5), but travels by itself, and may be lost with
    /// a session when the subscription has been taken already: then nothing would be heard any more, and no period has
    /// been stated whose lack could be noticed (N10).
    ///
    /// # Cancellation
    ///
    /// The subscription ends.
    pub async fn begun(mut self, within: Duration) -> Option<Self> {
        let first = loop {
            if let Heard::All(first) = timeout(within, self.hear()).await.ok()? {
                break first?;
            }
        };
        self.first = Some(Queued { since: self.clock.now(), item: first });
        Some(self)
    }

    const fn of(events: Source, clock: Clock) -> Self {
        Self {
            events,
            clock,
            watchdog: Watchdog::new(),
            joining: Joining::new(),
            last: None,
            first: None,
            is_closed: false,
            silence: None,
            _held: None,
        }
    }

    /// The next event; `None` after the [last](News::is_last) one, or if the controller ended before it.
    ///
    /// A controller that says nothing for three of the periods it promised is told of once, as
    /// [`Trouble::ControllerLost`]; the next message clears that (N10).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<MeshEvent> {
        loop {
            if let Heard::All(event) = self.hear().await {
                return event;
            }
        }
    }

    fn is_silent(&self, is_silent: bool) {
        if let Some(shown) = &self.silence {
            shown.send_if_modified(|it| std::mem::replace(it, is_silent) != is_silent);
        }
    }

    async fn hear(&mut self) -> Heard {
        let clock = self.clock;
        if let Some(Queued { since, item: mut first }) = self.first.take() {
            first.hold(clock.now().since(since));
            return Heard::All(Some(first));
        }
        if self.is_closed {
            return Heard::All(None);
        }
        let received = loop {
            let Some(due) = self.watchdog.next_deadline() else {
                break self.events.recv(clock).await;
            };
            match timeout_at(clock.instant(due), self.events.recv(clock)).await {
                Ok(received) => break received,
                Err(_) if self.watchdog.tick(self.clock.now()) => {
                    self.is_silent(true);
                    return Heard::All(self.last.clone());
                }
                Err(_) => (),
            }
        };
        let Some(mut event) = received else { return Heard::All(None) };
        self.is_silent(false);
        if let News::Snapshot(again) = &mut event.news {
            again.lagged |= self.last.is_some() && event.part.index == 0;
        }
        self.watchdog.heard(clock.now(), &event.news);
        self.is_closed = event.news.is_last();
        let news = News::Trouble(Trouble::ControllerLost);
        let (mesh, waited) = (event.mesh.clone(), Duration::ZERO);
        self.last = Some(MeshEvent { mesh, waited, part: Part::WHOLE, news, ..event });
        match self.joining.take(event, clock.now()) {
            Some(event) => Heard::All(Some(event)),
            None => Heard::Part,
        }
    }
}

/// What was heard.
enum Heard {
    /// An event, or that there are no more.
    All(Option<MeshEvent>),
    /// A part of one: the controller speaks.
    Part,
}
