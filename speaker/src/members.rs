//! Which nodes run a speaker that can answer.
//!
//! The rest of the program only asks [`Members::alive`] and is told when an answer changes. Where the knowledge comes
//! from is this module's affair: at present from Kubernetes, as readiness of the Node and of the speaker's Pod on it.
//! When the API server is away nothing changes, so everybody keeps what they have.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;

/// The speakers of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    state: Arc<Mutex<State>>,
    on_change: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Nodes that exist, and whether each is ready.
    nodes: HashMap<String, bool>,
    /// Speaker Pods with the node each runs on, and whether it is ready.
    pods: HashMap<String, (String, bool)>,
    /// Nodes with a ready speaker Pod, and how many.
    ready_pods: HashMap<String, usize>,
}

impl State {
    fn alive(&self, node: &str) -> bool {
        // Without any speaker Pod in sight the selector is wrong or the program runs outside of the cluster; then
        // readiness of the Nodes has to do.
        self.nodes.get(node).copied().unwrap_or(false)
            && (self.pods.is_empty() || self.ready_pods.contains_key(node))
    }

    fn set_pod(&mut self, pod: &str, now: Option<(String, bool)>) {
        let before = match now.clone() {
            Some(now) => self.pods.insert(pod.to_owned(), now),
            None => self.pods.remove(pod),
        };
        if let Some((node, true)) = before
            && let Some(count) = self.ready_pods.get_mut(&node)
        {
            *count -= 1;
            if *count == 0 {
                self.ready_pods.remove(&node);
            }
        }
        if let Some((node, true)) = now {
            *self.ready_pods.entry(node).or_default() += 1;
        }
    }
}

impl Members {
    /// Knows nobody yet. `on_change` is called with the name of each node whose answer may have changed.
    pub fn new(on_change: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            state: Arc::default(),
            on_change: Arc::new(on_change),
        }
    }

    /// Whether the speaker of this node is believed to answer. O(1).
    pub fn alive(&self, node: &str) -> bool {
        self.lock().alive(node)
    }

    /// Takes note of a Node. O(1).
    pub fn node_applied(&self, node: &Node) {
        self.change([node.name_any()], |state| {
            state.nodes.insert(node.name_any(), is_ready(node));
        });
    }

    /// Takes note that a Node is gone. O(1).
    pub fn node_deleted(&self, name: &str) {
        self.change([name.to_owned()], |state| {
            state.nodes.remove(name);
        });
    }

    /// Takes note of a speaker's Pod. One that is being deleted no longer counts, so that others take over before it
    /// ends. O(1), or O(nodes) for the first Pod.
    pub fn pod_applied(&self, pod: &Pod) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        self.set_pod(&pod.name_any(), node.map(|node| (node, is_running(pod))));
    }

    /// Takes note that a speaker's Pod is gone. O(1), or O(nodes) for the last Pod.
    pub fn pod_deleted(&self, name: &str) {
        self.set_pod(name, None);
    }

    fn set_pod(&self, pod: &str, now: Option<(String, bool)>) {
        let touched: Vec<String> = {
            let state = self.lock();
            let before = state.pods.get(pod);
            if before == now.as_ref() {
                return;
            }
            let only = state.pods.len() == usize::from(before.is_some());
            if only && before.is_some() != now.is_some() {
                // The first or the last one: readiness of Pods starts or ceases to count for every node.
                state.nodes.keys().cloned().collect()
            } else {
                before
                    .map(|(node, _)| node.clone())
                    .into_iter()
                    .chain(now.clone().map(|(node, _)| node))
                    .collect()
            }
        };
        self.change(touched, |state| state.set_pod(pod, now));
    }

    /// Changes the state and reports those of `nodes` for which the answer is another one now.
    fn change(&self, nodes: impl IntoIterator<Item = String>, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let nodes: HashSet<String> = nodes.into_iter().collect();
        let before: Vec<(String, bool)> = nodes
            .into_iter()
            .map(|node| (node.clone(), state.alive(&node)))
            .collect();
        change(&mut state);
        let changed: Vec<String> = before
            .into_iter()
            .filter(|(node, alive)| state.alive(node) != *alive)
            .map(|(node, _)| node)
            .collect();
        drop(state);
        for node in changed {
            (self.on_change)(&node);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The condition `Ready`; a Node that has none yet counts as ready.
fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.next().is_none_or(|condition| condition.status == "True")
}

/// Ready and not about to end.
fn is_running(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, ready: &str) -> Node {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
            .unwrap()
    }

    fn pod(name: &str, node: &str, ready: &str, deletion: Option<&str>) -> Pod {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        serde_json::from_value(json!({
            "metadata": {"name": name, "deletionTimestamp": deletion},
            "spec": {"nodeName": node, "containers": []},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn members() -> (Members, Arc<Mutex<Vec<String>>>) {
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let members = Members::new({
            let log = Arc::clone(&log);
            move |node| log.lock().unwrap().push(node.to_owned())
        });
        for name in ["n1", "n2"] {
            members.node_applied(&node(name, "True"));
        }
        members.pod_applied(&pod("p1", "n1", "True", None));
        members.pod_applied(&pod("p2", "n2", "True", None));
        log.lock().unwrap().clear();
        (members, log)
    }

    #[test]
    fn a_member_has_a_ready_node_and_a_ready_pod() {
        let (members, log) = members();
        assert!(members.alive("n1") && members.alive("n2") && !members.alive("n3"));
        members.node_applied(&node("n1", "Unknown"));
        assert!(!members.alive("n1"));
        members.node_applied(&node("n1", "True"));
        members.pod_applied(&pod("p2", "n2", "False", None));
        assert!(members.alive("n1") && !members.alive("n2"));
        members.node_deleted("n1");
        assert!(!members.alive("n1"));
        assert_eq!(*log.lock().unwrap(), ["n1", "n1", "n2", "n1"]);
    }

    #[test]
    fn what_changes_nothing_is_not_reported() {
        let (members, log) = members();
        members.node_applied(&node("n1", "True"));
        members.pod_applied(&pod("p1", "n1", "True", None));
        members.pod_applied(&pod("p1-new", "n1", "True", None));
        members.pod_deleted("p1");
        assert!(members.alive("n1"), "the Pod that replaces it is ready");
        assert!(log.lock().unwrap().is_empty());
    }

    #[test]
    fn a_pod_that_is_being_deleted_does_not_count() {
        let (members, log) = members();
        members.pod_applied(&pod("p1", "n1", "True", Some("2026-01-01T00:00:00Z")));
        assert!(!members.alive("n1"));
        assert_eq!(*log.lock().unwrap(), ["n1"]);
    }

    #[test]
    fn without_any_pod_nodes_alone_count() {
        let (members, log) = members();
        members.pod_applied(&pod("p1", "n1", "False", None));
        members.pod_deleted("p2");
        assert!(!members.alive("n1") && !members.alive("n2"));
        log.lock().unwrap().clear();
        members.pod_deleted("p1");
        assert!(members.alive("n1") && members.alive("n2"));
        let mut changed = log.lock().unwrap().clone();
        changed.sort();
        assert_eq!(changed, ["n1", "n2"]);
    }
}
