//! budget: how many restarts were made, counted from what came out alone (RS3, K3).

use mesh_core::{RestartConfig, Strategy};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// The restarts of one mesh.
#[derive(Debug)]
pub(super) struct Budget {
    /// `None` once they have changed: then nothing is said.
    rules: Option<RestartConfig>,
    n_made: usize,
    /// How many there may have been with the round that was announced.
    allowed: Option<usize>,
}

impl Budget {
    pub(super) const fn new(rules: RestartConfig) -> Self {
        Self { rules: Some(rules), n_made: 0, allowed: None }
    }

    /// RS3, K3: those that this controller has made and those that it has found together are never more
    /// than are allowed, where there is no period. Of this step: how many ends were told that another
    /// life follows, and how many ranks began one.
    pub(super) fn check(
        &mut self,
        rules: &RestartConfig,
        n_adopted: usize,
        (n_announced, n_begun): (usize, usize),
    ) -> TestCaseResult {
        self.rules.take_if(|first| first != rules || first.period.is_some());
        if self.rules.is_none() {
            return Ok(());
        }
        let left = (rules.max_restarts as usize).saturating_sub(n_adopted);
        if rules.strategy == Strategy::OneForOne {
            self.n_made += n_announced;
            prop_assert!(n_announced == 0 || self.n_made <= left, "{} of {}", self.n_made, left);
            return Ok(());
        }
        // A round begins before the next is announced.
        if n_begun > 0 {
            self.n_made += 1;
            let allowed = self.allowed.take();
            prop_assert!(allowed >= Some(self.n_made), "{} of {:?}", self.n_made, allowed);
        }
        if n_announced > 0 {
            self.allowed.get_or_insert(left);
        }
        Ok(())
    }
}
