//! Counting words.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How often each word stands in some texts.
///
/// A word is a run of letters and digits, as Unicode knows them, in lower case. Tallies of the pieces
/// of a text add up to that of the text if it is cut between words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    counts: HashMap<String, u64>,
}

impl Tally {
    /// Counts the words of `text`.
    pub(crate) fn count(&mut self, text: &str) {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
                self.add(word, 1);
            } else {
                self.add(&word.to_lowercase(), 1);
            }
        }
    }

    /// Adds the counts of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (word, n) in &other.counts {
            self.add(word, *n);
        }
    }

    /// The number of words.
    pub(crate) fn words(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The number of different words.
    pub(crate) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// The `n` most frequent words, the first the most frequent; of equals the first in the alphabet.
    pub(crate) fn top(&self, n: usize) -> Vec<(String, u64)> {
        let mut top: Vec<(&String, u64)> = self.counts.iter().map(|(word, n)| (word, *n)).collect();
        top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        top.into_iter().take(n).map(|(word, n)| (word.clone(), n)).collect()
    }

    fn add(&mut self, word: &str, n: u64) {
        match self.counts.get_mut(word) {
            Some(count) => *count += n,
            None => _ = self.counts.insert(word.to_owned(), n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        tally.count(text);
        tally
    }

    fn top(text: &str) -> Vec<(String, u64)> {
        tally(text).top(10)
    }

    #[test]
    fn a_word_is_a_run_of_letters_and_digits_in_lower_case() {
        let expected = [("don", 1), ("t", 1), ("x86", 1), ("ärger", 2), ("東京", 1)];
        let mut found = top("Don't_x86 — ÄRGER, ärger;\t東京!");
        found.sort();
        assert_eq!(found, expected.map(|(word, n)| (word.to_owned(), n)));
        assert_eq!(tally(" .,-\n").words(), 0);
    }

    #[test]
    fn the_most_frequent_come_first_and_equals_by_the_alphabet() {
        let found: Vec<String> = top("b a c c a d b c").into_iter().map(|(word, _)| word).collect();
        assert_eq!(found, ["c", "a", "b", "d"]);
        assert_eq!(tally("a b c").top(2).len(), 2);
    }

    #[test]
    fn the_tallies_of_lines_add_up_to_that_of_the_text() {
        let text = "One fish\ntwo fish\nRed fish\nblue FISH\n";
        let mut sum = Tally::default();
        for line in text.lines() {
            sum.merge(&tally(line));
        }
        assert_eq!(sum, tally(text));
        assert_eq!((sum.words(), sum.distinct()), (8, 5));
    }
}
