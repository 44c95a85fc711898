//! Cutting a row of things into groups of about one size.

/// The end of a group: how many things come before it, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) n_items: usize,
    pub(crate) bytes: u64,
}

/// Where to cut a row of things of these sizes, so that no group of several has more than a `parts`th
/// of the `total`. The last cut is the end of the row.
///
/// With at least two parts, at least two things are cut at least once.
pub(crate) fn cuts(sizes: impl Iterator<Item = u64>, total: u64, parts: u64) -> Vec<Cut> {
    let target = total / parts.max(1);
    let mut cuts = Vec::new();
    let mut begun = Cut::default();
    let mut end = Cut::default();
    for bytes in sizes {
        let next = end.bytes + bytes;
        if end.n_items > begun.n_items && next - begun.bytes > target {
            cuts.push(end);
            begun = end;
        }
        end = Cut { n_items: end.n_items + 1, bytes: next };
    }
    if end.n_items > begun.n_items {
        cuts.push(end);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(sizes: &[u64], parts: u64) -> Vec<u64> {
        let cuts = cuts(sizes.iter().copied(), sizes.iter().sum(), parts);
        assert_eq!(cuts.last().map_or(0, |cut| cut.n_items), sizes.len());
        let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut.bytes));
        starts.zip(&cuts).map(|(start, cut)| cut.bytes - start).collect()
    }

    #[test]
    fn groups_are_no_larger_than_their_part_if_they_can() {
        assert_eq!(groups(&[1; 8], 4), [2, 2, 2, 2]);
        assert_eq!(groups(&[1, 1, 1, 9, 1, 1], 2), [3, 9, 2]);
        assert!(groups(&[], 4).is_empty());
    }

    #[test]
    fn two_things_are_never_in_one_group() {
        for sizes in [[1, 100], [100, 1], [50, 50], [1, 1]] {
            assert_eq!(groups(&sizes, 16), sizes);
        }
        assert_eq!(groups(&[7], 16), [7]);
    }
}
