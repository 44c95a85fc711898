//! What is said about one host, which is its agent, and what that means: the whole mapping, pure.

use std::sync::Arc;
use std::time::Duration;

use controller::Controlled;
use mesh_core::{Cause, Reason, Stall, Status};
use serde::{Deserialize, Serialize};

use crate::report::{ProcEnd, end_status};

/// What is said about the agent of one host, by whoever started it or is connected to it. Nobody says
/// it yet: the hosts of today live in this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostReport {
    /// Nothing is known of it here.
    Absent,
    /// Being started, or connected to.
    Attaching,
    /// Its agent has answered, and takes orders.
    Ready,
    /// The kernel says that the process of its agent is suspended, by this signal.
    Suspended {
        /// The number of the signal.
        signal: i32,
    },
    /// A stop was asked for: it starts nothing any more, and ends what it runs.
    Draining,
    /// It has ended. Shared, since it is told again with every poll.
    Ended(Arc<HostEnd>),
}

/// How a host ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostEnd {
    /// As asked: its guard has said that nothing is left.
    Closed,
    /// The process of its agent ended, or never began; told by whoever started it.
    Agent(ProcEnd),
    /// Its agent is known to be gone, and nobody can say how: another one answers in its place, or its
    /// machine was started anew. Silence alone is not enough for that (H4).
    Lost {
        /// How long it had lived.
        alive: Duration,
    },
}

/// Meshes of hosts. A host is its agent, so the rules are those of [`ProcKind`](crate::ProcKind).
///
/// # Examples
///
/// A process never shows as healthier than its host:
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use controller::Controlled;
/// use mesh_core::{MeshId, MeshLabel, Place};
/// use mesh_shape::Rank;
/// use proc_mesh::{HostEnd, HostKind, HostReport, ProcKind, ProcReport};
///
/// let lost = HostReport::Ended(Arc::new(HostEnd::Lost { alive: Duration::from_secs(9) }));
/// let hosts = MeshLabel::new(MeshId::from_random(1), "rack", HostKind::KIND);
/// let host = Place::new(&HostKind.status(&lost), &hosts, Rank::new(2));
/// assert_eq!(
///     ProcKind.status(&ProcReport::Ready).within(&host).to_string(),
///     "failed: ended with what it lived in, \
///      caused by rank 2 of host mesh rack: lost: its agent cannot say how it ended"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HostKind;

impl Controlled for HostKind {
    type Report = HostReport;

    const KIND: &'static str = "host";

    fn status(&self, report: &HostReport) -> Status {
        match report {
            HostReport::Absent => Status::NotExist,
            HostReport::Attaching => Status::Initializing,
            HostReport::Ready => Status::Running,
            HostReport::Suspended { signal } => {
                Status::Stalled(Stall::Suspended { signal: *signal })
            }
            HostReport::Draining => Status::Stopping,
            HostReport::Ended(end) => match &**end {
                HostEnd::Closed => Status::Stopped,
                HostEnd::Agent(end) => end_status(end),
                HostEnd::Lost { alive } => {
                    Status::failed(Cause::new(Reason::LostByAgent).with_alive(*alive))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{MeshId, MeshLabel, Place};
    use mesh_shape::Rank;

    use super::*;
    use crate::report::{HowEnded, ProcKind, ProcReport, SentSignals};

    const ALIVE: Duration = Duration::from_secs(9);
    const TERM: SentSignals = SentSignals { term: true, kill: false };

    fn ended(end: HostEnd) -> Status {
        HostKind.status(&HostReport::Ended(Arc::new(end)))
    }

    fn agent(how: HowEnded, sent: SentSignals) -> ProcEnd {
        ProcEnd { how, sent, alive: ALIVE, stderr: vec!["no room".to_owned()] }
    }

    #[test]
    fn a_living_host_is_what_is_said_of_it() {
        let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
        let meanings = [
            (HostReport::Absent, Status::NotExist),
            (HostReport::Attaching, Status::Initializing),
            (HostReport::Ready, Status::Running),
            (HostReport::Suspended { signal: 19 }, suspended),
            (HostReport::Draining, Status::Stopping),
        ];
        for (report, status) in meanings {
            assert_eq!(HostKind.status(&report), status, "{report:?}");
        }
    }

    /// H4: a host that died is no clean stop, whoever had been about to stop it.
    #[test]
    fn a_host_that_nobody_can_speak_for_has_failed() {
        assert_eq!(ended(HostEnd::Closed), Status::Stopped);
        assert_eq!(
            ended(HostEnd::Lost { alive: ALIVE }),
            Status::failed(Cause::new(Reason::LostByAgent).with_alive(ALIVE))
        );
    }

    /// ST4
    #[test]
    fn the_agent_of_a_host_ends_by_the_rules_of_processes() {
        for how in [
            HowEnded::Exited { code: 0 },
            HowEnded::Exited { code: 1 },
            HowEnded::Exited { code: 143 },
            HowEnded::Signaled { signal: 9, core: false },
            HowEnded::Signaled { signal: 15, core: false },
            HowEnded::OutOfMemory,
            HowEnded::Cancelled,
            HowEnded::NotReady { within: ALIVE },
        ] {
            for sent in [SentSignals::NONE, TERM] {
                let end = agent(how.clone(), sent);
                let proc = ProcKind.status(&ProcReport::Ended(Arc::new(end.clone())));
                assert_eq!(ended(HostEnd::Agent(end)), proc, "{how:?}, {sent:?}");
            }
        }
    }

    /// ST3
    #[test]
    fn a_process_is_never_healthier_than_its_host() {
        let hosts = MeshLabel::new(MeshId::from_random(1), "rack", HostKind::KIND);
        let reports = [
            HostReport::Absent,
            HostReport::Attaching,
            HostReport::Ready,
            HostReport::Suspended { signal: 19 },
            HostReport::Draining,
            HostReport::Ended(Arc::new(HostEnd::Closed)),
            HostReport::Ended(Arc::new(HostEnd::Agent(agent(HowEnded::OutOfMemory, TERM)))),
            HostReport::Ended(Arc::new(HostEnd::Lost { alive: ALIVE })),
        ];
        for report in reports {
            let host = HostKind.status(&report);
            let proc = ProcKind.status(&ProcReport::Ready).within(&Place::new(
                &host,
                &hosts,
                Rank::new(0),
            ));
            assert_eq!(proc.kind(), host.kind(), "{report:?}");
        }
    }
}
