//! `counted`: a number with its word, for one and for several.

pub(crate) const RANKS: [&str; 2] = ["rank", "ranks"];

/// So many of something.
pub(crate) fn counted(n: usize, [one, several]: [&str; 2]) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// So many processes are left over.
pub(crate) fn left_over(n: usize) -> String {
    format!("{} left over", counted(n, ["process is", "processes are"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let told = [0, 1, 2].map(left_over);
        let expected =
            ["0 processes are left over", "1 process is left over", "2 processes are left over"];
        assert_eq!(told, expected);
    }
}
