//! The ranks of a mesh a few at a time, each part in turn: what a rank of a few costs where as many live as in a call of
//! all of them.
//!
//! A call of all is one of many ranks, and one of ranks that many live beside: they share the caches of the machine. A
//! call of a part has the second without the first. So what a rank of all costs beside one of a part is due to how many
//! ranks a call has; and what one of a part costs beside one of a mesh that has no more, to how many live.

use meshwarden::prelude::*;

use super::tool::Tool;

/// The parts of a mesh of one dim, `few` ranks each; none if there would be only one.
pub(crate) fn of(
    tools: &ActorMeshRef<Tool>,
    few: usize,
) -> Result<Vec<ActorMeshRef<Tool>>, ClientError> {
    let n = tools.extent().size();
    let part = |first| {
        let few = isize::try_from(few)?;
        let from = isize::try_from(first)?;
        Ok(tools.slice("procs", from..from + few)?)
    };
    (0..n).step_by(few).filter(|_| n > few).map(part).collect()
}
