//! Growing waits between attempts, one series per key.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

/// Exponential back-off per key: each failure doubles the wait, a success forgets it. O(1) per call.
#[derive(Debug)]
pub struct Backoff<T> {
    min: Duration,
    max: Duration,
    failures: HashMap<T, u32>,
}

impl<T: Eq + Hash + Clone> Backoff<T> {
    /// Waits start at `min` and never exceed `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failures: HashMap::new(),
        }
    }

    /// Notes one more failure of `key` and says how long to wait before the next attempt. The wait is jittered by up
    /// to a quarter, so that many nodes that failed together do not come back together.
    pub fn failed(&mut self, key: &T) -> Duration {
        let count = self.failures.entry(key.clone()).or_insert(0);
        let wait = self.min.saturating_mul(1 << (*count).min(20)).min(self.max);
        *count += 1;
        let jitter = RandomState::new().hash_one(*count) % 256;
        wait - wait.mul_f64(f64::from(u32::try_from(jitter).unwrap_or(0)) / 1024.0)
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&mut self, key: &T) {
        self.failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_start_again_after_a_success() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(min, max);
        let first = backoff.failed(&"a");
        assert!(first <= min && first >= min.mul_f64(0.7), "{first:?}");
        for _ in 0..40 {
            backoff.failed(&"a");
        }
        assert!(backoff.failed(&"a") > Duration::from_secs(3));
        assert!(backoff.failed(&"a") <= max);
        assert!(backoff.failed(&"b") <= min, "keys do not share their failures");
        backoff.succeeded(&"a");
        assert!(backoff.failed(&"a") <= min);
    }
}
