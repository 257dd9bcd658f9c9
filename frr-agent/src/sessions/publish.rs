//! BGPSessionStates: one per BGP session of this node, and none for sessions that are gone.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Config;
use kube::{Client, Resource, ResourceExt};
use metallb_crds::frrk8s::{BGPSessionState, BGPSessionStateSpec, BGPSessionStateStatus};
use metallb_frr::json::Neighbor;
use metallb_kit::Error;
use metallb_kit::apply::{apply, apply_status, delete, within};
use metallb_kit::backoff::Backoff;
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Sessions;
use crate::FIELD_MANAGER;
use crate::metrics::Shared;

const NODE: &str = "frrk8s.metallb.io/node";
const PEER: &str = "frrk8s.metallb.io/peer";
const VRF: &str = "frrk8s.metallb.io/vrf";

/// Two rounds of writes are at least this far apart, so that a flapping peer does not load the API server.
const PACE: Duration = Duration::from_millis(500);

/// How long the state of a session that is not established is shown, before another such state is. A peer that cannot be
/// reached is tried for ever, and passes through several states each time.
const ATTEMPT_PACE: Duration = Duration::from_secs(10);

/// Whose sessions they are.
#[derive(Clone, Debug)]
pub struct Owner {
    pub node_name: String,
    pub namespace: String,
    /// The pod that the objects go away with, if known.
    pub pod_name: Option<String>,
}

/// Starts the task that keeps the BGPSessionStates equal to `sessions`; `changed` tells it to look again.
pub fn start(tasks: &Tasks, client: &Client, owner: Owner, sessions: Shared, changed: Dirty<()>) {
    let api: Api<BGPSessionState> = Api::namespaced(client.clone(), &owner.namespace);
    let config = Config::default().labels(&format!("{NODE}={}", label_value(&owner.node_name)));
    let mark = changed.clone();
    let mut is_synced = false;
    let live = watch(tasks, "BGPSessionStates", api.clone(), config, move |change| {
        is_synced |= matches!(change, Change::Synced);
        if is_synced {
            mark.mark(());
        }
    });
    let pods = Api::namespaced(client.clone(), &owner.namespace);
    let writer = Writer {
        api,
        pods,
        live,
        owner,
        reference: None,
        sessions,
        written: HashMap::new(),
    };
    tasks.spawn("publish BGPSessionStates", writer.run(changed, tasks.shutdown()));
}

struct Writer {
    api: Api<BGPSessionState>,
    pods: Api<Pod>,
    live: Store<BGPSessionState>,
    owner: Owner,
    reference: Option<OwnerReference>,
    sessions: Shared,
    /// When the status of an object was last written, by its name.
    written: HashMap<String, Instant>,
}

impl Writer {
    async fn run(mut self, changed: Dirty<()>, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ready = self.live.wait_until_ready() => ready?,
        }
        let mut backoff = Backoff::new(PACE, Duration::from_secs(60));
        let mut due = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = changed.take() => {}
                () = sleep_until(due) => {}
            }
            let pause = match self.write().await {
                Ok(later) => {
                    backoff.succeeded(&());
                    due = later;
                    PACE
                }
                Err(error) => {
                    tracing::warn!(error = %format!("{:#}", anyhow::Error::from(error)), "session states not published");
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

    /// Writes what differs and may be written now; returns when the rest may be. Cost: O(sessions), one or two calls per
    /// session that differs.
    async fn write(&mut self) -> Result<Option<Instant>, Error> {
        self.find_owner().await;
        let wanted = desired(&self.sessions.get(), &self.owner, self.reference.as_ref());
        let live: BTreeMap<String, Arc<BGPSessionState>> = self
            .live
            .state()
            .into_iter()
            .map(|state| (state.name_any(), state))
            .collect();
        for name in live.keys().filter(|name| !wanted.contains_key(*name)) {
            delete(&self.api, name).await?;
        }
        self.written.retain(|name, _| wanted.contains_key(name));
        let mut due: Option<Instant> = None;
        for (name, state) in &wanted {
            let live = live.get(name).map(AsRef::as_ref);
            let later = self.written.get(name).map(|written| *written + ATTEMPT_PACE);
            let later = later
                .filter(|later| *later > Instant::now() && live.is_some_and(|live| is_attempt(live, state)));
            if let Some(later) = later {
                due = Some(due.map_or(later, |due| due.min(later)));
            } else if self.write_one(live, state).await? {
                self.written.insert(name.clone(), Instant::now());
            }
        }
        Ok(due)
    }

    /// Returns whether there was a status to write.
    async fn write_one(
        &self,
        live: Option<&BGPSessionState>,
        wanted: &BGPSessionState,
    ) -> Result<bool, Error> {
        if !live.is_some_and(|live| has_metadata(live, wanted)) {
            let plain = BGPSessionState {
                status: None,
                ..wanted.clone()
            };
            apply(&self.api, FIELD_MANAGER, &plain).await?;
        }
        if live.is_none_or(|live| live.status != wanted.status) {
            let metadata = ObjectMeta {
                name: wanted.metadata.name.clone(),
                ..ObjectMeta::default()
            };
            let status = BGPSessionState {
                metadata,
                ..wanted.clone()
            };
            apply_status(&self.api, FIELD_MANAGER, &status).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Without its owner a session is shown all the same; it is then cleared away by the next agent of this node.
    async fn find_owner(&mut self) {
        let Some(name) = self.owner.pod_name.as_ref().filter(|_| self.reference.is_none()) else {
            return;
        };
        match within(&format!("get Pod {name}"), self.pods.get(name)).await {
            Ok(pod) => self.reference = pod.owner_ref(&()),
            Err(error) => {
                tracing::warn!(error = %format!("{:#}", anyhow::Error::from(error)), "own pod not found");
            }
        }
    }
}

/// Whether all that is new is how far an attempt to establish the session has come.
fn is_attempt(live: &BGPSessionState, wanted: &BGPSessionState) -> bool {
    let (Some(live), Some(wanted)) = (&live.status, &wanted.status) else {
        return false;
    };
    let is_open = |state: &str| !state.is_empty() && state != "Established";
    live.bgp_status != wanted.bgp_status
        && is_open(&live.bgp_status)
        && is_open(&wanted.bgp_status)
        && live.bfd_status == wanted.bfd_status
}

/// Waits for a point in time, or for ever if there is none.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn has_metadata(live: &BGPSessionState, wanted: &BGPSessionState) -> bool {
    let owners = wanted.owner_references();
    wanted
        .labels()
        .iter()
        .all(|(key, value)| live.labels().get(key) == Some(value))
        && owners.iter().all(|owner| {
            live.owner_references()
                .iter()
                .any(|present| present.uid == owner.uid)
        })
}

/// The objects that show `sessions`, by name.
fn desired(
    sessions: &Sessions,
    owner: &Owner,
    reference: Option<&OwnerReference>,
) -> BTreeMap<String, BGPSessionState> {
    let states = sessions
        .bgp
        .iter()
        .map(|session| state(session, owner, reference));
    states.map(|state| (state.name_any(), state)).collect()
}

fn state(session: &Neighbor, owner: &Owner, reference: Option<&OwnerReference>) -> BGPSessionState {
    let peer = peer_text(&session.peer);
    let vrf = if session.vrf == "default" {
        ""
    } else {
        &session.vrf
    };
    let labels = [(NODE, owner.node_name.as_str()), (PEER, &peer), (VRF, vrf)];
    BGPSessionState {
        metadata: ObjectMeta {
            name: Some(name(&owner.node_name, vrf, &peer)),
            namespace: Some(owner.namespace.clone()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), label_value(value)))
                    .into(),
            ),
            owner_references: reference.map(|reference| vec![reference.clone()]),
            ..ObjectMeta::default()
        },
        spec: BGPSessionStateSpec::default(),
        status: Some(BGPSessionStateStatus {
            node: owner.node_name.clone(),
            bgp_status: session.state.clone(),
            bfd_status: session.bfd_status.clone().unwrap_or_else(|| "N/A".to_owned()),
            vrf: vrf.to_owned(),
            peer,
        }),
    }
}

