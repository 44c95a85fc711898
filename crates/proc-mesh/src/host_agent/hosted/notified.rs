//! `notified`: programs that speak for themselves.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Hosted;
use crate::guard::wire::ProcKey;
use crate::host::{ProgramRole, Role};
use crate::host_agent::boot_time;
use crate::host_agent::seat::Seat;
use crate::mesh::WorkerNews;
use crate::notify::{Left, News, Notify};
use crate::report::ProcReport;

impl Hosted {
    fn notify(&self) -> Option<Notify> {
        match &self.opening.launch.role {
            Role::Program(role) => role.notify,
            Role::Worker(_) => None,
        }
    }

    /// What a program is given so that it can speak, if it is to.
    pub(super) fn notify_env(&self) -> io::Result<Vec<(OsString, OsString)>> {
        let Some(notify) = self.notify() else { return Ok(Vec::new()) };
        Ok(self.tools.notifier()?.env(notify))
    }

    /// A program runs, and may speak.
    pub(super) fn listen(&mut self, pid: u32, key: ProcKey, suspensions: Arc<AtomicU64>) {
        let Some(notify) = self.notify() else { return };
        let speaker = self
            .tools
            .notifier
            .get()
            .and_then(|notifier| notifier.seat(pid, (key, notify), suspensions));
        if let Some(process) = self.live_seat(key).and_then(Seat::process_mut) {
            process.speaker = speaker;
        }
    }

    /// A program has ended: what it had said of itself.
    pub(super) fn hear_out(&mut self, key: ProcKey) -> Option<String> {
        let seat = self.live_seat(key)?;
        let Left { was_ready, last_words } = seat.process_mut()?.speaker.take()?.leave()?;
        if was_ready && seat.handles().is_some_and(|it| it.ready_by.take().is_some()) {
            // Its end was known sooner. It is told once its output has been read, which is later than this.
            self.report(key, boot_time(), ProcReport::Ready);
        }
        last_words
    }

    /// A program has said something, or has not when it should have.
    pub(super) fn on_notified(&mut self, key: ProcKey, news: News) {
        let Some(seat) = self.live_seat(key) else { return };
        let News { is_ready, stall, status, is_stopping } = news;
        if is_ready && let Some(handles) = seat.handles() {
            handles.ready_by = None;
            self.starting.done(key.rank);
            self.report_life(key);
        }
        if let Some(stall) = stall {
            self.on_hangs(key, stall);
        }
        if let (Some(text), Role::Program(ProgramRole { news, .. })) =
            (status, &self.opening.launch.role)
            && let Some(news) = news.upgrade()
        {
            let (rank, incarnation) = (key.rank, key.incarnation);
            // An owner that is behind is told a later one.
            _ = news.try_send(WorkerNews::Status { rank, incarnation, text, is_stopping }).is_ok();
        }
    }
}
