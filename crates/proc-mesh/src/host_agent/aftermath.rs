//! `Aftermath`: what a lost guard has left is ended, and its agent goes on meanwhile.

use std::future::{Future, pending};
use std::pin::Pin;

use super::sweep::{Mark, remove_cgroups};

/// What is being done about a guard that was lost. Nothing, if none was.
#[derive(Default)]
pub(super) struct Aftermath(Option<Stage>);

enum Stage {
    /// Processes are being ended: until then nothing can be said of them, and nothing be started.
    Processes(Work),
    /// Cgroups are being removed.
    Cgroups(Work),
}

/// Says whether nothing is left. It takes a few seconds at most.
type Work = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleared {
    /// None of the processes is left, as far as that could be done.
    Processes { is_clean: bool },
    /// None of the cgroups is left, as far as that could be done.
    Cgroups { is_clean: bool },
}

impl Aftermath {
    /// A guard was lost: everything with the mark is to be ended.
    pub(super) fn begin(&mut self, mark: &Mark) {
        let mark = mark.clone();
        self.0 = Some(Stage::Processes(Box::pin(async move { mark.sweep().await })));
    }

    /// Whether processes are still being ended.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.0, Some(Stage::Processes(_)))
    }

    /// What is done next. If nothing is to be done, that is never.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Cleared {
        match &mut self.0 {
            None => pending().await,
            Some(Stage::Processes(work)) => {
                let is_clean = work.await;
                self.0 = Some(Stage::Cgroups(Box::pin(remove_cgroups())));
                Cleared::Processes { is_clean }
            }
            Some(Stage::Cgroups(work)) => {
                let is_clean = work.await;
                self.0 = None;
                Cleared::Cgroups { is_clean }
            }
        }
    }

    /// Waits until all of it is done.
    pub(super) async fn finish(&mut self) {
        while self.0.is_some() {
            _ = self.next().await;
        }
    }
}
