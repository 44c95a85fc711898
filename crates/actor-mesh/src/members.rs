//! What a keeper knows of the places of a mesh, fetched in parts: a frame of the control lane takes the places of
//! some thousand ranks only.

use std::sync::Arc;

use mesh_cast::shell::GetSeats;
use mesh_core::{ActorId, PortRef, ProcSeat};
use mesh_runtime::{CallError, Port, Proc};
use mesh_shape::{Rank, RankSet};

use crate::wire::{GetMembers, Members};

/// Of how many ranks the processes are asked for at once.
const SEATS_AT_ONCE: usize = 32;

/// The actors of a mesh, all as they were at one moment: begins anew when they change on the way.
pub(crate) async fn members(
    proc: &Proc,
    keeper: PortRef<GetMembers>,
) -> Result<Members, CallError> {
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
