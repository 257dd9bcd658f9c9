//! The cluster, the segment and the programs under test.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use metallb_crds::metallb::{
    ConfigurationState, IPAddressPool, L2Advertisement, ServiceL2Status, ServiceL2StatusStatus,
};
use metallb_tests::api_server::ApiServer;
use metallb_wire::arp::ArpFrame;
use metallb_wire::ethernet::ETHERTYPE_ARP;
use metallb_wire::{Interface, Mac, PacketSocket, sys};
use nix::sched::{CloneFlags, unshare};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// For a whole test, the start of the API server on a busy machine included.
const DEADLINE: Duration = Duration::from_secs(300);
const SYSTEM: &str = "metallb-system";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Runs a test in a network namespace of its own, which vanishes with the thread.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    // One after the other: an API server keeps both cores of a small machine busy while it starts.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("making a network namespace needs root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let hung = runtime.block_on(async { tokio::time::timeout(DEADLINE, test()).await.is_err() });
        assert!(!hung, "what the test waits for never happened");
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn interface(name: &str) -> Interface {
    let all = sys::interfaces().unwrap();
    all.into_iter()
        .find(|interface| interface.name == name)
        .expect("the interface exists")
}

/// A station on the segment that is not a node.
pub(crate) struct Lan {
    mac: Mac,
    socket: PacketSocket,
}

impl Lan {
    pub(crate) async fn next_arp(&self) -> ArpFrame {
        let mut buffer = [0; 256];
        let length = self.socket.receive(&mut buffer).await.unwrap();
        ArpFrame::parse(&buffer[..length]).unwrap()
    }

    /// The next frame that is addressed to this station alone.
    pub(crate) async fn answer(&self) -> ArpFrame {
        loop {
            let frame = self.next_arp().await;
            if frame.destination == self.mac {
                return frame;
            }
        }
    }
}

pub(crate) struct World {
    pub(crate) lan: Lan,
    client: Client,
    server: Option<ApiServer>,
    kubeconfig: std::path::PathBuf,
}

impl World {
    /// A cluster of three nodes with one pool and one advertisement, and no speaker.
    pub(crate) async fn start() -> Self {
        ip("link set lo up");
        // The API server insists on a default route.
        ip("link add uplink type veth peer name uplink-peer");
        ip("link set uplink up");
        ip("addr add 10.255.0.1/24 dev uplink");
        ip("route add default via 10.255.0.2");
        ip("link add lan type bridge");
        ip("link set lan up");
        for node in NODES.iter().copied().chain(["client"]) {
            ip(&format!("link add {node} type veth peer name {node}-port"));
            ip(&format!("link set {node}-port master lan up"));
            ip(&format!("link set {node} up"));
        }
        let client = interface("client");
        let socket = PacketSocket::capture(client.index, ETHERTYPE_ARP).unwrap();
        let lan = Lan {
            mac: client.mac.unwrap(),
            socket,
        };

        let server = ApiServer::start().await.unwrap();
        server.install_crds().await.unwrap();
        server.create_namespace(SYSTEM).await.unwrap();
        let kubeconfig = server.kubeconfig().to_owned();
        let world = Self {
            lan,
            client: server.client(),
            server: Some(server),
            kubeconfig,
        };
        for node in NODES {
            world.node(node).await;
            world.speaker_pod(node).await;
            world.set_speaker_ready(node, true).await;
        }
        world.pool("pool", "192.0.2.0/24").await;
        let ad = json!({"metadata": {"name": "all"}, "spec": {}});
        world.create::<L2Advertisement>(SYSTEM, ad).await;
        world
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create<K>(&self, namespace: &str, object: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>(namespace)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    async fn node(&self, name: &str) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(ready))
            .await
            .unwrap();
    }

    async fn speaker_pod(&self, node: &str) {
        let pod = json!({
            "metadata": {"name": format!("speaker-{node}"), "labels": {"app": "metallb", "component": "speaker"}},
            "spec": {"nodeName": node, "containers": [{"name": "speaker", "image": "speaker"}]},
        });
        self.create::<Pod>(SYSTEM, pod).await;
    }

