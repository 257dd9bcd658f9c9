//! Whether what was deployed works: the state of each workload, and why a pod of it is not ready.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::DynamicObject;
use metallb_crds::metallb::ComponentStatus;

use super::object::{Desired, Kind};

/// One workload and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Name and number of pods; `message` is left empty.
    pub status: ComponentStatus,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// What has to happen still; empty when the workload is as it should be.
    pub waiting: Option<String>,
    /// Why single pods are not ready.
    pub problems: Vec<Problem>,
}

/// Why a pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// It will not go away by waiting.
    pub lasting: bool,
    /// The node of the pod, or its name when it has no node.
    pub place: String,
    /// What is wrong.
    pub cause: String,
}

/// How many pods a message names; the rest is counted.
const NAMED: usize = 3;

impl Component {
    /// All pods of the newest revision are ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.waiting.is_none()
    }

    /// Something is wrong that will not go away by waiting.
    pub(crate) fn is_failing(&self) -> bool {
        self.waiting.is_some() && self.problems.iter().any(|problem| problem.lasting)
    }

    /// One line, such as "1 of 2 pods ready; node b: container speaker image x cannot be pulled"; empty when the
    /// workload is as it should be.
    pub(crate) fn message(&self) -> String {
        let mut parts: Vec<String> = self.waiting.iter().cloned().collect();
        // Lasting problems first.
        let mut problems: Vec<_> = self.problems.iter().collect();
        problems.sort_by_key(|problem| !problem.lasting);
        parts.extend(
            problems
                .iter()
                .take(NAMED)
                .map(|problem| format!("{}: {}", problem.place, problem.cause)),
        );
        if problems.len() > NAMED {
            parts.push(format!("and {} more", problems.len() - NAMED));
        }
        parts.join("; ")
    }
}

/// The state of a workload. `live` is the object as the API server has it; `None` when it is not there yet.
pub(crate) fn component(desired: &Desired, live: Option<&DynamicObject>) -> Option<Component> {
    let live_value = live.and_then(|live| serde_json::to_value(live).ok());
    let wanted = serde_json::to_value(&desired.object).ok()?;
    let (counts, template) = match desired.key.kind {
        Kind::DaemonSet => {
            let wanted: DaemonSet = serde_json::from_value(wanted).ok()?;
            let live = live_value.and_then(|live| serde_json::from_value(live).ok());
            (daemon_set(live.as_ref()), wanted.spec?.template)
        }
        Kind::Deployment => {
            let wanted: Deployment = serde_json::from_value(wanted).ok()?;
            let live = live_value.and_then(|live| serde_json::from_value(live).ok());
            (deployment(live.as_ref()), wanted.spec?.template)
        }
        _ => return None,
    };
    let main = template.spec.as_ref().and_then(|spec| spec.containers.first());
    Some(Component {
        status: ComponentStatus {
            kind: desired.key.kind.to_string(),
            name: desired.key.name.clone(),
            desired: counts.desired,
            updated: counts.updated,
            ready: counts.ready,
            image: main
                .and_then(|container| container.image.clone())
                .unwrap_or_default(),
            message: String::new(),
        },
        selector: selector(desired),
        waiting: counts.waiting,
        problems: Vec::new(),
    })
}

/// The labels by which the pods of a workload are found.
fn selector(desired: &Desired) -> BTreeMap<String, String> {
    let labels = desired.object.data.pointer("/spec/selector/matchLabels").cloned();
    labels
        .and_then(|labels| serde_json::from_value(labels).ok())
        .unwrap_or_default()
}

struct Counts {
    desired: i32,
    updated: i32,
    ready: i32,
    waiting: Option<String>,
}

impl Counts {
    fn missing() -> Self {
        Self {
            desired: 0,
            updated: 0,
            ready: 0,
            waiting: Some("does not exist yet".to_owned()),
        }
    }

