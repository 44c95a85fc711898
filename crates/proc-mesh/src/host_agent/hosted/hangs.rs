//! `hangs`: what is reported of a process that lives but makes no progress.

use std::sync::atomic::Ordering;

use mesh_core::{Silence, Stall};

use super::Hosted;
use crate::guard::wire::ProcKey;
use crate::host_agent::boot_time;
use crate::host_agent::seat::Seat;
use crate::report::ProcReport;

impl Hosted {
    /// The kernel says that a process is suspended.
    pub(crate) fn on_suspended(&mut self, key: ProcKey, signal: i32) {
        self.suspension(key, Some(signal));
    }

    /// The kernel says that it goes on.
    pub(crate) fn on_continued(&mut self, key: ProcKey) {
        self.suspension(key, None);
    }

    fn suspension(&mut self, key: ProcKey, signal: Option<i32>) {
        let Some(seat) = self.live_seat(key) else { return };
        let Some(process) = seat.process_mut() else { return };
        if process.suspended.is_some() != signal.is_some()
            && let Some(handles) = seat.handles()
        {
            handles.suspensions.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(process) = seat.process_mut() {
            process.suspended = signal;
        }
        self.report_life(key);
    }

    /// A process hangs, by its own word or its silence; or goes on.
    pub(super) fn on_hangs(&mut self, key: ProcKey, stall: Option<Stall>) {
        let Some(seat) = self.live_seat(key) else { return };
        let Some(process) = seat.process_mut() else { return };
        if process.stall == stall {
            return;
        }
        // It cannot be heard while it is suspended (H4).
        let was_silent = process.suspended.is_some() && stall.as_ref().is_some_and(is_silence);
        if !was_silent {
            process.stall = stall;
            self.report_life(key);
        }
    }

    /// Says how a process is that lives: what the kernel knows goes before what it says itself.
    pub(super) fn report_life(&mut self, key: ProcKey) {
        let Some(report) = self.live_seat(key).and_then(|seat| life(seat)) else { return };
        self.report(key, boot_time(), report);
    }
}

fn life(seat: &Seat) -> Option<ProcReport> {
    let process = seat.process()?;
    if seat.is_dumping {
        // It will not run again, and says nothing meanwhile.
        return Some(ProcReport::DumpingCore);
    }
    Some(match (process.suspended, &process.stall) {
        (Some(signal), _) => ProcReport::Suspended { signal },
        // Also of one that says so when it is being killed, since it has not in time.
        (None, _) if seat.ready_by().is_some() || seat.is_too_late() => ProcReport::Starting,
        (None, Some(stall)) => ProcReport::Hanging(stall.clone()),
        (None, None) => ProcReport::Ready,
    })
}

const fn is_silence(stall: &Stall) -> bool {
    matches!(stall, Stall::Silent { what: Silence::Control | Silence::Watchdog, .. })
}
