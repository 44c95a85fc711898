//! Where the failures of a mesh arrive: at its owner, each exactly once.

use mesh_core::OwnerNews;
use tokio::sync::mpsc;

use crate::clock::{Clock, Queued};
use crate::metrics::Detection;

/// The owner's end of a mesh. Dropping it ends the mesh: no mesh outlives its owner (C2).
#[derive(Debug)]
pub struct Owner {
    news: mpsc::Receiver<Queued<OwnerNews>>,
    clock: Clock,
    detection: Detection,
    is_finished: bool,
}

impl Owner {
    pub(crate) const fn new(
        news: mpsc::Receiver<Queued<OwnerNews>>,
        clock: Clock,
        detection: Detection,
    ) -> Self {
        Self { news, clock, detection, is_finished: false }
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
        let Queued { since, item: mut news } = self.news.recv().await?;
        match &mut news {
            OwnerNews::Failed(failures) => {
                failures.waited += self.clock.now().since(since);
                self.detection.record(failures);
            }
            OwnerNews::Finished(_) => self.is_finished = true,
        }
        Some(news)
    }
}
