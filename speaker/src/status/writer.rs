//! Publishes the status objects.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Config as WatchConfig;
use kube::{Api, Client, ResourceExt};
use metallb_crds::metallb::{
    ConfigurationState, LABEL_NODE, LABEL_SERVICE_NAME, LABEL_SERVICE_NAMESPACE, ServiceL2Status,
};
use metallb_domain::service::ServiceKey;
use metallb_kit::apply::{apply, apply_status, covers, delete, within};
use metallb_kit::backoff::Backoff;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};
use tokio_util::sync::CancellationToken;

use super::desired::{Identity, owner};
use super::{StatusBoard, Subject};

/// Field manager of everything this program writes.
const MANAGER: &str = "metallb-speaker";
/// How many objects are written at the same time.
const PARALLEL: usize = 8;
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Makes the objects in the API say what the [`StatusBoard`] says.
#[derive(Debug)]
pub struct StatusWriter {
    identity: Identity,
    board: StatusBoard,
    service_statuses: Api<ServiceL2Status>,
    configuration_states: Api<ConfigurationState>,
    own_statuses: Store<ServiceL2Status>,
    own_state: Store<ConfigurationState>,
    pods: Store<Pod>,
}

impl StatusWriter {
    /// Watches this node's own objects, and only those.
    pub fn new(
        tasks: &Tasks,
        client: &Client,
        identity: Identity,
        board: StatusBoard,
        pods: Store<Pod>,
    ) -> Self {
        let service_statuses: Api<ServiceL2Status> = Api::namespaced(client.clone(), &identity.namespace);
        let configuration_states: Api<ConfigurationState> =
            Api::namespaced(client.clone(), &identity.namespace);
        let config = WatchConfig::default().labels(&identity.selector());
        let on_change = {
            let (identity, dirty) = (identity.clone(), board.dirty.clone());
            move |change| match change {
                Change::Applied(object) | Change::Deleted(object) => dirty.mark(subject(&identity, &object)),
                Change::Synced => {}
            }
        };
        let own_statuses = watch(
            tasks,
            "ServiceL2Statuses",
            service_statuses.clone(),
            config,
            on_change,
        );
        let config =
            WatchConfig::default().fields(&format!("metadata.name={}", identity.configuration_state_name()));
        let on_change = {
            let dirty = board.dirty.clone();
            move |_: Change<ConfigurationState>| dirty.mark(Subject::Configuration)
        };
        let own_state = watch(
            tasks,
            "ConfigurationState",
            configuration_states.clone(),
            config,
            on_change,
        );
        Self {
            identity,
            board,
            service_statuses,
            configuration_states,
            own_statuses,
            own_state,
            pods,
        }
    }

