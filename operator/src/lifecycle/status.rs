//! The status of a MetalLB object: what is so, and why.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use metallb_crds::metallb::{ComponentStatus, MetalLBStatus};

use super::readiness::Component;
use super::validate::{Misplaced, Violation};

/// What came of one look at a MetalLB object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The object is in a place where it has no effect.
    Misplaced(Misplaced),
    /// The object breaks rules; what was deployed for an earlier state of it goes on.
    Invalid(Vec<Violation>),
    /// The object is being deleted, and what was deployed is not gone yet.
    Removing {
        /// What is still there.
        remaining: Vec<String>,
    },
    /// What the object asks for was applied, as far as `failures` do not say otherwise.
    Deployed {
        /// The effective backend.
        backend: &'static str,
        /// Objects that could not be written, with the reason.
        failures: Vec<String>,
        /// The workloads.
        components: Vec<Component>,
    },
}

/// Longest text in a condition, in bytes: the API takes 32768, and nobody reads even this much.
const MESSAGE_LIMIT: usize = 2048;

struct State {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

/// The status for `verdict`. `previous` is what the object says now: a condition that stays as it is keeps the time of
/// its last transition, so that an unchanged verdict gives an unchanged status.
pub(crate) fn status(
    verdict: &Verdict,
    generation: Option<i64>,
    previous: Option<&MetalLBStatus>,
    now: &Time,
) -> MetalLBStatus {
    let before = previous
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let conditions = states(verdict)
        .into_iter()
        .map(|state| condition(state, generation, before, now))
        .collect();
    let (backend, components) = match verdict {
        Verdict::Deployed {
            backend, components, ..
        } => (
            Some((*backend).to_owned()),
            components.iter().map(component_status).collect(),
        ),
        // What was deployed for the last valid state goes on, and so does what is said about it.
        Verdict::Invalid(_) | Verdict::Removing { .. } => (
            previous.and_then(|status| status.backend.clone()),
            previous
                .map(|status| status.components.clone())
                .unwrap_or_default(),
        ),
        Verdict::Misplaced(_) => (None, Vec::new()),
    };
    MetalLBStatus {
        conditions,
        observed_generation: generation,
        backend,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        components,
    }
}

fn component_status(component: &Component) -> ComponentStatus {
    ComponentStatus {
        message: shortened(component.message(), MESSAGE_LIMIT),
        ..component.status.clone()
    }
}

fn condition(state: State, generation: Option<i64>, before: &[Condition], now: &Time) -> Condition {
    let status = if state.holds { "True" } else { "False" };
    let unchanged = before
        .iter()
        .find(|old| old.type_ == state.type_ && old.status == status);
    Condition {
        type_: state.type_.to_owned(),
        status: status.to_owned(),
        reason: state.reason.to_owned(),
        message: shortened(state.message, MESSAGE_LIMIT),
        observed_generation: generation,
        last_transition_time: unchanged.map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
    }
}

/// The four conditions, in the order users know: exactly one of Available, Progressing and Degraded stands out, except
/// that a roll-out which cannot finish by itself is Progressing and Degraded at once.
fn states(verdict: &Verdict) -> [State; 4] {
    match verdict {
        Verdict::Misplaced(misplaced) => degraded(misplaced.reason(), &misplaced.to_string()),
        Verdict::Invalid(violations) => {
            let texts: Vec<_> = violations.iter().map(ToString::to_string).collect();
            degraded("InvalidSpec", &texts.join("; "))
        }
        Verdict::Removing { remaining } => outcome(
            ("Removing", false),
            ("Removing", true),
            ("Removing", false),
            &format!("waiting for the end of {}", remaining.join(", ")),
        ),
        Verdict::Deployed { failures, .. } if !failures.is_empty() => {
            degraded("FailedToSyncMetalLBResources", &failures.join("; "))
        }
        Verdict::Deployed { components, .. } => workloads(components),
    }
}

fn workloads(components: &[Component]) -> [State; 4] {
    if components.iter().all(Component::is_ready) {
        return outcome(
            ("AllComponentsReady", true),
            ("AllComponentsReady", false),
            ("AsExpected", false),
            "",
        );
    }
    let messages: Vec<_> = components
        .iter()
        .filter(|component| !component.is_ready())
        .map(|component| format!("{}: {}", component.status.name, component.message()))
        .collect();
    let failing = components.iter().any(Component::is_failing);
    outcome(
        ("ComponentsNotReady", false),
        ("ComponentsNotReady", true),
        (if failing { "ComponentFailing" } else { "AsExpected" }, failing),
        &messages.join(". "),
    )
}

fn degraded(reason: &'static str, message: &str) -> [State; 4] {
    outcome((reason, false), (reason, false), (reason, true), message)
}

/// `Upgradeable` follows `Available`: one does not replace what does not work yet.
fn outcome(
    available: (&'static str, bool),
    progressing: (&'static str, bool),
    degraded: (&'static str, bool),
    message: &str,
) -> [State; 4] {
    let state = |type_, (reason, holds): (&'static str, bool), says: bool| State {
        type_,
        holds,
        reason,
        message: if says { message.to_owned() } else { String::new() },
    };
    [
        state("Available", available, !available.1),
        state("Upgradeable", available, !available.1),
        state("Progressing", progressing, progressing.1),
        state("Degraded", degraded, degraded.1),
    ]
}

/// `text`, cut to at most `limit` bytes if it is longer.
pub(crate) fn shortened(mut text: String, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() > limit {
        let room = limit.saturating_sub(MARK.len());
        let end = (0..=room)
            .rev()
            .find(|index| text.is_char_boundary(*index))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests;
