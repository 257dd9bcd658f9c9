//! The loop: look at the inputs, decide what FRRouting shall do, make it do that, report.

use std::sync::Arc;
use std::time::Duration;

use metallb_crds::frrk8s::LogLevel;
use metallb_frr::config::Config;
use metallb_frr::render::{self, NodeSettings};
use metallb_kit::backoff::Backoff;
use metallb_kit::dirty::Dirty;
use metallb_kit::http::Gate;
use metallb_kit::logging;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::acceptance::Acceptance;
use crate::apply::{Frr, Outcome};
use crate::inputs::{Inputs, Snapshot};
use crate::metrics::Metrics;
use crate::status::{Publisher, Report, publishable};

/// How soon to look for a daemon that is not there. It is back within a second when FRRouting restarts it.
const SEARCH: Duration = Duration::from_millis(250);

/// How often to compare what FRRouting runs with to what it shall run with, when nothing else happens.
const INSPECTION: Duration = Duration::from_secs(10);

/// How soon after a change to compare, so that many changes in a row are compared once.
const VERIFICATION: Duration = Duration::from_secs(2);

/// Longest wait before a configuration that FRRouting refused is offered again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Everything the loop needs; see [`Agent::run`].
#[derive(Debug)]
pub struct Agent {
    pub inputs: Inputs,
    pub changed: Dirty<()>,
    pub frr: Frr,
    /// The settings that do not change while the agent runs; the log level holds unless the API says otherwise.
    pub node: NodeSettings,
    pub publisher: Publisher,
    pub metrics: Metrics,
    /// Open once FRRouting has been configured.
    pub configured: Gate,
}

/// What the loop remembers from one turn to the next.
#[derive(Debug)]
struct State {
    acceptance: Acceptance,
    wanted: Option<Arc<Config>>,
    report: Report,
    backoff: Backoff<()>,
    /// When to try again, or to compare.
    next_look: Instant,
    /// When to compare what FRRouting runs with to what it shall run with.
    inspection: Instant,
}

impl Agent {
    /// Runs until `shutdown`, and then leaves FRRouting as it is.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut state = State {
            acceptance: Acceptance::default(),
            wanted: None,
            report: Report::default(),
            backoff: Backoff::new(Duration::from_secs(1), LONGEST_RETRY),
            next_look: Instant::now(),
            inspection: Instant::now(),
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = self.changed.take() => self.decide(&mut state),
                () = self.frr.disturbed() => {}
                () = tokio::time::sleep_until(state.next_look) => {
                    if Instant::now() >= state.inspection {
                        self.frr.doubt();
                    }
                }
            }
            self.converge(&mut state).await;
        }
    }

    /// Works out what FRRouting shall do now.
    fn decide(&self, state: &mut State) {
        let Some(snapshot) = self.inputs.snapshot() else {
            return;
        };
        self.metrics.updates.inc();
        let decision = state.acceptance.decide(&snapshot);
        state.report.node_uid.clone_from(&snapshot.node_uid);
        for warning in &decision.warnings {
            tracing::warn!(warning, "FRRConfiguration in force");
        }
        for problem in &decision.problems {
            tracing::error!(problem, "FRRConfiguration not in force");
        }
        if decision.problems.is_empty() {
            state.report.status.last_conversion_result = "success".to_owned();
        } else {
            self.metrics.update_errors.inc();
            state.report.status.last_conversion_result = format!("failed: {}", decision.problems.join("; "));
        }
        let wanted = render::config(&decision.model, &self.settings(&snapshot));
        state.wanted = Some(Arc::new(wanted));
    }

    fn settings(&self, snapshot: &Snapshot) -> NodeSettings {
        let log_level = snapshot.log_level.unwrap_or(self.node.log_level);
        logging::set_level(flag(log_level));
        NodeSettings {
            log_level,
            ..self.node.clone()
        }
    }

    /// Makes FRRouting run as decided, and says how that went.
    async fn converge(&mut self, state: &mut State) {
        let Some(wanted) = &state.wanted else {
            state.next_look = Instant::now() + INSPECTION;
            return;
        };
        let outcome = self.frr.bring_to(wanted).await;
        self.schedule(&outcome, state);
        self.log(&outcome);
        self.count(&outcome, &state.report);
        self.report(outcome, state);
    }

    /// While a daemon is away it is looked for often, but what the others run with is not compared more often than else.
    fn schedule(&self, outcome: &Outcome, state: &mut State) {
        let now = Instant::now();
        if state.inspection <= now {
            state.inspection = now + INSPECTION;
        }
        if outcome.is_unverified {
            state.inspection = state.inspection.min(now + VERIFICATION);
        }
        state.next_look = if outcome.is_success() {
            state.backoff.succeeded(&());
            state.inspection
        } else if self.frr.is_complete() {
            now + state.backoff.failed(&())
        } else {
            now + SEARCH
        };
    }

    fn log(&self, outcome: &Outcome) {
        for refused in &outcome.refused {
            tracing::error!(
                daemon = %refused.daemon, line = refused.line, answer = refused.answer, "FRRouting refused a line"
            );
        }
        if outcome.sent > 0 {
            tracing::info!(
                lines = outcome.sent,
                refused = outcome.refused.len(),
                "FRRouting configured"
            );
        }
    }

    fn count(&self, outcome: &Outcome, report: &Report) {
        if outcome.is_success() {
            self.metrics.config_loaded.set(1);
            self.configured.open();
        } else if !outcome.refused.is_empty() {
            self.metrics.update_errors.inc();
            // The rest is in force; a line that FRRouting never takes must not keep the node from being ready.
            self.configured.open();
        }
        let is_current = outcome.is_success() && report.status.last_conversion_result == "success";
        self.metrics.config_stale.set(i64::from(!is_current));
    }

    fn report(&self, outcome: Outcome, state: &mut State) {
        state.report.status.last_reload_result = outcome.summary();
        if let Some(running) = outcome.running {
            state.report.status.running_config = publishable(running);
        }
        self.publisher.send_if_modified(|published| {
            let differs = published.as_ref() != Some(&state.report);
            if differs {
                *published = Some(state.report.clone());
            }
            differs
        });
    }
}

/// The level for FRRouting that goes with the one of the agent.
pub fn log_level(level: logging::LogLevel) -> LogLevel {
    use logging::LogLevel as Flag;
    match level {
        Flag::All => LogLevel::All,
        Flag::Debug => LogLevel::Debug,
        Flag::Info => LogLevel::Info,
        Flag::Warn => LogLevel::Warn,
        Flag::Error => LogLevel::Error,
        Flag::None => LogLevel::None,
    }
}

/// The level of the agent that goes with the one in the API.
fn flag(level: LogLevel) -> logging::LogLevel {
    use logging::LogLevel as Flag;
    match level {
        LogLevel::All => Flag::All,
        LogLevel::Debug => Flag::Debug,
        LogLevel::Info => Flag::Info,
        LogLevel::Warn => Flag::Warn,
        LogLevel::Error => Flag::Error,
        LogLevel::None => Flag::None,
    }
}
