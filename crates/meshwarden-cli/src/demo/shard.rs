//! Who counts what: files dealt out by size, and each worker's share in small batches.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::demo::cuts::cuts;
use crate::demo::source::{Piece, Source};
use crate::demo::tally::Tally;

/// What is counted at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) pieces: Vec<Piece>,
}

/// A file that cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unread {
    /// Its path; only one that is UTF-8 can be told as it is.
    path: String,
    /// Why, for people.
    why: String,
}

/// The share of one rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) n_files: usize,
    pub(crate) bytes: u64,
    pub(crate) batches: Vec<Batch>,
}

impl Batch {
    /// Counts its words.
    ///
    /// # Errors
    ///
    /// If a file of it cannot be read, or is not what it was.
    pub(crate) fn count(&self) -> Result<Tally, Unread> {
        let mut tally = Tally::default();
        for piece in &self.pieces {
            let text = piece.read().map_err(|error| Unread {
                path: piece.path().to_string_lossy().into_owned(),
                why: format!("{error:#}"),
            })?;
            tally.count(&text);
        }
        Ok(tally)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be counted: {}; run it again", self.path, self.why)
    }
}

impl std::error::Error for Unread {}

/// Deals the files out to `n_ranks` ranks: the largest first, each to the rank that has least. If that
/// leaves nobody with two batches, one rank gets all: it can be caught between two files.
pub(crate) fn deal(sources: &[Source], n_ranks: usize) -> Vec<Shard> {
    let shards = deal_evenly(sources, n_ranks);
    if n_ranks < 2 || victim(&shards).is_some() {
        return shards;
    }
    let mut shards = deal_evenly(sources, 1);
    shards.resize_with(n_ranks, Shard::default);
    shards
}

fn deal_evenly(sources: &[Source], n_ranks: usize) -> Vec<Shard> {
    let mut dealt: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); n_ranks];
    let mut by_size: Vec<usize> = (0..sources.len()).collect();
    by_size.sort_by_key(|index| std::cmp::Reverse(sources[*index].bytes()));
    for index in by_size {
        // Of equals the first.
        if let Some((bytes, files)) = dealt.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += sources[index].bytes();
            files.push(index);
        }
    }
    dealt
        .into_iter()
        .map(|(bytes, mut files)| {
            files.sort_unstable();
            let pieces = files.iter().flat_map(|index| sources[*index].pieces()).collect();
            Shard { n_files: files.len(), bytes, batches: batches(pieces, bytes) }
        })
        .collect()
}

/// The rank with the most work of those that can be caught between two batches; `None` if there is
/// none.
pub(crate) fn victim(shards: &[Shard]) -> Option<usize> {
    let busy = shards.iter().enumerate().filter(|(_, shard)| shard.batches.len() >= 2);
    // Of equals the first.
    busy.rev().max_by_key(|(_, shard)| shard.bytes).map(|(rank, _)| rank)
}

fn batches(pieces: Vec<Piece>, bytes: u64) -> Vec<Batch> {
    let parts = BATCHES.max(bytes / BATCH_BYTES);
    let ends = cuts(pieces.iter().map(Piece::bytes), bytes, parts);
    let mut pieces = pieces.into_iter();
    let mut batches = Vec::with_capacity(ends.len());
    let mut begun = 0;
    for end in ends {
        let mut left = end.n_items - begun;
        begun = end.n_items;
        while left > 0 {
            let n_pieces = left.min(PIECES_MAX);
            left -= n_pieces;
            batches.push(joined(pieces.by_ref().take(n_pieces)));
        }
    }
    batches
}

fn joined(pieces: impl Iterator<Item = Piece>) -> Batch {
    let mut batch = Batch::default();
    for piece in pieces {
        let left = match batch.pieces.last_mut() {
            Some(last) => last.join(piece),
            None => Some(piece),
        };
        batch.pieces.extend(left);
    }
    batch
}

/// The batches of a shard, about: enough to be caught in mid-run.
const BATCHES: u64 = 16;
/// The most bytes of a batch of several pieces, about.
const BATCH_BYTES: u64 = 1024 * 1024;
/// The most pieces of a batch, so that their paths fit into one message.
const PIECES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(lines: &[usize]) -> Vec<Source> {
        let source = |(index, n): (usize, &usize)| Source::fake(&index.to_string(), &text(*n));
        lines.iter().enumerate().map(source).collect()
    }

    fn text(n_lines: usize) -> String {
        "1234567\n".repeat(n_lines)
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let batch = Batch { pieces: Source::fake("/no/such/file", "x\n").pieces().collect() };
        let unread = batch.count().unwrap_err().to_string();
        assert!(unread.starts_with("/no/such/file cannot be counted: "), "{unread}");
    }

    #[test]
    fn files_are_balanced_by_size() {
        let shards = deal(&sources(&[5, 1, 4, 2, 3, 9]), 3);
        let dealt: Vec<_> = shards.iter().map(|shard| (shard.n_files, shard.bytes / 8)).collect();
        assert_eq!(dealt, [(1, 9), (3, 8), (2, 7)]);
        assert_eq!(victim(&shards), Some(0));
    }

    #[test]
    fn more_ranks_than_files_leave_some_without_work() {
        let shards = deal(&sources(&[3]), 3);
        let n_batches: Vec<_> = shards.iter().map(|shard| shard.batches.len()).collect();
        assert_eq!(n_batches, [3, 0, 0]);
        assert_eq!(victim(&shards), Some(0));
        assert_eq!(deal(&sources(&[3]), 0), []);
    }

    #[test]
    fn every_byte_is_in_exactly_one_batch() {
        for lines in [&[1, 1][..], &[40, 3, 1000, 2], &[1; 3000]] {
            let sources = sources(lines);
            let shards = deal(&sources, 2);
            let bytes = |shard: &Shard| -> u64 {
                shard.batches.iter().flat_map(|it| &it.pieces).map(Piece::bytes).sum()
            };
            let dealt: Vec<_> = shards.iter().map(bytes).collect();
            assert_eq!(dealt, shards.iter().map(|shard| shard.bytes).collect::<Vec<_>>());
            assert_eq!(dealt.iter().sum::<u64>(), sources.iter().map(Source::bytes).sum::<u64>());
        }
    }

    #[test]
    fn two_lines_are_two_batches_of_one_rank_and_one_line_makes_no_victim() {
        for lines in [&[2][..], &[1, 1]] {
            for n_ranks in 1..4 {
                assert_eq!(deal(&sources(lines), n_ranks)[0].batches.len(), 2, "{lines:?}");
            }
        }
        assert_eq!(victim(&deal(&sources(&[1]), 1)), None);
        assert_eq!(victim(&deal(&sources(&[1]), 3)), None);
    }

    #[test]
    fn the_pieces_of_one_file_in_one_batch_are_one() {
        // The large file is cut finer than its batches are.
        let shard = &deal(&sources(&[16, 1600]), 1)[0];
        assert!(shard.batches.iter().all(|batch| batch.pieces.len() <= 2), "{shard:?}");
    }
}
