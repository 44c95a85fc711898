//! The sessions of a process with others: where it listens, and whom it dials.

use std::fmt;
use std::sync::Arc;

use mesh_core::{
    Addr, DialError, Doors, Inbound, Lane, ListenError, Outbound, PeerId, Plane, ProcId, Transport,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::proc::Proc;
use crate::remote::Turn;

/// The sessions of one process over one transport, a control and a data session with each peer: what
/// supervises travels and is read on the control thread, so that it never waits behind a user's data.
///
/// Cheap to clone. The transport ends its sessions and listeners when the process is dropped.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::{Addr, Message, PortRef};
/// use mesh_runtime::{LocalTransport, Network, Port, Proc};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Hello;
///
/// impl Message for Hello {
///     const NAME: &'static str = "doc.Hello";
///     type Reply = ();
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Two processes of one program, as tests have them.
/// let (here, there) = (Proc::local()?, Proc::local()?);
/// let board = LocalTransport::default();
/// let there_net = Network::new(there.clone(), Arc::new(board.another()), 0);
/// let doors = there_net.listen(&"local://there".parse()?).await?;
///
/// let here_net = Network::new(here.clone(), Arc::new(board), 0);
/// here_net.dial(there.peer(), &doors).await?;
/// let mut port = there.open_port::<Hello>(1);
/// port.port().cast(&here, Hello).await;
/// port.recv().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Network {
    proc: Proc,
    transport: Arc<dyn Transport>,
    inbound: Arc<dyn Inbound>,
}

impl Network {
    /// The sessions of `proc` over `transport`. `registry` is a hash of the messages that its program
    /// knows, or 0. The first network of a process is found by [`of`](Self::of).
    #[must_use]
    pub fn new(proc: Proc, transport: Arc<dyn Transport>, registry: u64) -> Self {
        _ = proc.transport().set((Arc::clone(&transport), registry)).is_ok();
        let inbound = proc.inbound(registry);
        Self { proc, transport, inbound }
    }

    /// The network of a process, if it has one.
    #[must_use]
    pub fn of(proc: &Proc) -> Option<Self> {
        let (transport, registry) = proc.transport().get()?;
        let (proc, inbound) = (proc.clone(), proc.inbound(*registry));
        Some(Self { proc, transport: Arc::clone(transport), inbound })
    }

    /// The process.
    #[must_use]
    pub const fn proc(&self) -> &Proc {
        &self.proc
    }

    /// Takes sessions at `at`, which must leave room for two: port 0, or a name that others follow.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if one of the lanes cannot listen; the other one may.
    pub async fn listen(&self, at: &Addr) -> Result<Doors, ListenError> {
        let (control, data) = both(at);
        let control = self.listen_at(control, Plane::Control).await?;
        let data = self.listen_at(data, Plane::User).await?;
        Ok(Doors { control, data })
    }

    /// Opens the sessions with `peer`, which listens behind `doors`; those that are open stay, and one that is being
    /// opened is waited for. From then on messages for it have a way.
    ///
    /// # Errors
    ///
    /// [`DialError`] if one of the lanes cannot be opened; the other one may be.
    pub async fn dial(&self, peer: PeerId, doors: &Doors) -> Result<(), DialError> {
        for (plane, door) in [(Plane::Control, &doors.control), (Plane::User, &doors.data)] {
            let (remote, lane) = (self.proc.remote(), plane.lane());
            if remote.routes.is_connected(peer, lane) {
                continue;
            }
            let turn = remote.dialling.turn((peer, lane)).await;
            if !remote.routes.is_connected(peer, lane) {
                self.dial_at(door, peer.proc, (plane, turn)).await?;
            }
        }
        Ok(())
    }

    /// Whether the sessions with `peer` are open that [`dial`](Self::dial) opens.
    #[must_use]
    pub fn is_open(&self, peer: PeerId) -> bool {
        let planes = [Plane::Control, Plane::User];
        planes.into_iter().all(|plane| self.proc.remote().routes.is_connected(peer, plane.lane()))
    }

    /// Whether there may well be a session with `peer` in a moment, where there is none: one is being
    /// [dialled](Self::dial), or the last one was lost less than five seconds ago, and whoever opened it may do so again.
    #[must_use]
    pub fn may_meet(&self, peer: PeerId) -> bool {
        self.proc.remote().may_meet(peer)
    }

    /// Ends the sessions with one life of a peer: it is known to be dead. Whoever waits for it is told now.
    pub fn hang_up(&self, peer: PeerId) {
        self.proc.remote().part_for_good(peer);
        for session in self.proc.remote().routes.sessions_with(peer) {
            session.close();
        }
        self.proc.lose_returns_to(peer);
    }

    /// Ends all sessions of the process, as if it were gone. From then on it has none: one that somebody opens with it,
    /// or it with somebody, ends at once.
    pub fn leave(&self) {
        let routes = &self.proc.remote().routes;
        routes.leave();
        routes.all_sessions().iter().for_each(|session| session.close());
        self.proc.lose_returns();
    }

    async fn listen_at(&self, at: Addr, plane: Plane) -> Result<Addr, ListenError> {
        let (transport, into) = (Arc::clone(&self.transport), Arc::clone(&self.inbound));
        let refused = ListenError::Os { at: at.clone(), kind: std::io::ErrorKind::Interrupted };
        let work = async move { transport.listen(&at, plane.lane(), into).await };
        run_on(self.proc.on(plane).runtime(), work).await.unwrap_or(Err(refused))
    }

    async fn dial_at(
        &self,
        to: &Addr,
        peer: ProcId,
        (plane, turn): (Plane, Turn),
    ) -> Result<(), DialError> {
        let (transport, into) = (Arc::clone(&self.transport), Arc::clone(&self.inbound));
        let refused = DialError::Os { to: to.clone(), kind: std::io::ErrorKind::Interrupted };
        let (to, proc) = (to.clone(), self.proc.clone());
        let work = async move {
            // It goes on to its end also if nobody waits for it any more.
            let _turn = turn;
            let session: Arc<dyn Outbound> = transport.dial(&to, peer, plane.lane(), into).await?;
            proc.connect(plane.lane(), session);
            Ok(())
        };
        run_on(self.proc.on(plane).runtime(), work).await.unwrap_or(Err(refused))
    }
}

/// Where both lanes listen, if one is to listen at `at`.
fn both(at: &Addr) -> (Addr, Addr) {
    let with = |lane: Lane| match at {
        Addr::Local { name } => Addr::Local { name: format!("{name}.{}", lane.label()) },
        Addr::Unix { path } => {
            let mut path = path.clone().into_os_string();
            path.push(".");
            path.push(lane.label());
            Addr::Unix { path: path.into() }
        }
        Addr::Tcp { host, port: 0 } => Addr::Tcp { host: host.clone(), port: 0 },
        Addr::Tcp { host, port } => {
            let next = port.wrapping_add(u16::from(lane == Lane::Data));
            Addr::Tcp { host: host.clone(), port: next }
        }
    };
    (with(Lane::Control), with(Lane::Data))
}

/// Runs `work` on a runtime, whose tasks are then those that it spawns; `None` if the runtime has ended.
async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (done, is_done) = oneshot::channel();
    drop(runtime.spawn(async move { done.send(work.await).is_ok() }));
    is_done.await.ok()
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("proc", &self.proc).finish_non_exhaustive()
    }
}
