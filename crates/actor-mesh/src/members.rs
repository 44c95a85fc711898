//! What a keeper knows of the places of a mesh, fetched in parts: a frame of the control lane takes the places of
//! some thousand ranks only.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::GetSeats;
use mesh_core::{ActorId, PortRef, ProcSeat};
use mesh_runtime::{CallError, Port, Proc};
use mesh_shape::{Rank, RankSet};
use tokio::time::timeout;

use crate::wire::{GetMembers, GetMoves, Members, Moved, Moves};

/// Of how many ranks the processes are asked for at once.
const SEATS_AT_ONCE: usize = 32;

/// Why it is not known where the ranks of a mesh are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MembersError {
    /// The keeper has not answered.
    #[error(transparent)]
    Keeper(#[from] CallError),
    /// More of them moved than was told, all the time.
    #[error("ranks have moved faster than it takes to tell of it, for {within:?}")]
    Moving {
        /// For how long that was tried.
        within: Duration,
    },
}

/// The actors of a mesh, all as they were at one moment: what has moved while that was told of is asked for by itself, so
/// that a rank which never stays hides no other (H7). It takes no longer than a call may.
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
    found.map_or(Err(MembersError::Moving { within }), |found| Ok(found?))
}

async fn at_one_moment(proc: &Proc, keeper: PortRef<GetMembers>) -> Result<Members, CallError> {
    let (mut all, mut is_at_once) = all_of(proc, keeper).await?;
    let door = PortRef::<GetMoves>::of(keeper.actor());
    while !is_at_once {
        let Moves { moved, version, is_all } =
            door.call(proc, GetMoves { since: all.version }).await?;
        for Moved { rank, member, home } in moved {
            // One that there is not is nobody's.
            _ = all.ranks.set(rank, member).and_then(|()| all.homes.set(rank, home)).is_ok();
        }
        (all.version, is_at_once) = (version, is_all);
    }
    Ok(all)
}

/// The actors of a mesh, each as it was then or later; and whether none has moved meanwhile.
async fn all_of(proc: &Proc, keeper: PortRef<GetMembers>) -> Result<(Members, bool), CallError> {
    let mut all = keeper.call(proc, GetMembers { start: Rank::new(0) }).await?;
    let mut parts = Vec::new();
    let mut n_known = all.ranks.size();
    while n_known < all.region.size() {
        let part = keeper.call(proc, GetMembers { start: Rank::new(n_known) }).await?;
        n_known += part.ranks.size();
        parts.push(part);
    }
    let is_at_once = parts.iter().all(|part| part.version == all.version);
    if !parts.is_empty() {
        let ranks = parts.iter().flat_map(|it| it.ranks.iter());
        all.ranks = all.ranks.iter().chain(ranks).copied().collect();
        let homes = parts.iter().flat_map(|it| it.homes.iter());
        all.homes = all.homes.iter().chain(homes).copied().collect();
    }
    Ok((all, is_at_once))
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
    use mesh_core::Incarnation;
    use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
    use mesh_shape::{Region, ValueMesh, extent};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::wire::Member;

    /// How many ranks it has, of which it tells one at once.
    const RANKS: usize = 3;

    /// A keeper whose first rank is elsewhere each time that something is asked; and it says that this is all, or never.
    struct Restless {
        n_asked: u64,
        is_ever_all: bool,
    }

    impl Restless {
        async fn asked(&mut self) -> u64 {
            sleep(Duration::from_millis(10)).await;
            self.n_asked += 1;
            self.n_asked
        }

        fn member(&self, rank: usize) -> Option<Member> {
            let incarnation = Incarnation::new(if rank == 0 { self.n_asked } else { 1 });
            Some(Member { incarnation, life: Incarnation::FIRST, index: rank as u64 })
        }
    }

    impl Actor for Restless {
        const NAME: &'static str = "restless";
        type Params = bool;

        async fn start(is_ever_all: bool, _: &mut Context<Self>) -> Result<Self, Failure> {
            Ok(Self { n_asked: 0, is_ever_all })
        }

        fn handlers(handlers: &mut Handlers<Self>) {
            handlers.takes::<GetMembers>().takes::<GetMoves>();
        }
    }

    impl Handler<GetMembers> for Restless {
        async fn handle(
            &mut self,
            GetMembers { start }: GetMembers,
            _: &mut Context<Self>,
        ) -> Result<Members, Failure> {
            let version = self.asked().await;
            Ok(Members {
                procs: mesh_core::MeshId::from_random(1),
                region: Arc::new(Region::all(extent!(procs = RANKS)?)),
                ranks: ValueMesh::uniform(1, self.member(start.index())),
                homes: ValueMesh::uniform(1, None),
                version,
                fan_out: mesh_cast::FanOut::ALL,
            })
        }
    }

    impl Handler<GetMoves> for Restless {
        async fn handle(&mut self, _: GetMoves, _: &mut Context<Self>) -> Result<Moves, Failure> {
            let version = self.asked().await;
            let moved = Moved { rank: Rank::new(0), member: self.member(0), home: None };
            Ok(Moves { moved: vec![moved], version, is_all: self.is_ever_all })
        }
    }

    /// H7, R2: one that never stays does not hide the others; and what is known then is all of one version.
    #[tokio::test(start_paused = true)]
    async fn a_rank_that_is_elsewhere_each_time_hides_no_other() {
        let proc = Proc::local().unwrap();
        let keeper = proc.spawn::<Restless>(true);
        let found = members(&proc, keeper.port()).await.map(|found| {
            let lives = found.ranks.iter().map(|member| member.map(|it| it.incarnation));
            (lives.collect::<Vec<_>>(), found.version)
        });
        let life = |number| Some(Incarnation::new(number));
        assert_eq!(found, Ok((vec![life(4), life(1), life(1)], 4)));
    }

    /// Every wait has a deadline: also one for what never stays the same.
    #[tokio::test(start_paused = true)]
    async fn ranks_that_move_all_the_time_are_not_asked_for_without_end() {
        let proc = Proc::local().unwrap();
        let keeper = proc.spawn::<Restless>(false);
        let (within, asked) = (proc.call_within(), Instant::now());
        let found = timeout(within * 3, members(&proc, keeper.port())).await;
        assert_eq!(found, Ok(Err(MembersError::Moving { within })));
        assert!(asked.elapsed() >= within, "{:?}", asked.elapsed());
    }
}
