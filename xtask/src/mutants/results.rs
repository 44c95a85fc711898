//! `Results`: how each test ended, read from what its runner says.

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passed,
    Failed,
    /// It was ended, because it took too long.
    TimedOut,
}

/// How each test ended, in the order in which that was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Results(Vec<(String, Fate)>);

impl Results {
    /// Reads what cargo-nextest says: `PASS [ 0.005s] ( 1/119) controller::it health::a_test`.
    pub(super) fn of_nextest(text: &str) -> Self {
        // What comes after the summary is what tests have written themselves.
        let lines = text.lines().take_while(|line| !line.trim_start().starts_with("Summary ["));
        let mut results = Self::default();
        for line in lines {
            let Some((status, rest)) = line.split_once('[') else { continue };
            let Some(name) = rest.split_whitespace().last() else { continue };
            if let Some(fate) = fate(status.trim()) {
                results.put(name, fate);
            }
        }
        results
    }

    /// Reads what cargo's own runner says: `test health::a_test ... ok`.
    pub(super) fn of_libtest(text: &str) -> Self {
        let mut results = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("test ")) {
            if let Some((name, end)) = line.split_once(" ... ") {
                match end.split_whitespace().next() {
                    Some("ok") => results.put(name, Fate::Passed),
                    Some("FAILED") => results.put(name, Fate::Failed),
                    _ => (),
                }
            } else if let Some((name, _)) = line.split_once(" has been running for over ") {
                results.put(name, Fate::TimedOut);
            }
        }
        results
    }

    /// A test that took long and then ended has ended as it did.
    fn put(&mut self, name: &str, fate: Fate) {
        self.0.retain(|(known, before)| known != name || *before != Fate::TimedOut);
        self.0.push((name.to_owned(), fate));
    }

    pub(super) fn passed(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, fate)| *fate == Fate::Passed).map(|(name, _)| name.as_str())
    }

    /// Those that failed or took too long.
    pub(super) fn failed(&self) -> impl Iterator<Item = (&str, Fate)> {
        let failed = self.0.iter().filter(|(_, fate)| *fate != Fate::Passed);
        failed.map(|(name, fate)| (name.as_str(), *fate))
    }
}

/// What a word of cargo-nextest says of the end of a test; `None` if it says nothing of it.
fn fate(status: &str) -> Option<Fate> {
    let is_killed = status.starts_with("SIG") || status.starts_with("ABORT");
    if status.contains("FAIL") || is_killed {
        Some(Fate::Failed)
    } else if status.contains("TIMEOUT") {
        Some(Fate::TimedOut)
    } else if status.contains("PASS") || status == "LEAK" {
        Some(Fate::Passed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Results};

    fn results(of: &[(&str, Fate)]) -> Results {
        Results(of.iter().map(|&(name, fate)| (name.to_owned(), fate)).collect())
    }

    #[test]
    fn nextest_is_understood() {
        let text = "\
    Starting 4 tests across 2 binaries (96 tests skipped)
        PASS [   0.005s] (1/5) controller lease::tests::a_lease
        SLOW [> 60.000s] (───) controller::it model::it_holds
        FAIL [   0.004s] (2/5) controller::it stop::it_stops
     TIMEOUT [ 180.004s] (3/5) controller::it model::it_holds
     SIGABRT [   0.104s] (4/5) controller::it health::it_lives
        LEAK [   0.104s] (5/5) controller::it health::it_leaks
     Summary [   3.710s] 5 tests run: 1 passed (1 leaky), 3 failed, 0 skipped
        FAIL [   0.004s] (2/5) what::a_test_has_written
";
        let expected = [
            ("lease::tests::a_lease", Fate::Passed),
            ("stop::it_stops", Fate::Failed),
            ("model::it_holds", Fate::TimedOut),
            ("health::it_lives", Fate::Failed),
            ("health::it_leaks", Fate::Passed),
        ];
        assert_eq!(Results::of_nextest(text), results(&expected));
    }

    #[test]
    fn libtest_is_understood() {
        let text = "\
running 5 tests
test stop::it_stops ... FAILED
test model::it_holds has been running for over 60 seconds
test loop::it_ends has been running for over 60 seconds
test lease::it_panics - should panic ... ok
test lease::nobody_cares ... ignored
test model::it_holds ... ok
";
        let expected = [
            ("stop::it_stops", Fate::Failed),
            ("loop::it_ends", Fate::TimedOut),
            ("lease::it_panics - should panic", Fate::Passed),
            ("model::it_holds", Fate::Passed),
        ];
        assert_eq!(Results::of_libtest(text), results(&expected));
    }
}
