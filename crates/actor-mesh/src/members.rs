//! What a keeper knows of the places of a mesh, fetched in parts: a frame of the control lane takes the places of
//! some thousand ranks only.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::GetSeats;
use mesh_core::{ActorId, PortRef, ProcSeat};
use mesh_runtime::{CallError, Port, Proc};
use mesh_shape::{Rank, RankSet};
use tokio::time::timeout;

use crate::wire::{GetMembers, Members};

/// Of how many ranks the processes are asked for at once.
const SEATS_AT_ONCE: usize = 32;

/// Why it is not known where the ranks of a mesh are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MembersError {
    /// The keeper has not answered.
    #[error(transparent)]
    Keeper(#[from] CallError),
    /// They changed while they were told of, again and again.
    #[error(
        "where the ranks are has not stayed the same for as long as it takes to tell of it, for {within:?}"
    )]
    Changing {
        /// For how long that was tried.
        within: Duration,
    },
}

/// The actors of a mesh, all as they were at one moment: begins anew when they change on the way. It takes no longer than
/// a call may.
///
/// # Errors
///
/// [`MembersError`]; nothing has changed, and it may be asked again.
pub(crate) async fn members(
    proc: &Proc,
    keeper: PortRef<GetMembers>,
) -> Result<Members, MembersError> {
    let within = proc.call_within();
    let found = timeout(within, at_one_moment(proc, keeper)).await;
    found.map_or(Err(MembersError::Changing { within }), |found| Ok(found?))
}

async fn at_one_moment(proc: &Proc, keeper: PortRef<GetMembers>) -> Result<Members, CallError> {
    loop {
        let mut all = keeper.call(proc, GetMembers { start: Rank::new(0) }).await?;
        let size = all.region.size();
        let mut parts = Vec::new();
        let mut n_known = all.ranks.size();
        while n_known < size {
            let part = keeper.call(proc, GetMembers { start: Rank::new(n_known) }).await?;
            if part.version != all.version || part.ranks.is_empty() {
                break;
            }
            n_known += part.ranks.size();
            parts.push(part);
        }
        if n_known < size {
            continue;
        }
        if !parts.is_empty() {
            all.ranks = all
                .ranks
                .iter()
                .chain(parts.iter().flat_map(|it| it.ranks.iter()))
                .copied()
                .collect();
            all.homes = all
                .homes
                .iter()
                .chain(parts.iter().flat_map(|it| it.homes.iter()))
                .copied()
                .collect();
        }
        return Ok(all);
    }
}

/// Where the processes of some ranks are, in their order; those that nobody knows are left out.
pub(crate) async fn seats(proc: Proc, keeper: ActorId, ranks: RankSet) -> Arc<[(Rank, ProcSeat)]> {
    let door = PortRef::<GetSeats>::of(keeper);
    let ranks: Vec<Rank> = ranks.iter().collect();
    let parts = ranks.chunks(SEATS_AT_ONCE).map(|part| {
        let ranks = RankSet::from_ranks(part.iter().copied());
        door.call(&proc, GetSeats { ranks })
    });
    let parts = futures_util::future::join_all(parts).await;
    parts.into_iter().flat_map(Result::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
    use mesh_shape::{Region, ValueMesh, extent};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A keeper whose ranks are elsewhere each time.
    struct Fickle(u64);

    impl Actor for Fickle {
        const NAME: &'static str = "fickle";
        type Params = ();

        async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
            Ok(Self(0))
        }

        fn handlers(handlers: &mut Handlers<Self>) {
            handlers.takes::<GetMembers>();
        }
    }

    impl Handler<GetMembers> for Fickle {
        async fn handle(
            &mut self,
            _: GetMembers,
            _: &mut Context<Self>,
        ) -> Result<Members, Failure> {
            sleep(Duration::from_millis(10)).await;
            self.0 += 1;
            Ok(Members {
                procs: mesh_core::MeshId::from_random(1),
                region: Arc::new(Region::all(extent!(procs = 2)?)),
                ranks: ValueMesh::uniform(1, None),
                homes: ValueMesh::uniform(1, None),
                version: self.0,
                fan_out: mesh_cast::FanOut::ALL,
            })
        }
    }

    /// Every wait has a deadline: also one for what never stays the same.
    #[tokio::test(start_paused = true)]
    async fn ranks_that_are_elsewhere_each_time_are_not_asked_for_without_end() {
        let proc = Proc::local().unwrap();
        let keeper = proc.spawn::<Fickle>(());
        let (within, asked) = (proc.call_within(), Instant::now());
        let found = timeout(within * 3, members(&proc, keeper.port())).await;
        assert_eq!(found, Ok(Err(MembersError::Changing { within })));
        assert!(asked.elapsed() >= within, "{:?}", asked.elapsed());
    }
}
