//! One line per step on the terminal, with the time it took.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};

/// Prints steps with the seconds since the start and the seconds each one took.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Starts the clock.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Seconds since the start.
    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Runs `action` as the step `what`.
    ///
    /// # Errors
    /// Whatever `action` returns, with `what` as context.
    pub fn step<T>(&self, what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
        print!("[{:6.1} s] {what} ... ", self.elapsed());
        let _ = std::io::stdout().flush();
        let begin = Instant::now();
        let result = action();
        let took = begin.elapsed().as_secs_f64();
        println!("{} ({took:.1} s)", if result.is_ok() { "ok" } else { "FAILED" });
        result.with_context(|| what.to_owned())
    }

    /// Prints a line between steps.
    pub fn say(&self, line: &str) {
        println!("[{:6.1} s] {line}", self.elapsed());
    }
}