    /// What the kubelet would do.
    pub(crate) async fn set_speaker_ready(&self, node: &str, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let patch = json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        let pods = self.api::<Pod>(SYSTEM);
        let name = format!("speaker-{node}");
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn pool(&self, name: &str, addresses: &str) {
        let pool = json!({"metadata": {"name": name}, "spec": {"addresses": [addresses]}});
        self.create::<IPAddressPool>(SYSTEM, pool).await;
    }

    pub(crate) async fn delete_pool(&self, name: &str) {
        self.api::<IPAddressPool>(SYSTEM)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// What a user and the controller would do.
    pub(crate) async fn service(&self, name: &str, address: &str) {
        let spec = json!({"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": name}});
        self.create::<Service>("default", json!({"metadata": {"name": name}, "spec": spec}))
            .await;
        let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let services = self.api::<Service>("default");
        services
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn patch_service(&self, name: &str, patch: Value) {
        let services = self.api::<Service>("default");
        services
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn delete_service(&self, name: &str) {
        self.api::<Service>("default")
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn endpoint(&self, service: &str, node: &str, ready: bool) {
        let slice = json!({
            "metadata": {"name": format!("{service}-x"), "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": node, "conditions": {"ready": ready}}],
        });
        self.create::<EndpointSlice>("default", slice).await;
    }

    pub(crate) fn mac(&self, node: &str) -> Mac {
        interface(node).mac.unwrap()
    }

    pub(crate) async fn ask(&self, address: Ipv4Addr) {
        let request = ArpFrame::request(self.lan.mac, ASKER, address);
        self.lan.socket.send(&request.to_bytes()).await.unwrap();
    }

    /// Asks until this node, and in that round no other, answers.
    pub(crate) async fn wait_for_answer(&self, address: Ipv4Addr, node: &str) {
        let mac = self.mac(node);
        loop {
            self.ask(address).await;
            let mut answers = Vec::new();
            let listen = async {
                loop {
                    let answer = self.lan.answer().await;
                    assert_eq!(answer.sender_ip, address);
                    answers.push(answer.sender_mac);
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(200), listen).await;
            if answers == [mac] {
                return;
            }
        }
    }

    /// Waits until the status objects of a Service name exactly these nodes.
    pub(crate) async fn wait_for_statuses(&self, service: &str, nodes: &[&str]) {
        loop {
            let all = self
                .api::<ServiceL2Status>(SYSTEM)
                .list(&ListParams::default())
                .await
                .unwrap();
            let of_service = all.items.into_iter().filter_map(|object| object.status);
            let mut found: Vec<String> = of_service
                .filter(|status| status.service_name == service && status.service_namespace == "default")
                .map(|status| status.node)
                .collect();
            found.sort();
            if found == nodes {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn label_node(&self, name: &str, key: &str, value: &str) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"labels": {key: value}}});
        nodes
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// What the controller does with each address it gives out.
    pub(crate) async fn set_pool_status(&self, name: &str) {
        let pools = self.api::<IPAddressPool>(SYSTEM);
        let counters =
            json!({"assignedIPv4": 1, "assignedIPv6": 0, "availableIPv4": 255, "availableIPv6": 0});
        let patch = json!({"status": counters});
        pools
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn endpoint_on_another_node(&self, service: &str, node: &str) {
        let endpoint = json!({"addresses": ["10.0.0.2"], "nodeName": node, "conditions": {"ready": true}});
        let slices = self.api::<EndpointSlice>("default");
        let patch = json!({"endpoints": [endpoint]});
        slices
            .patch(
                &format!("{service}-x"),
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .unwrap();
    }

    pub(crate) async fn wait_for_configuration_states(&self, count: usize) {
        let states = self.api::<ConfigurationState>(SYSTEM);
        loop {
            let all = states.list(&ListParams::default()).await.unwrap();
            if all.items.iter().filter(|state| state.status.is_some()).count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Versions of everything the speakers have written, by what it is about.
    pub(crate) async fn written(&self) -> BTreeMap<String, Option<String>> {
        let all = ListParams::default();
        let statuses = self
            .api::<ServiceL2Status>(SYSTEM)
            .list(&all)
            .await
            .unwrap()
            .items
            .into_iter();
        let states = self
            .api::<ConfigurationState>(SYSTEM)
            .list(&all)
            .await
            .unwrap()
            .items
            .into_iter();
        let events = self
            .api::<Event>("default")
            .list(&all)
            .await
            .unwrap()
            .items
            .into_iter();
        let about = |status: ServiceL2StatusStatus| {
            format!(
                "status {}/{} {}",
                status.service_namespace, status.service_name, status.node
            )
        };
        let statuses = statuses.map(|object| {
            (
                about(object.status.clone().unwrap_or_default()),
                object.resource_version(),
            )
        });
        let states = states.map(|object| (format!("state {}", object.name_any()), object.resource_version()));
        let events = events.map(|object| {
            let involved = &object.involved_object;
            let service = format!("default/{}", involved.name.clone().unwrap_or_default());
            (
                format!("event {service} {}", object.name_any()),
                object.resource_version(),
            )
        });
        statuses.chain(states).chain(events).collect()
    }

    pub(crate) async fn patch_advertisement(&self, patch: Value) {
        let ads = self.api::<L2Advertisement>(SYSTEM);
        ads.patch("all", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// A new interface of all nodes, which is not on the segment.
    pub(crate) fn add_interface(&self, name: &str) {
        ip(&format!("link add {name} type veth peer name {name}-peer"));
        ip(&format!("link set {name} up"));
    }

    /// The status object of a Service, when there is exactly one.
    pub(crate) async fn status(&self, service: &str) -> ServiceL2Status {
        let all = self
            .api::<ServiceL2Status>(SYSTEM)
            .list(&ListParams::default())
            .await
            .unwrap();
        let about = |object: &ServiceL2Status| {
            object
                .status
                .as_ref()
                .is_some_and(|status| status.service_name == service)
        };
        let mut found: Vec<_> = all.items.into_iter().filter(about).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    pub(crate) async fn wait_for_interfaces(&self, service: &str, names: &[&str]) {
        loop {
            let all = self
                .api::<ServiceL2Status>(SYSTEM)
                .list(&ListParams::default())
                .await
                .unwrap();
            let statuses = all.items.into_iter().filter_map(|object| object.status);
            let found: Vec<Vec<String>> = statuses
                .filter(|status| status.service_name == service)
                .map(|status| {
                    status
                        .interfaces
                        .into_iter()
                        .map(|interface| interface.name)
                        .collect()
                })
                .collect();
            if found == [names] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for an Event with this reason and returns its note.
    pub(crate) async fn wait_for_event(&self, reason: &str) -> String {
        loop {
            let events = self
                .api::<Event>("default")
                .list(&ListParams::default())
                .await
                .unwrap();
            let mut found = events
                .items
                .into_iter()
                .filter(|event| event.reason.as_deref() == Some(reason));
            if let Some(event) = found.next() {
                return event.message.unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a speaker left behind whose node is lost, named as other implementations do.
    pub(crate) async fn status_of_a_lost_node(&self, service: &str, node: &str) {
        let labels = json!({
            "metallb.io/node": node, "metallb.io/service-name": service, "metallb.io/service-namespace": "default",
        });
        let object = json!({"metadata": {"name": "l2-x7k2p", "labels": labels}, "spec": {}});
        self.create::<ServiceL2Status>(SYSTEM, object).await;
        let status = json!({"node": node, "serviceName": service, "serviceNamespace": "default"});
        let statuses = self.api::<ServiceL2Status>(SYSTEM);
        let patch = Patch::Merge(json!({"status": status}));
        statuses
            .patch_status("l2-x7k2p", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    pub(crate) async fn delete_status(&self, object: &ServiceL2Status) {
        let statuses = self.api::<ServiceL2Status>(SYSTEM);
        statuses
            .delete(&object.name_any(), &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) fn stop_api_server(&mut self) {
        self.server = None;
    }

    /// Starts the speakers of these nodes and waits until they are ready.
    pub(crate) async fn speakers(&self, nodes: &[&str]) -> Vec<Speaker> {
        let mut speakers: Vec<Speaker> = nodes.iter().map(|node| Speaker::start(self, node)).collect();
        for speaker in &mut speakers {
            speaker.wait_until_ready().await;
        }
        speakers
    }
}

/// A running speaker. Dropping it kills it and removes its files.
pub(crate) struct Speaker {
    child: Child,
    port: u16,
    log: Arc<Mutex<String>>,
    exclusions: std::path::PathBuf,
}

impl Speaker {
    fn start(world: &World, node: &str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let exclusions = world.kubeconfig.with_file_name(format!("exclude-{node}.yaml"));
        let others = NODES
            .iter()
            .copied()
            .filter(|other| *other != node)
            .chain(["lan", "client", "lo", "uplink"]);
        let expressions: Vec<String> = others.map(|name| format!("^{name}")).collect();
        std::fs::write(
            &exclusions,
            json!({"announcedInterfacesToExclude": expressions}).to_string(),
        )
        .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_metallb-speaker"))
            .args([
                format!("--node-name={node}"),
                format!("--port={port}"),
                format!("--pod-name=speaker-{node}"),
            ])
            .args([
                "--host=127.0.0.1",
                "--namespace=metallb-system",
                "--log-level=debug",
            ])
            .arg(format!("--excluded-interfaces-file={}", exclusions.display()))
            .env("KUBECONFIG", &world.kubeconfig)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Self {
            child,
            port,
            log,
            exclusions,
        }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    async fn wait_until_ready(&mut self) {
        while !self
            .get("/readyz")
            .is_some_and(|text| text.starts_with("HTTP/1.1 200"))
        {
            assert_eq!(
                self.child.try_wait().unwrap(),
                None,
                "the speaker ended:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").unwrap()
    }

    pub(crate) async fn wait_until_the_api_server_is_missed(&self) {
        while !self.log().contains("watch interrupted") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the speaker on port {}:\n{}", self.port, self.log());
        }
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.exclusions);
    }
}
