//! Whether an actor that has nothing to do looks for the next message a moment longer before it sleeps.

/// Where that was in vain, it is tried again more and more seldom: on one thread nobody can send meanwhile, and where
/// messages are far apart none comes.
#[derive(Debug)]
pub(super) struct Patience {
    /// How often not to try.
    rest: u8,
    /// How often it was not tried after the last time.
    longer: u8,
}

impl Patience {
    /// Many an actor never has two messages in a row: it is first tried where there were some.
    pub(super) const NEW: Self = Self { rest: 7, longer: 7 };

    /// Whether something has come: `linger` says so, if it is tried.
    pub(super) fn lingers(&mut self, linger: impl FnOnce() -> bool) -> bool {
        if let Some(rest) = self.rest.checked_sub(1) {
            self.rest = rest;
            return false;
        }
        let pays = linger();
        self.longer = if pays { 0 } else { self.longer << 1 | 1 };
        self.rest = self.longer;
        pays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_vain_is_tried_again_more_and_more_seldom() {
        let mut patience = Patience::NEW;
        let mut tries = Vec::new();
        for nth in 0..600 {
            patience.lingers(|| {
                tries.push(nth);
                false
            });
        }
        assert_eq!(tries, [7, 23, 55, 119, 247, 503]);
    }

    #[test]
    fn what_pays_is_tried_each_time() {
        let mut patience = Patience::NEW;
        for _ in 0..7 {
            assert!(!patience.lingers(|| true), "not tried");
        }
        for _ in 0..3 {
            assert!(patience.lingers(|| true));
        }
    }
}
