//! `Edit`: whole lines of one file, and what stands there instead.

/// Whole lines of one file, and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The file, as a path from the root.
    pub(super) file: String,
    /// Where the block begins in the file of the mutant.
    pub(super) line: usize,
    /// The lines that are replaced, each with its end of line. Not empty.
    pub(super) old: String,
    /// The lines that replace them; none if they are only taken out.
    pub(super) new: String,
}

impl Edit {
    /// The text with the new lines in it.
    ///
    /// # Errors
    ///
    /// What is wrong, if the old lines do not stand in the text exactly once.
    pub(super) fn apply(&self, text: &str) -> Result<String, String> {
        let places: Vec<usize> = text
            .match_indices(&self.old)
            .map(|(at, _)| at)
            .filter(|at| is_start(text, *at))
            .collect();
        match places[..] {
            [at] => {
                let (before, rest) = text.split_at(at);
                Ok(format!("{before}{}{}", self.new, &rest[self.old.len()..]))
            }
            [] => Err(self.why_nowhere(text)),
            _ => {
                let lines: Vec<String> =
                    places.iter().map(|at| line_number(text, *at).to_string()).collect();
                let (n_places, lines) = (places.len(), lines.join(", "));
                Err(format!("stands {n_places} times in {}, at lines {lines}", self.file))
            }
        }
    }

    fn why_nowhere(&self, text: &str) -> String {
        let is_missing = |line: &&str| !text.lines().any(|known| known == *line);
        match self.old.lines().find(is_missing) {
            Some(line) => format!("does not stand in {}: no line there is `{line}`", self.file),
            None => format!("does not stand in {}: its lines do, but not together", self.file),
        }
    }
}

fn is_start(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes()[at - 1] == b'\n'
}

/// Counted from 1.
fn line_number(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::Edit;

    fn apply(text: &str, old: &str, new: &str) -> Result<String, String> {
        Edit { file: "a.rs".to_owned(), line: 1, old: old.to_owned(), new: new.to_owned() }
            .apply(text)
    }

    #[test]
    fn whole_lines_are_replaced() {
        assert_eq!(apply("a\nb\nc\n", "b\n", "x\ny\n"), Ok("a\nx\ny\nc\n".to_owned()));
        assert_eq!(apply("a\nb\n", "a\n", ""), Ok("b\n".to_owned()));
    }

    #[test]
    fn the_end_of_a_longer_line_is_no_place() {
        assert_eq!(apply("let a = b\nb\n", "b\n", "c\n"), Ok("let a = b\nc\n".to_owned()));
    }

    #[test]
    fn two_places_are_refused_and_named() {
        let why = "stands 2 times in a.rs, at lines 1, 3";
        assert_eq!(apply("b\na\nb\n", "b\n", "c\n"), Err(why.to_owned()));
    }

    #[test]
    fn no_place_is_refused_with_the_line_that_is_missing() {
        let why = "does not stand in a.rs: no line there is `d`";
        assert_eq!(apply("a\nb\nc\n", "c\nd\n", ""), Err(why.to_owned()));
        let why = "does not stand in a.rs: its lines do, but not together";
        assert_eq!(apply("a\nb\nc\n", "a\nc\n", ""), Err(why.to_owned()));
    }
}
