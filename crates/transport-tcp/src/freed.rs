//! Room that was given back: [`Freed`].

use std::sync::atomic::{AtomicU64, Ordering};

use mesh_core::GiveBack;
use tokio::sync::Notify;

/// What was taken of that which has arrived, until the session hears of it. Whoever gives room back needs no
/// lock for it.
#[derive(Debug)]
pub(crate) struct Freed {
    bytes: AtomicU64,
    /// So much is told the peer without waiting for anything else.
    urgent: u64,
    /// There is something to write, or the session has ended, or another connection carries it.
    pub(crate) to_write: Notify,
}

impl Freed {
    pub(crate) fn new(window: u64) -> Self {
        Self { bytes: AtomicU64::new(0), urgent: window.div_ceil(4), to_write: Notify::new() }
    }

    /// What was given back since this was asked last.
    pub(crate) fn take(&self) -> u64 {
        // Most often there is nothing, and a look costs less than taking it.
        match self.bytes.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.bytes.swap(0, Ordering::Relaxed),
        }
    }
}

impl GiveBack for Freed {
    fn give_back(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before < self.urgent && before + bytes >= self.urgent {
            self.to_write.notify_one();
        }
    }
}
