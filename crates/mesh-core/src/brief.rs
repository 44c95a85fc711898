//! `Brief`: many failures in a few lines.

use std::fmt;

use mesh_shape::RankSet;

use crate::event::Failures;

/// Different ends that are named; of the others only the number is.
const ENDS: usize = 8;

/// Failures as an error message tells them: how many ranks have failed, however often each of them, those that ended
/// alike in one line, however many they are, the first eight kinds of ends, and the last lines on standard error of the
/// first rank that has any.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use mesh_core::{
/// #     Brief, Cause, Change, Epoch, Failures, Incarnation, MeshId, MeshLabel, Reason, Status,
/// # };
/// # use mesh_shape::{RankSet, Region};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let change = Change {
///     ranks: RankSet::from(0..998),
///     incarnation: Incarnation::FIRST,
///     status: Status::failed(Cause::new(Reason::Exit { code: 7 })),
///     restart_in: None,
///     age: Duration::ZERO,
/// };
/// let failures = Failures {
///     mesh: MeshLabel::new(MeshId::from_random(1), "train", "proc"),
///     region: Arc::new(Region::all("procs=1000".parse()?)),
///     reporter: Epoch::FIRST,
///     changes: vec![change],
///     waited: Duration::ZERO,
///     withdrawn: Vec::new(),
///     escalation: None,
/// };
/// assert_eq!(Brief(&[failures]).to_string(), "998 ranks: 0..998: failed: exit code 7");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Brief<'a>(pub &'a [Failures]);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = || self.0.iter().flat_map(|failures| &failures.changes);
        let mut ends: Vec<(RankSet, String)> = Vec::new();
        let (mut all, mut untold) = (RankSet::new(), RankSet::new());
        for change in changes() {
            // A rank that was started again may have failed several times.
            all = all.union(&change.ranks);
            let end = change.status.to_string();
            match ends.iter().position(|(_, known)| *known == end) {
                Some(index) => ends[index].0 = ends[index].0.union(&change.ranks),
                None if ends.len() < ENDS => ends.push((change.ranks.clone(), end)),
                None => untold = untold.union(&change.ranks),
            }
        }
        write!(f, "{} {}", all.len(), if all.len() == 1 { "rank" } else { "ranks" })?;
        for (index, (ranks, end)) in ends.iter().enumerate() {
            let before = if index == 0 { ":" } else { ";" };
            write!(f, "{before} {ranks}: {end}")?;
        }
        let more = ends.iter().fold(untold.clone(), |more, (ranks, _)| more.difference(ranks));
        if !more.is_empty() {
            write!(f, "; and {} more", more.len())?;
        } else if !untold.is_empty() {
            f.write_str("; and again in other ways")?;
        }
        let said = changes().find_map(|change| {
            let stderr = &change.status.cause()?.stderr;
            (!stderr.is_empty()).then_some((change.ranks.first()?, stderr))
        });
        if let Some((rank, lines)) = said {
            write!(f, "\n  the last lines of rank {rank} on standard error:")?;
            for line in lines {
                write!(f, "\n  | {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mesh_shape::Region;

    use super::*;
    use crate::cause::{Cause, Reason};
    use crate::event::Change;
    use crate::ids::{Epoch, Incarnation, MeshId, MeshLabel};
    use crate::status::Status;

    fn failures(ends: impl IntoIterator<Item = (usize, i32, Vec<String>)>) -> Failures {
        let change = |(rank, code, stderr): (usize, i32, Vec<String>)| Change {
            ranks: RankSet::from(rank..rank + 1),
            incarnation: Incarnation::FIRST,
            status: Status::failed(Cause::new(Reason::Exit { code }).with_stderr(stderr)),
            restart_in: None,
            age: Duration::ZERO,
        };
        Failures {
            mesh: MeshLabel::new(MeshId::from_random(1), "m", "proc"),
            region: Arc::new(Region::all("procs=100".parse().unwrap())),
            reporter: Epoch::FIRST,
            changes: ends.into_iter().map(change).collect(),
            waited: Duration::ZERO,
            withdrawn: Vec::new(),
            escalation: None,
        }
    }

    #[test]
    fn ranks_that_end_alike_are_told_together_with_what_the_first_said() {
        let first = failures([(3, 1, Vec::new()), (5, 2, vec!["no such file".to_owned()])]);
        let second = failures([(4, 1, vec!["later".to_owned()])]);
        assert_eq!(
            Brief(&[first, second]).to_string(),
            "3 ranks: 3..5: failed: exit code 1; 5: failed: exit code 2\
             \n  the last lines of rank 5 on standard error:\n  | no such file"
        );
    }

    #[test]
    fn of_too_many_ends_the_number_is_told() {
        let all = failures((0..20).map(|rank| (rank, rank as i32 + 1, Vec::new())));
        let text = Brief(&[all]).to_string();
        assert!(text.starts_with("20 ranks: 0: failed: exit code 1; 1: "), "{text}");
        assert!(text.ends_with("; 7: failed: exit code 8; and 12 more"), "{text}");
    }

    #[test]
    fn a_rank_that_has_failed_several_times_counts_once() {
        let alike = [failures([(1, 7, Vec::new())]), failures([(1, 7, Vec::new())])];
        assert_eq!(Brief(&alike).to_string(), "1 rank: 1: failed: exit code 7");
        let text = Brief(&[failures((1..20).map(|code| (1, code, Vec::new())))]).to_string();
        assert!(text.starts_with("1 rank: 1: failed: exit code 1; 1: "), "{text}");
        assert!(text.ends_with("; 1: failed: exit code 8; and again in other ways"), "{text}");
    }

    #[test]
    fn one_rank_is_one() {
        assert_eq!(
            Brief(&[failures([(9, 3, Vec::new())])]).to_string(),
            "1 rank: 9: failed: exit code 3"
        );
    }
}
