//! Reports on Services and on the configuration: ServiceBGPStatus, Events, ConfigurationState. Reports never hold up
//! what they report on.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Node, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use metallb_crds::metallb::{ConfigurationState, ServiceBGPStatus};
use metallb_domain::bgp::{Changes, NodeName, Planner, ServiceKey, Verdict, Withheld};
use metallb_kit::apply::{apply, apply_status, delete};
use metallb_kit::dirty::Dirty;
use metallb_kit::events::{EventType, Events};
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};
use tokio::sync::mpsc;

use super::configuration_state;
use super::inputs::{Awaited, Inputs, lock};
use super::metrics::Metrics;
use super::published::MANAGER;
use super::service_status::{Action, Statuses};
use super::writer::work_off;

/// Status writes under way at the same time; few, because FRRConfigurations matter more.
const IN_FLIGHT: usize = 4;
/// Events that may wait. When there are more they are dropped: they only tell what statuses say, too.
const EVENTS: usize = 1024;
/// Nodes named in an Event.
const NAMED: usize = 10;

/// An object to bring up to date.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    ServiceStatus(String),
    Configuration,
}

/// A handle to the reports.
#[derive(Clone)]
pub(super) struct Reporter {
    books: Arc<Mutex<Books>>,
    dirty: Dirty<Work>,
    client: Client,
    namespace: String,
    events: mpsc::Sender<Announcement>,
    waiting_events: Arc<Mutex<Option<mpsc::Receiver<Announcement>>>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Books {
    statuses: Statuses,
    owners: HashMap<NodeName, OwnerReference>,
    problems: Vec<String>,
    state: Option<Arc<ConfigurationState>>,
    /// What was last told about each Service, as a digest.
    told: HashMap<ServiceKey, u64>,
}

/// An Event on a Service.
#[derive(Debug)]
struct Announcement {
    service: ObjectReference,
    type_: EventType,
    reason: &'static str,
    note: String,
}

impl Reporter {
    /// Watches the objects in `namespace` that the reports are written to.
    pub(super) fn follow(
        tasks: &Tasks,
        client: &Client,
        namespace: &str,
        awaited: &Awaited,
        metrics: Metrics,
    ) -> Self {
        let (events, waiting_events) = mpsc::channel(EVENTS);
        let reporter = Self {
            books: Arc::default(),
            dirty: Dirty::new(),
            client: client.clone(),
            namespace: namespace.to_owned(),
            events,
            waiting_events: Arc::new(Mutex::new(Some(waiting_events))),
            metrics,
        };
        reporter.follow_statuses(tasks, awaited);
        reporter.follow_state(tasks, awaited);
        reporter
    }

    fn follow_statuses(&self, tasks: &Tasks, awaited: &Awaited) {
        let (books, dirty) = (Arc::clone(&self.books), self.dirty.clone());
        let mut synced = awaited.expect();
        let api = Api::<ServiceBGPStatus>::namespaced(self.client.clone(), &self.namespace);
        watch(
            tasks,
            "bgp-watch-statuses",
            api,
            watcher::Config::default(),
            move |change| {
                let (name, object) = match change {
                    Change::Applied(object) => (object.name_any(), Some(object)),
                    Change::Deleted(object) => (object.name_any(), None),
                    Change::Synced => return synced(),
                };
                lock(&books).statuses.see(&name, object);
                dirty.mark(Work::ServiceStatus(name));
            },
        );
    }

