//! What the agent looks at in the Kubernetes API: the FRRConfigurations that can concern its node, the labels of the
//! node, the Secrets that are named, and the log level. Nothing here grows with the number of nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, PartialObjectMeta};
use kube::core::{DeserializeGuard, Selector, SelectorExt};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Config;
use kube::{Client, ResourceExt};
use metallb_crds::frrk8s::{FRRConfiguration, FRRK8sConfiguration, LogLevel};
use metallb_frr::merge::Secret;
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};

pub mod secrets;

use secrets::SecretWatches;

/// The label by which the operator says for which node an FRRConfiguration is; users' own objects lack it.
pub const NODE_LABEL: &str = "metallb.io/node";

/// The one FRRK8sConfiguration that counts.
const SETTINGS_NAME: &str = "config";

/// An FRRConfiguration, or why it cannot be read.
pub type Candidate = DeserializeGuard<FRRConfiguration>;

/// The agent's copies of what it watches.
#[derive(Debug)]
pub struct Inputs {
    for_node: Watched<Candidate>,
    for_all: Watched<Candidate>,
    node: Watched<PartialObjectMeta<Node>>,
    settings: Store<FRRK8sConfiguration>,
    secrets: SecretWatches,
}

/// Everything a configuration of FRRouting is made from, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub objects: Vec<Arc<Candidate>>,
    pub node_labels: BTreeMap<String, String>,
    /// Identifies the Node object, as long as it lives; empty when it was deleted.
    pub node_uid: String,
    /// By name; those which are named by an object but do not exist are absent.
    pub secrets: BTreeMap<String, Secret>,
    pub log_level: Option<LogLevel>,
}

#[derive(Debug)]
struct Watched<K: kube::Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    synced: Arc<AtomicBool>,
}

impl<K: kube::Resource<DynamicType = ()> + Clone + 'static> Watched<K> {
    fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }
}

impl Inputs {
    /// Starts to watch. `changed` is marked whenever a new [`Inputs::snapshot`] is worth a look.
    pub fn watch(
        tasks: &Tasks,
        client: &Client,
        namespace: &str,
        node_name: &str,
        changed: &Dirty<()>,
    ) -> Self {
        let configurations: Api<Candidate> = Api::namespaced(client.clone(), namespace);
        let own = Config::default().labels(&format!("{NODE_LABEL}={node_name}"));
        let unlabelled = Config::default().labels(&format!("!{NODE_LABEL}"));
        let settings: Api<FRRK8sConfiguration> = Api::namespaced(client.clone(), namespace);
        let named = |name: &str| Config::default().fields(&format!("metadata.name={name}"));
        Self {
            for_node: objects(
                tasks,
                "own FRRConfigurations",
                configurations.clone(),
                own,
                changed,
            ),
            for_all: objects(
                tasks,
                "common FRRConfigurations",
                configurations,
                unlabelled,
                changed,
            ),
            node: labels(tasks, Api::all(client.clone()), named(node_name), changed),
            settings: watch(
                tasks,
                "FRRK8sConfiguration",
                settings,
                named(SETTINGS_NAME),
                marks(changed),
            ),
            secrets: SecretWatches::start(tasks, Api::namespaced(client.clone(), namespace), changed.clone()),
        }
    }

    /// What is known now; `None` as long as something that matters has not been seen yet, for example a Secret that
    /// has only just been named. Then nothing must be changed: what is unknown is not what is absent.
    ///
    /// Cost: O(objects for this node, and objects without the node label).
    pub fn snapshot(&self) -> Option<Snapshot> {
        if !(self.for_node.is_synced() && self.for_all.is_synced() && self.node.is_synced()) {
            return None;
        }
        // A Node that was deleted is told apart from one not seen yet: nothing is meant for it any more.
        let Some(node) = self.node.store.state().pop() else {
            return Some(Snapshot::default());
        };
        let node_labels = node.labels().clone();
        let node_uid = node.uid().unwrap_or_default();
        let mut objects = self.for_node.store.state();
        objects.extend(self.for_all.store.state());
        let secrets = self.secrets.get(named_secrets(&objects, &node_labels))?;
        let log_level = self
            .settings
            .state()
            .pop()
            .and_then(|settings| settings.spec.log_level);
        Some(Snapshot {
            objects,
            node_labels,
            node_uid,
            secrets,
            log_level,
        })
    }
}

/// The names of the Secrets which the objects that select the node refer to.
fn named_secrets(objects: &[Arc<Candidate>], node_labels: &BTreeMap<String, String>) -> BTreeSet<String> {
    let specs = objects
        .iter()
        .filter_map(|object| object.0.as_ref().ok())
        .map(|object| &object.spec);
    let selecting = specs.filter(|spec| {
        // A selector that makes no sense selects nothing; the merge will say what is wrong with it.
        Selector::try_from(spec.node_selector.clone()).is_ok_and(|selector| selector.matches(node_labels))
    });
    let neighbors = selecting
        .flat_map(|spec| &spec.bgp.routers)
        .flat_map(|router| &router.neighbors);
    let names = neighbors.map(|neighbor| &neighbor.password_secret.name);
    names.filter(|name| !name.is_empty()).cloned().collect()
}

fn objects(
    tasks: &Tasks,
    name: &'static str,
    api: Api<Candidate>,
    config: Config,
    changed: &Dirty<()>,
) -> Watched<Candidate> {
    let synced = Arc::new(AtomicBool::new(false));
    let (seen, changed) = (Arc::clone(&synced), changed.clone());
    let store = watch(tasks, name, api, config, move |change| {
        if matches!(change, Change::Synced) {
            seen.store(true, Ordering::Release);
        }
        // The objects of a list come one by one, and then this: one look is enough.
        if seen.load(Ordering::Acquire) {
            changed.mark(());
        }
    });
    Watched { store, synced }
}

/// Watches the node for its labels; its heartbeats do not matter.
fn labels(
    tasks: &Tasks,
    api: Api<PartialObjectMeta<Node>>,
    config: Config,
    changed: &Dirty<()>,
) -> Watched<PartialObjectMeta<Node>> {
    let synced = Arc::new(AtomicBool::new(false));
    let (seen, changed) = (Arc::clone(&synced), changed.clone());
    let mut last = None;
    let store = watch(tasks, "Node", api, config, move |change| match change {
        Change::Applied(node) => {
            let labels = Some(node.labels().clone());
            if last != labels {
                last = labels;
                changed.mark(());
            }
        }
        Change::Deleted(_) => {
            last = None;
            changed.mark(());
        }
        Change::Synced => {
            seen.store(true, Ordering::Release);
            changed.mark(());
        }
    });
    Watched { store, synced }
}

fn marks<K>(changed: &Dirty<()>) -> impl FnMut(Change<K>) + Send + 'static {
    let changed = changed.clone();
    move |_| changed.mark(())
}
