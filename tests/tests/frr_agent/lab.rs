//! A node with the agent and FRRouting, its peer, and the API server.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use frr_agent::args::Args;
use k8s_openapi::api::core::v1::Node as KubernetesNode;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use metallb_crds::frrk8s::{BGPSessionState, FRRConfiguration, FRRNodeState, FRRNodeStateStatus};
use metallb_frr::daemon::Daemon;
use metallb_kit::args::Observability;
use metallb_kit::logging::LogLevel;
use metallb_kit::tasks::Tasks;
use metallb_tests::api_server::ApiServer;
use metallb_tests::frr::{Instance, Network, ROOT_VARIABLE, Release};
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "metallb-system";
pub(crate) const NODE: &str = "worker-a";

/// The node is host 1 of the network, the peer host 2.
pub(crate) struct Lab {
    pub(crate) client: Client,
    pub(crate) frr: Instance,
    pub(crate) peer: Instance,
    pub(crate) port: u16,
    pub(crate) tasks: Tasks,
    pub(crate) api: Option<ApiServer>,
    pub(crate) network: Network,
}

impl Lab {
    pub(crate) async fn new(release: &Release) -> Self {
        let api = ApiServer::start().await.unwrap();
        api.install_crds().await.unwrap();
        api.create_namespace(NAMESPACE).await.unwrap();
        let client = api.client();
        let node = json!({ "metadata": { "name": NODE, "labels": { "zone": "east" } } });
        let nodes: Api<KubernetesNode> = Api::all(client.clone());
        nodes
            .create(&PostParams::default(), &serde_json::from_value(node).unwrap())
            .await
            .unwrap();

        let network = Network::new(2);
        let frr = Instance::start(release, &network.host(1));
        let mut peer = Instance::start(&Release::installed(), &network.host(2));
        peer.configure(
            Daemon::Bgpd,
            &[
                "router bgp 64601",
                "no bgp ebgp-requires-policy",
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 timers connect 1",
            ],
        );
        let port = free_port();
        let tasks = Tasks::new();
        frr_agent::start(&tasks, &client, args(release, &network.host(1), port)).unwrap();
        Self {
            client,
            frr,
            peer,
            port,
            tasks,
            api: Some(api),
            network,
        }
    }

    pub(crate) fn configurations(&self) -> Api<FRRConfiguration> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) async fn apply(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
            "metadata": { "name": name }, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        self.configurations()
            .patch(name, &params, &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// The prefixes the peer has learned from the node.
    pub(crate) fn routes(&mut self) -> Vec<String> {
        let table = self.peer.json("bgp ipv4 unicast");
        table["routes"]
            .as_object()
            .map(|routes| routes.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) async fn wait_for_routes(&mut self, expected: &[&str]) {
        let deadline = deadline();
        while self.routes() != expected {
            assert!(
                Instant::now() < deadline,
                "{:?} in place of {expected:?}; {:?}",
                self.routes(),
                self.state().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn state(&self) -> FRRNodeStateStatus {
        let api: Api<FRRNodeState> = Api::all(self.client.clone());
        api.get_opt(NODE)
            .await
            .unwrap()
            .and_then(|state| state.status)
            .unwrap_or_default()
    }

    pub(crate) async fn wait_for_state(&self, what: &str, is_so: impl Fn(&FRRNodeStateStatus) -> bool) {
        let deadline = deadline();
        loop {
            let state = self.state().await;
            if is_so(&state) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {state:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn wait_for_sessions(&self, expected: &[(&str, &str)]) {
        let api: Api<BGPSessionState> = Api::namespaced(self.client.clone(), NAMESPACE);
        let deadline = deadline();
        loop {
            let states = api.list(&ListParams::default()).await.unwrap();
            let states = states.into_iter().map(|state| state.status.unwrap_or_default());
            let found: Vec<(String, String)> = states.map(|state| (state.peer, state.bgp_status)).collect();
            if found
                .iter()
                .map(|(peer, state)| (peer.as_str(), state.as_str()))
                .eq(expected.iter().copied())
            {
                return;
            }
            assert!(Instant::now() < deadline, "{found:?} in place of {expected:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the agent's endpoint answers.
    pub(crate) async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) fn stop_agent(&self) {
        self.tasks.shutdown().cancel();
    }

    pub(crate) fn restart_agent(&mut self, release: &Release) {
        self.stop_agent();
        self.tasks = Tasks::new();
        self.port = free_port();
        frr_agent::start(
            &self.tasks,
            &self.client,
            args(release, &self.network.host(1), self.port),
        )
        .unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(90)
}

pub(crate) fn args(release: &Release, host: &str, port: u16) -> Args {
    let is_other = Release::other().is_some_and(|other| other.version == release.version);
    let root = is_other.then(|| std::env::var_os(ROOT_VARIABLE)).flatten();
    let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Args {
        observability: Observability {
            log_level: LogLevel::Info,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: Some(port),
        },
        node_name: NODE.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        pod_name: None,
        frr_socket_dir: root.join("run/frr").join(host),
        always_block: Vec::new(),
        poll_interval: Duration::from_millis(200),
    }
}