    fn follow_state(&self, tasks: &Tasks, awaited: &Awaited) {
        let (books, dirty) = (Arc::clone(&self.books), self.dirty.clone());
        let mut synced = awaited.expect();
        let api = Api::<ConfigurationState>::namespaced(self.client.clone(), &self.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={}", configuration_state::NAME));
        watch(tasks, "bgp-watch-configurationstate", api, only, move |change| {
            lock(&books).state = match change {
                Change::Applied(state) => Some(state),
                Change::Deleted(_) => None,
                Change::Synced => return synced(),
            };
            dirty.mark(Work::Configuration);
        });
    }

    /// Reports the first plan. What it announces was announced before, so there are no Events about it.
    pub(super) fn begin(&self, planner: &Planner, inputs: &Inputs, changes: &Changes) {
        self.report_statuses(planner, inputs, changes);
        let told = planner
            .services()
            .map(|key| (key.clone(), digest(&planner.verdict(key))))
            .collect();
        lock(&self.books).told = told;
    }

    /// Reports what changed. O(services that changed × nodes).
    pub(super) fn report(&self, planner: &Planner, inputs: &Inputs, changes: &Changes) {
        self.report_statuses(planner, inputs, changes);
        for key in &changes.services {
            self.tell(inputs, key, &planner.verdict(key));
        }
    }

    /// Reports what is wrong with the configuration, and which objects the API server refuses. O(problems).
    pub(super) fn configuration(&self, mut problems: Vec<String>, refused: &BTreeMap<String, String>) {
        problems.extend(
            refused
                .iter()
                .map(|(name, message)| format!("FRRConfiguration {name} is refused: {message}")),
        );
        let mut books = lock(&self.books);
        if books.state.is_none() || books.problems != problems {
            books.problems = problems;
            drop(books);
            self.dirty.mark(Work::Configuration);
        }
    }

    /// Writes for ever.
    pub(super) async fn run(&self) {
        let write = |work: Work| async move {
            match work {
                Work::ServiceStatus(name) => self.write_status(&name).await,
                Work::Configuration => self.write_configuration().await,
            }
        };
        tokio::join!(
            work_off("status", &self.dirty, IN_FLIGHT, write, |_| ()),
            self.publish_events()
        );
    }

    async fn publish_events(&self) {
        let Some(mut waiting) = lock(&self.waiting_events).take() else {
            return;
        };
        let events = Events::new(self.client.clone(), MANAGER);
        while let Some(event) = waiting.recv().await {
            events
                .publish(&event.service, event.type_, event.reason, &event.note)
                .await;
        }
    }

    fn report_statuses(&self, planner: &Planner, inputs: &Inputs, changes: &Changes) {
        let mut books = lock(&self.books);
        // Another Node of the same name is another owner, even if all is announced as before.
        for name in changes.nodes.union(&changes.service_nodes) {
            match inputs.node(name).and_then(|node| owner(&node)) {
                Some(owner) => books.owners.insert(Arc::clone(name), owner),
                None => books.owners.remove(name),
            };
        }
        let mut changed = Vec::new();
        for key in &changes.services {
            changed.extend(books.statuses.set_service(key, planner.peers_by_node(key)));
        }
        for key in planner.services().filter(|key| !changes.services.contains(*key)) {
            for name in &changes.service_nodes {
                changed.extend(books.statuses.set(key, name, Some(planner.peers_on(key, name))));
            }
        }
        if books.statuses.has_room_again() {
            for key in planner.services() {
                changed.extend(books.statuses.set_service(key, planner.peers_by_node(key)));
            }
        }
        self.metrics.statuses_full(books.statuses.is_full());
        drop(books);
        for name in changed {
            self.dirty.mark(Work::ServiceStatus(name));
        }
    }

    fn tell(&self, inputs: &Inputs, key: &ServiceKey, verdict: &Verdict) {
        let digest = digest(verdict);
        let before = lock(&self.books).told.insert(key.clone(), digest);
        if before == Some(digest) {
            return;
        }
        let Some(service) = inputs.stored_service(key) else {
            lock(&self.books).told.remove(key);
            return;
        };
        for (type_, reason, note) in notes(verdict) {
            let event = Announcement {
                service: service.object_ref(&()),
                type_,
                reason,
                note,
            };
            if self.events.try_send(event).is_err() {
                tracing::debug!(service = %key, reason, "event dropped: too many are waiting");
            }
        }
    }

    async fn write_status(&self, name: &str) -> Result<(), metallb_kit::Error> {
        let api = Api::<ServiceBGPStatus>::namespaced(self.client.clone(), &self.namespace);
        let action = {
            let books = lock(&self.books);
            let owner = books
                .statuses
                .node_of(name)
                .and_then(|node| books.owners.get(&node).cloned());
            books.statuses.action(name, &self.namespace, owner)
        };
        match action {
            Action::Nothing => Ok(()),
            Action::Delete => delete(&api, name).await,
            Action::Write(object) => {
                let bare = ServiceBGPStatus {
                    status: None,
                    ..(*object).clone()
                };
                apply(&api, MANAGER, &bare).await?;
                self.write_bare_status(&api, *object).await
            }
            Action::WriteStatus(object) => self.write_bare_status(&api, *object).await,
        }
    }

    async fn write_bare_status(
        &self,
        api: &Api<ServiceBGPStatus>,
        mut object: ServiceBGPStatus,
    ) -> Result<(), metallb_kit::Error> {
        object.metadata.labels = None;
        object.metadata.owner_references = None;
        apply_status(api, MANAGER, &object).await.map(drop)
    }

    async fn write_configuration(&self) -> Result<(), metallb_kit::Error> {
        let api = Api::<ConfigurationState>::namespaced(self.client.clone(), &self.namespace);
        let (live, status) = {
            let books = lock(&self.books);
            let before = books.state.as_ref().and_then(|state| state.status.as_ref());
            let status = configuration_state::status(&books.problems, before, Timestamp::now());
            (books.state.clone(), status)
        };
        let bare = configuration_state::object(&self.namespace);
        if live.as_ref().is_none_or(|live| live.labels() != bare.labels()) {
            apply(&api, MANAGER, &bare).await?;
        }
        if live.is_none_or(|live| live.status.as_ref() != Some(&status)) {
            let mut object = ConfigurationState {
                status: Some(status),
                ..bare
            };
            object.metadata.labels = None;
            apply_status(&api, MANAGER, &object).await?;
        }
        Ok(())
    }
}

fn owner(node: &Node) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.name_any(),
        uid: node.metadata.uid.clone()?,
        ..OwnerReference::default()
    })
}

