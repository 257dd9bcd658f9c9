//! FRRNodeState: how FRRouting on this node is configured, and whether the configurations could be put to work.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Config;
use kube::{Client, ResourceExt};
use metallb_crds::frrk8s::{FRRNodeState, FRRNodeStateSpec, FRRNodeStateStatus};
use metallb_kit::apply::{apply, apply_status};
use metallb_kit::backoff::Backoff;
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::watch;
use tokio::sync::watch as latest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::FIELD_MANAGER;

/// Two writes are at least this far apart, so that a busy node does not load the API server.
const PACE: Duration = Duration::from_secs(1);

/// So are two writes that show another running configuration and nothing else new: it is long, and with every address
/// that comes or goes it is another one.
const CONFIG_PACE: Duration = Duration::from_secs(10);

/// Longest running configuration that is published, in bytes. An object in etcd must stay below 1.5 MiB.
const LONGEST_CONFIG: usize = 512 * 1024;

/// What is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub status: FRRNodeStateStatus,
    /// The Node object that the published one goes away with.
    pub node_uid: String,
}

/// Where the agent says what shall be published; only the latest word counts.
pub type Publisher = latest::Sender<Option<Report>>;

/// Starts the task that keeps the FRRNodeState of this node as said through the returned [`Publisher`].
pub fn start(tasks: &Tasks, client: &Client, node_name: &str) -> Publisher {
    let (publisher, wanted) = latest::channel(None);
    let api: Api<FRRNodeState> = Api::all(client.clone());
    let changed = Dirty::new();
    let config = Config::default().fields(&format!("metadata.name={node_name}"));
    let mark = changed.clone();
    let store = watch(tasks, "FRRNodeState", api.clone(), config, move |_| mark.mark(()));
    let writer = Writer {
        api,
        store,
        name: node_name.to_owned(),
        wanted,
        config_written: None,
    };
    tasks.spawn("publish FRRNodeState", writer.run(changed, tasks.shutdown()));
    publisher
}

struct Writer {
    api: Api<FRRNodeState>,
    store: Store<FRRNodeState>,
    name: String,
    wanted: latest::Receiver<Option<Report>>,
    /// When the running configuration was last published.
    config_written: Option<Instant>,
}

impl Writer {
    async fn run(mut self, changed: Dirty<()>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(PACE, Duration::from_secs(60));
        let mut due = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = changed.take() => {}
                Ok(()) = self.wanted.changed() => {}
                () = sleep_until(due) => {}
            }
            let pause = match self.write().await {
                Ok(later) => {
                    backoff.succeeded(&());
                    due = later;
                    PACE
                }
                Err(error) => {
                    tracing::warn!(node = self.name, error = %anyhow::Error::from(error), "state of the node not published");
                    changed.mark(());
                    backoff.failed(&())
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes what differs and may be written now; returns when the rest may be.
    async fn write(&mut self) -> Result<Option<Instant>, metallb_kit::Error> {
        let Some(Report { status, node_uid }) = self.wanted.borrow_and_update().clone() else {
            return Ok(None);
        };
        if node_uid.is_empty() {
            // The Node is gone, and the garbage collector takes its state along.
            return Ok(None);
        }
        let live = self.store.get(&ObjectRef::new(&self.name));
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.name.clone(),
            uid: node_uid,
            ..OwnerReference::default()
        };
        let mut desired = FRRNodeState {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                owner_references: Some(vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: FRRNodeStateSpec::default(),
            status: None,
        };
        let is_owned = |live: &FRRNodeState| {
            live.owner_references()
                .iter()
                .any(|present| present.uid == owner.uid)
        };
        if !live.as_deref().is_some_and(is_owned) {
            apply(&self.api, FIELD_MANAGER, &desired).await?;
        }
        let shown = live.as_ref().and_then(|live| live.status.as_ref());
        if shown == Some(&status) {
            return Ok(None);
        }
        let due = self.config_written.map(|written| written + CONFIG_PACE);
        let due =
            due.filter(|due| *due > Instant::now() && shown.is_some_and(|shown| is_minor(shown, &status)));
        if due.is_some() {
            return Ok(due);
        }
        let shows_another_config = shown.is_none_or(|shown| shown.running_config != status.running_config);
        desired.metadata.owner_references = None;
        desired.status = Some(status);
        apply_status(&self.api, FIELD_MANAGER, &desired).await?;
        if shows_another_config {
            self.config_written = Some(Instant::now());
        }
        Ok(None)
    }
}

/// Whether the two differ in the running configuration only.
fn is_minor(shown: &FRRNodeStateStatus, wanted: &FRRNodeStateStatus) -> bool {
    shown.last_conversion_result == wanted.last_conversion_result
        && shown.last_reload_result == wanted.last_reload_result
}

/// Waits for a point in time, or for ever if there is none.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// `text` as far as it may be published.
pub fn publishable(mut text: String) -> String {
    if text.len() > LONGEST_CONFIG {
        let whole = text.len();
        let fits = text.floor_char_boundary(LONGEST_CONFIG);
        let lines = text
            .get(..fits)
            .and_then(|head| head.rfind('\n'))
            .map_or(0, |end| end + 1);
        text.truncate(lines);
        text.push_str(&format!(
            "! cut off here, the whole configuration has {whole} bytes\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_configuration_is_cut_at_a_line() {
        let text = publishable("network 10.0.0.0/24\n".repeat(100_000));
        assert!(text.len() <= LONGEST_CONFIG + 100);
        let mut lines = text.lines().rev();
        assert_eq!(
            lines.next(),
            Some("! cut off here, the whole configuration has 2000000 bytes")
        );
        assert_eq!(lines.next(), Some("network 10.0.0.0/24"));
    }

    #[test]
    fn a_short_one_is_left_alone() {
        assert_eq!(publishable("hostname a\n".to_owned()), "hostname a\n");
    }
}
