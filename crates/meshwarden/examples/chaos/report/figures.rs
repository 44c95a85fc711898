//! Figures as text: counts with their bounds, percentiles, and ratios to a floor.

use std::time::Duration;

/// A count of `n`; for none, what the truth is not above, with 95 % confidence: 3/N.
pub(crate) fn bounded(count: usize, n: usize) -> String {
    if count > 0 || n == 0 {
        return format!("{count} of {n}");
    }
    format!("0 of {n} (≤ {:.2} %)", (300.0 / n as f64).min(100.0))
}

/// Percentiles, in milliseconds.
pub(crate) fn spread(sorted: &[Duration], percents: &[usize]) -> String {
    if sorted.is_empty() {
        return "–".to_owned();
    }
    let texts = percents.iter().map(|it| format!("{:.2}", millis(percentile(sorted, *it))));
    texts.collect::<Vec<_>>().join(" / ")
}

/// How many times the floor they are, at p50 and at p99.
pub(crate) fn ratios(sorted: &[Duration], floor: &[Duration]) -> String {
    // Who continues a child has told its parent before he comes back: that is no time.
    if sorted.is_empty() || percentile(floor, 50) < FLOOR_MIN {
        return "–".to_owned();
    }
    let ratio = |percent| {
        let floor = percentile(floor, percent);
        let ratio = percentile(sorted, percent).as_secs_f64() / floor.as_secs_f64();
        format!("{ratio:.1}")
    };
    format!("{} / {}", ratio(50), ratio(99))
}

/// The nearest-rank percentile of what is in rising order; 0 of nothing.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let nearest = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(nearest - 1).copied().unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A floor below that is none.
const FLOOR_MIN: Duration = Duration::from_micros(20);
#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl Iterator<Item = u64>) -> Vec<Duration> {
        millis.map(Duration::from_millis).collect()
    }

    #[test]
    fn nothing_of_many_is_not_nothing() {
        assert_eq!(bounded(0, 300), "0 of 300 (≤ 1.00 %)");
        assert_eq!(bounded(0, 10_000), "0 of 10000 (≤ 0.03 %)");
        assert_eq!(bounded(0, 2), "0 of 2 (≤ 100.00 %)");
        assert_eq!(bounded(3, 300), "3 of 300");
        assert_eq!(bounded(0, 0), "0 of 0");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted = times(1..=200);
        let found = [50, 99, 100].map(|percent| percentile(&sorted, percent).as_millis());
        assert_eq!(found, [100, 198, 200]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
        assert_eq!(spread(&sorted, &[50, 99]), "100.00 / 198.00");
        assert_eq!(spread(&[], &[50]), "–");
    }

    #[test]
    fn a_figure_is_so_many_times_its_floor() {
        assert_eq!(ratios(&times(1..=200), &times(1..=100)), "2.0 / 2.0");
        assert_eq!(ratios(&times(1..=200), &[]), "–");
        assert_eq!(ratios(&times(1..=200), &[Duration::from_micros(1)]), "–");
    }
}