/// A number that changes when there is something new to tell.
fn digest(verdict: &Verdict) -> u64 {
    let mut hasher = DefaultHasher::new();
    verdict.announcing.hash(&mut hasher);
    verdict.contested.hash(&mut hasher);
    verdict
        .withheld
        .contains_key(&Withheld::ConflictingAdvertisements)
        .hash(&mut hasher);
    hasher.finish()
}

/// The Events that tell a verdict.
fn notes(verdict: &Verdict) -> Vec<(EventType, &'static str, String)> {
    let mut notes = Vec::new();
    let nodes: Vec<_> = verdict
        .announcing
        .iter()
        .take(NAMED)
        .map(|name| &**name)
        .collect();
    match (nodes.as_slice(), verdict.announcing.len()) {
        ([], _) => {}
        ([node], _) => {
            let note = format!("announcing from node \"{node}\" with protocol \"bgp\"");
            notes.push((EventType::Normal, "nodeAssigned", note));
        }
        (_, count) => {
            let more = if count > NAMED { ", ..." } else { "" };
            let nodes = nodes.join(", ");
            let note = format!("announcing from {count} nodes with protocol \"bgp\": {nodes}{more}");
            notes.push((EventType::Normal, "nodeAssigned", note));
        }
    }
    if let Some(count) = verdict.withheld.get(&Withheld::ConflictingAdvertisements) {
        let note = format!(
            "not announced with protocol \"bgp\" from {count} nodes: BGPAdvertisements that select this Service give \
             different localPref values to one route; make them equal, or separate them by peers or nodes"
        );
        notes.push((EventType::Warning, "conflictingAdvertisements", note));
    }
    if let Some(prefix) = &verdict.contested {
        let note = format!(
            "BGPAdvertisements of several Services give different localPref values to {prefix:?}; that of the \
             BGPAdvertisement with the lowest name is used"
        );
        notes.push((EventType::Warning, "conflictingLocalPref", note));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_tells_of_all_nodes() {
        let mut verdict = Verdict::default();
        assert!(notes(&verdict).is_empty());
        verdict.announcing.insert("edge-a".into());
        assert_eq!(
            notes(&verdict)[0].2,
            "announcing from node \"edge-a\" with protocol \"bgp\""
        );
        let before = digest(&verdict);
        verdict
            .announcing
            .extend((0..20).map(|number| NodeName::from(format!("n{number}"))));
        assert!(
            notes(&verdict)[0]
                .2
                .starts_with("announcing from 21 nodes with protocol \"bgp\": edge-a, n0,")
        );
        assert_ne!(digest(&verdict), before);
        verdict.withheld.insert(Withheld::ConflictingAdvertisements, 3);
        assert_eq!(notes(&verdict)[1].1, "conflictingAdvertisements");
    }
}