    /// `seen`: the workload's own controller has seen its present generation. `created`: how many pods there are.
    fn new(seen: bool, desired: i32, created: i32, updated: i32, ready: i32) -> Self {
        let waiting = if !seen {
            Some("waiting for the cluster to act on it".to_owned())
        } else if created < desired {
            Some(format!("{created} of {desired} pods created"))
        } else if updated < desired {
            Some(format!("{updated} of {desired} pods updated"))
        } else if ready < desired {
            Some(format!("{ready} of {desired} pods ready"))
        } else if created > desired {
            Some(format!("{} old pods to go", created - desired))
        } else {
            None
        };
        Self {
            desired,
            updated,
            ready,
            waiting,
        }
    }
}

fn daemon_set(live: Option<&DaemonSet>) -> Counts {
    let Some(live) = live else {
        return Counts::missing();
    };
    let status = live.status.clone().unwrap_or_default();
    Counts::new(
        status.observed_generation >= live.metadata.generation,
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.updated_number_scheduled.unwrap_or_default(),
        status.number_ready,
    )
}

fn deployment(live: Option<&Deployment>) -> Counts {
    let Some(live) = live else {
        return Counts::missing();
    };
    let status = live.status.clone().unwrap_or_default();
    let mut counts = Counts::new(
        status.observed_generation >= live.metadata.generation,
        live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        status.replicas.unwrap_or_default(),
        status.updated_replicas.unwrap_or_default(),
        status.ready_replicas.unwrap_or_default(),
    );
    // Pods that cannot even be created (quota, pod security) are only told of here.
    let failure = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure");
    if let (Some(waiting), Some(failure)) = (
        &mut counts.waiting,
        failure.filter(|failure| failure.status == "True"),
    ) {
        waiting.push_str(": ");
        waiting.push_str(failure.message.as_deref().unwrap_or("pods cannot be created"));
    }
    counts
}

/// Why `pod` is not ready; `None` when it is, or when it is on its way out.
pub(crate) fn problem(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let condition = |type_: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == type_)
    };
    if pod.metadata.deletion_timestamp.is_some()
        || condition("Ready").is_some_and(|ready| ready.status == "True")
    {
        return None;
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let place = node.map_or_else(
        || format!("pod {}", pod.name_any()),
        |node| format!("node {node}"),
    );
    if let Some(unscheduled) = condition("PodScheduled").filter(|scheduled| scheduled.status == "False") {
        let why = unscheduled.message.as_deref().unwrap_or("no node fits");
        return Some(Problem {
            lasting: true,
            place,
            cause: format!("cannot be scheduled: {why}"),
        });
    }
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    let (lasting, cause) = containers
        .filter(|container| !is_done(container))
        .map(container_problem)
        .max_by_key(|(lasting, _)| *lasting)
        .unwrap_or_else(|| (false, "is starting".to_owned()));
    Some(Problem {
        lasting,
        place,
        cause,
    })
}

/// Running and ready, or an init container that did its work.
fn is_done(container: &ContainerStatus) -> bool {
    let terminated = container
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    container.ready || terminated.is_some_and(|end| end.exit_code == 0)
}

fn container_problem(container: &ContainerStatus) -> (bool, String) {
    let state = container.state.clone().unwrap_or_default();
    let last = container.last_state.clone().unwrap_or_default().terminated;
    let (lasting, what) = match (state.waiting, state.terminated, last) {
        (Some(waiting), _, last) => match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                (true, format!("image {} cannot be pulled", container.image))
            }
            "CrashLoopBackOff" => (
                true,
                format!("keeps ending{}", last.map(ending).unwrap_or_default()),
            ),
            reason @ ("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => (
                true,
                format!(
                    "cannot be started ({reason}): {}",
                    waiting.message.unwrap_or_default()
                ),
            ),
            _ => (false, "is starting".to_owned()),
        },
        (None, Some(end), _) => (false, format!("ended{}", ending(end))),
        (None, None, Some(last)) => (
            false,
            format!("is not ready; it was restarted after it ended{}", ending(last)),
        ),
        (None, None, None) => (false, "is not ready".to_owned()),
    };
    (lasting, format!("container {} {what}", container.name))
}

fn ending(end: k8s_openapi::api::core::v1::ContainerStateTerminated) -> String {
    let message = end
        .message
        .map(|message| format!(": {}", message.trim()))
        .unwrap_or_default();
    format!(" with exit code {}{message}", end.exit_code)
}

#[cfg(test)]
mod tests;
