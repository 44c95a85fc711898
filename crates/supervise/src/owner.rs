//! Where the failures of a mesh arrive: at its owner, each exactly once.

use mesh_core::OwnerNews;
use tokio::sync::mpsc;

use crate::clock::{Clock, Queued};
use crate::metrics::Detection;

/// The owner's end of a mesh. Dropping it ends the mesh: no mesh outlives its owner (C2).
#[derive(Debug)]
pub struct Owner {
    news: Source,
    is_finished: bool,
}

/// Where the news come from.
#[derive(Debug)]
enum Source {
    Loop {
        news: mpsc::Receiver<Queued<OwnerNews>>,
        clock: Clock,
        detection: Detection,
    },
    #[cfg(feature = "actor")]
    Port(mesh_runtime::PortReceiver<OwnerNews>),
}

impl Source {
    async fn recv(&mut self) -> Option<OwnerNews> {
        match self {
            Self::Loop { news, clock, detection } => {
                let Queued { since, item: mut news } = news.recv().await?;
                news.hold(clock.now().since(since));
                if let OwnerNews::Failed(failures) = &news {
                    detection.record(failures);
                }
                Some(news)
            }
            #[cfg(feature = "actor")]
            Self::Port(news) => {
                let (mut news, waited) = news.recv_with_wait().await;
                news.hold(waited);
                Some(news)
            }
        }
    }
}

impl Owner {
    pub(crate) const fn new(
        news: mpsc::Receiver<Queued<OwnerNews>>,
        clock: Clock,
        detection: Detection,
    ) -> Self {
        Self { news: Source::Loop { news, clock, detection }, is_finished: false }
    }

    /// The owner's end of a mesh whose [`ControllerActor`](crate::ControllerActor) tells this port. What
    /// is read here is as old as it is; what is read from the port itself is as old as when it came.
    ///
    /// A controller that ends before it has told that it is finished tells nothing.
    #[cfg(feature = "actor")]
    #[must_use]
    pub const fn of_port(news: mesh_runtime::PortReceiver<OwnerNews>) -> Self {
        Self { news: Source::Port(news), is_finished: false }
    }

    /// The next news; `None` after the last, or if the controller has ended.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<OwnerNews> {
        if self.is_finished {
            return None;
        }
        let news = self.news.recv().await?;
        self.is_finished = matches!(news, OwnerNews::Finished(_));
        Some(news)
    }
}