/// A peer as labels and users of this API know it: IPv6 addresses are written in full, with `-` in place of `:`.
fn peer_text(peer: &str) -> String {
    match peer.parse::<Ipv6Addr>() {
        Ok(address) => address.segments().map(|group| format!("{group:04x}")).join("-"),
        Err(_) => peer.to_owned(),
    }
}

/// The same session always has the same name, so that a write can be repeated.
fn name(node: &str, vrf: &str, peer: &str) -> String {
    // FNV-1a: short, and unlike the hash of the standard library the same in every release.
    let hash = format!("{vrf}/{peer}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let node = node.get(..node.len().min(230)).unwrap_or(node);
    format!("{node}-{hash:016x}")
}

/// Interface and VRF names may contain what a label must not.
fn label_value(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = text
        .chars()
        .take(63)
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            node_name: "worker-a".into(),
            namespace: "metallb-system".into(),
            pod_name: None,
        }
    }

    #[test]
    fn a_session_is_shown_the_way_clients_look_for_it() {
        let session = Neighbor {
            peer: "2001:db8:51::16".into(),
            vrf: "default".into(),
            state: "Established".into(),
            ..Neighbor::default()
        };
        let shown = state(&session, &owner(), None);
        let text = "2001-0db8-0051-0000-0000-0000-0000-0016";
        assert_eq!(shown.labels().get(PEER).map(String::as_str), Some(text));
        assert_eq!(shown.labels().get(VRF).map(String::as_str), Some(""));
        let status = shown.status.unwrap();
        assert_eq!((status.peer.as_str(), status.vrf.as_str()), (text, ""));
        assert_eq!(
            (status.bgp_status.as_str(), status.bfd_status.as_str()),
            ("Established", "N/A")
        );
    }

    #[test]
    fn sessions_to_one_peer_in_two_vrfs_are_two_objects() {
        let session = |vrf: &str| Neighbor {
            peer: "192.0.2.1".into(),
            vrf: vrf.into(),
            ..Neighbor::default()
        };
        let sessions = Sessions {
            bgp: vec![session("default"), session("blue")],
            bfd: Vec::new(),
        };
        let shown = desired(&sessions, &owner(), None);
        assert_eq!(shown.len(), 2);
        assert!(shown.keys().all(|name| name.starts_with("worker-a-")));
    }

    #[rstest::rstest]
    #[case::up("Active", "Established", false)]
    #[case::down("Established", "Idle", false)]
    #[case::trying("Idle", "Active", true)]
    #[case::nothing_new("Idle", "Idle", false)]
    #[case::never_shown("", "Idle", false)]
    fn only_attempts_to_connect_can_wait(#[case] shown: &str, #[case] state: &str, #[case] expected: bool) {
        let session = |state: &str| Neighbor {
            peer: "192.0.2.1".into(),
            state: state.into(),
            ..Neighbor::default()
        };
        let object = |text: &str| state_of(&session(text));
        assert_eq!(is_attempt(&object(shown), &object(state)), expected);
    }

    fn state_of(session: &Neighbor) -> BGPSessionState {
        state(session, &owner(), None)
    }

    #[test]
    fn names_of_interfaces_are_fit_for_labels() {
        assert_eq!(label_value("eth0:1"), "eth0_1");
        assert_eq!(label_value("_x_"), "x");
    }
}