    /// Publishes until shutdown. Objects of an earlier run are touched only when it is known what this run announces.
    ///
    /// # Errors
    /// When a watch has ended.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ready = self.ready() => ready?,
        }
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut retries: Vec<(Instant, Subject)> = Vec::new();
        loop {
            let next = retries.iter().map(|(due, _)| *due).min();
            let subjects = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                subjects = self.board.dirty.take() => subjects,
                () = sleep_until(next) => take_due(&mut retries, Instant::now()),
            };
            let attempts = stream::iter(subjects)
                .map(|subject| async { (self.publish(&subject).await, subject) })
                .buffer_unordered(PARALLEL);
            let results = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                results = attempts.collect::<Vec<_>>() => results,
            };
            for (result, subject) in results {
                retries.retain(|(_, waiting)| *waiting != subject);
                let Err(error) = result else {
                    backoff.succeeded(&subject);
                    continue;
                };
                let wait = backoff.failed(&subject);
                tracing::warn!(?subject, error = ?anyhow::Error::from(error), ?wait, "status not written, retrying");
                retries.push((Instant::now() + wait, subject));
            }
        }
    }

    async fn ready(&self) -> anyhow::Result<()> {
        self.own_statuses.wait_until_ready().await?;
        self.own_state.wait_until_ready().await?;
        self.board
            .complete
            .subscribe()
            .wait_for(|complete| *complete)
            .await?;
        Ok(())
    }

    /// Brings one object in line; writes nothing if it is already.
    async fn publish(&self, subject: &Subject) -> Result<(), metallb_kit::Error> {
        match subject {
            Subject::Service(service) => match self.board.interfaces(service) {
                Some(interfaces) => self.publish_service(service, interfaces).await,
                None => self.retract(&self.identity.service_status_name(service)).await,
            },
            Subject::Stray(name) => self.retract(name).await,
            Subject::Configuration => self.publish_configuration().await,
        }
    }

    async fn publish_service(
        &self,
        service: &ServiceKey,
        interfaces: Vec<String>,
    ) -> Result<(), metallb_kit::Error> {
        let desired = self.identity.service_status(service, interfaces, self.owner());
        let current = self.own_statuses.get(&ObjectRef::from_obj(&desired));
        if current
            .as_ref()
            .is_some_and(|current| is_covered(&**current, &desired))
        {
            return Ok(());
        }
        let status = ServiceL2Status {
            metadata: bare(&desired.metadata),
            ..desired.clone()
        };
        apply(
            &self.service_statuses,
            MANAGER,
            &ServiceL2Status {
                status: None,
                ..desired
            },
        )
        .await?;
        apply_status(&self.service_statuses, MANAGER, &status).await?;
        if current.is_none() {
            self.remove_predecessors(service).await?;
        }
        Ok(())
    }

    /// Deletes what other nodes still say about a Service this node took over. A node that is alive does so itself;
    /// one that is not cannot. Only at take-over, so that two nodes that both believe to be the owner do not delete
    /// each other's objects for ever.
    async fn remove_predecessors(&self, service: &ServiceKey) -> Result<(), metallb_kit::Error> {
        // From the API server's cache: what it does not know yet was written by a node that is alive.
        let params = ListParams::default()
            .labels(&Identity::service_selector(service))
            .match_any();
        let what = format!("list ServiceL2Statuses of {service}");
        let found = within(&what, self.service_statuses.list(&params)).await?;
        let mine = self.identity.service_status_name(service);
        for other in found
            .items
            .iter()
            .map(ResourceExt::name_any)
            .filter(|name| *name != mine)
        {
            delete(&self.service_statuses, &other).await?;
        }
        Ok(())
    }

    async fn retract(&self, name: &str) -> Result<(), metallb_kit::Error> {
        let object = ObjectRef::new(name).within(&self.identity.namespace);
        match self.own_statuses.get(&object) {
            Some(_) => delete(&self.service_statuses, name).await,
            None => Ok(()),
        }
    }

    async fn publish_configuration(&self) -> Result<(), metallb_kit::Error> {
        let Some(problems) = self.board.problems() else {
            return Ok(());
        };
        let name = self.identity.configuration_state_name();
        let current = self
            .own_state
            .get(&ObjectRef::new(&name).within(&self.identity.namespace));
        let desired = self
            .identity
            .configuration_state(&problems, self.owner(), current.as_deref());
        if current.is_some_and(|current| is_covered(&*current, &desired)) {
            return Ok(());
        }
        let status = ConfigurationState {
            metadata: bare(&desired.metadata),
            ..desired.clone()
        };
        apply(
            &self.configuration_states,
            MANAGER,
            &ConfigurationState {
                status: None,
                ..desired
            },
        )
        .await?;
        apply_status(&self.configuration_states, MANAGER, &status).await?;
        Ok(())
    }

    fn owner(&self) -> Option<OwnerReference> {
        let name = self.identity.pod.as_ref()?;
        owner(
            &*self
                .pods
                .get(&ObjectRef::new(name).within(&self.identity.namespace))?,
        )
    }
}

/// What an existing object is about.
fn subject(identity: &Identity, object: &ServiceL2Status) -> Subject {
    debug_assert!(
        object.labels().contains_key(LABEL_NODE),
        "the watch selects by this label"
    );
    let status = object.status.clone().unwrap_or_default();
    let service = ServiceKey {
        namespace: status.service_namespace,
        name: status.service_name,
    };
    if object.name_any() == identity.service_status_name(&service) {
        return Subject::Service(service);
    }
    // Created but without status yet: the labels say what it will be about, unless they had to be shortened.
    let label = |key: &str| object.labels().get(key).cloned().unwrap_or_default();
    let service = ServiceKey {
        namespace: label(LABEL_SERVICE_NAMESPACE),
        name: label(LABEL_SERVICE_NAME),
    };
    if object.name_any() == identity.service_status_name(&service) {
        Subject::Service(service)
    } else {
        Subject::Stray(object.name_any())
    }
}

/// Name and namespace only, for a write of the status.
fn bare(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        ..ObjectMeta::default()
    }
}

fn is_covered<K: serde::Serialize>(current: &K, desired: &K) -> bool {
    match (serde_json::to_value(current), serde_json::to_value(desired)) {
        (Ok(current), Ok(desired)) => covers(&current, &desired),
        _ => false,
    }
}

fn take_due(retries: &mut Vec<(Instant, Subject)>, now: Instant) -> Vec<Subject> {
    retries
        .extract_if(.., |(due, _)| *due <= now)
        .map(|(_, subject)| subject)
        .collect()
}

/// Waits for a point in time, or for ever if there is none.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
