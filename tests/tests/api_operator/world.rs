//! An API server with the install manifest applied, and the operator running against it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use metallb_crds::metallb::MetalLB;
use metallb_tests::api_server::ApiServer;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// The namespace of the install manifest.
pub(crate) const NAMESPACE: &str = "metallb-system";
/// How long anything may take that follows from a change by itself. Generous, because machines are slow and noisy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Group, version, kind and plural of everything the operator deploys.
const DEPLOYED: [(&str, &str, &str, &str); 9] = [
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
    ),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("apps", "v1", "Deployment", "deployments"),
];

/// What a test works with. One test at a time: a second API server would only make both slow.
pub(crate) struct World {
    server: ApiServer,
    operator: Option<Operator>,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// Starts an API server and applies the install manifest, without its Deployment's pods of course.
    pub(crate) async fn without_operator() -> World {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let server = ApiServer::start().await.unwrap();
        server.install_crds().await.unwrap();
        let world = World {
            server,
            operator: None,
            _turn: turn,
        };
        let manifest =
            std::fs::read_to_string(xtask::workspace::root().join("manifests/metallb-operator.yaml"))
                .unwrap();
        for document in serde_saphyr::from_multiple::<Value>(&manifest).unwrap() {
            if document["kind"] != "CustomResourceDefinition" {
                world.apply(&document).await.unwrap();
            }
        }
        world
    }

    /// The same with the operator running.
    pub(crate) async fn new() -> World {
        let mut world = World::without_operator().await;
        world.start_operator(&[]);
        world
    }

    /// The same with a MetalLB object whose spec is `spec`, and everything deployed for it.
    pub(crate) async fn with_metallb(spec: Value) -> World {
        let world = World::new().await;
        world.apply_metallb(spec).await;
        world.until_deployed().await;
        world
    }

    /// Starts the operator with its own rights and more environment variables; ends one that runs.
    pub(crate) fn start_operator(&mut self, variables: &[(&str, &str)]) {
        self.operator = None;
        self.operator = Some(Operator::start(&self.server, variables).unwrap());
    }

    /// Ends the operator at once, as a crash does.
    pub(crate) fn stop_operator(&mut self) {
        self.operator = None;
    }

    /// The running operator.
    pub(crate) fn operator(&self) -> &Operator {
        self.operator.as_ref().unwrap()
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> Client {
        self.server.client()
    }

    /// The API of a kind that the operator deploys, in its namespace.
    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let known = DEPLOYED.iter().find(|(_, _, known, _)| *known == kind).unwrap();
        let (group, version, kind, plural) = known;
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        if kind.starts_with("Cluster") {
            Api::all_with(self.client(), &resource)
        } else {
            Api::namespaced_with(self.client(), NAMESPACE, &resource)
        }
    }

    pub(crate) fn metallbs(&self) -> Api<MetalLB> {
        Api::namespaced(self.client(), NAMESPACE)
    }

    pub(crate) async fn metallb(&self) -> MetalLB {
        self.metallbs().get("metallb").await.unwrap()
    }

    /// Creates the MetalLB object, or changes its spec to exactly `spec`. An empty one is left out: applying an empty
    /// map over fields of one's own makes the API server try to store null.
    pub(crate) async fn apply_metallb(&self, spec: Value) {
        let mut object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
            "metadata": {"name": "metallb", "namespace": NAMESPACE},
        });
        if spec != json!({}) {
            object["spec"] = spec;
        }
        self.apply(&object).await.unwrap();
    }

    /// Applies any object as a user would.
    pub(crate) async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.clone().context("an object without kind")?;
        let gvk = GroupVersionKind::try_from(&types)?;
        let (resource, _) = kube::discovery::pinned_kind(&self.client(), &gvk).await?;
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client(), &namespace, &resource),
            None => Api::all_with(self.client(), &resource),
        };
        let params = PatchParams::apply("user").force();
        Ok(api
            .patch(&object.name_any(), &params, &Patch::Apply(&object))
            .await?)
    }

    /// Everything that carries the operator's label: kind and name, uid and resource version.
    pub(crate) async fn deployed(&self) -> BTreeMap<String, (String, String)> {
        let ours = kube::api::ListParams::default().labels("app.kubernetes.io/managed-by=metallb-operator");
        let mut found = BTreeMap::new();
        for (_, _, kind, _) in DEPLOYED {
            for object in self.api(kind).list(&ours).await.unwrap() {
                let version = object.resource_version().unwrap_or_default();
                found.insert(
                    format!("{kind} {}", object.name_any()),
                    (object.uid().unwrap_or_default(), version),
                );
            }
        }
        found
    }

    /// Waits until the operator has looked at the MetalLB object as it is now, and has written its workloads.
    pub(crate) async fn until_deployed(&self) {
        self.until("the MetalLB object is acted on", async || {
            let metallb = self.metallb().await;
            let status = metallb.status.context("no status")?;
            ensure!(
                status.observed_generation == metallb.metadata.generation,
                "old status: {status:?}"
            );
            ensure!(!status.components.is_empty(), "no components: {status:?}");
            Ok(())
        })
        .await;
    }

    /// Status, reason and message of a condition of the MetalLB object.
    pub(crate) async fn condition(&self, type_: &str) -> Result<(String, String, String)> {
        let status = self.metallb().await.status.context("no status yet")?;
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        let condition = condition.with_context(|| format!("no condition {type_}"))?;
        Ok((
            condition.status.clone(),
            condition.reason.clone(),
            condition.message.clone(),
        ))
    }

    /// Waits until a condition has a status and a message that contains `text`.
    pub(crate) async fn until_condition(&self, type_: &str, status: &str, text: &str) {
        self.until(&format!("{type_} is {status}, saying {text:?}"), async || {
            let found = self.condition(type_).await?;
            ensure!(found.0 == status && found.2.contains(text), "{found:?}");
            Ok(())
        })
        .await;
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> Result<()>) {
        let mut polls = tokio::time::interval(Duration::from_millis(50));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            polls.tick().await;
            let Err(reason) = condition().await else {
                return;
            };
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}: not so after {PATIENCE:?}: {reason:#}\n{}",
                self.operator.as_ref().map(Operator::log).unwrap_or_default()
            );
        }
    }

    /// How many requests that write the API server has served, except those for Leases. Also those count that changed
    /// nothing.
    pub(crate) async fn writes(&self) -> u64 {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = self.client().request_text(request).await.unwrap();
        let writing = ["APPLY", "PATCH", "POST", "PUT", "DELETE", "DELETECOLLECTION"];
        text.lines()
            .filter(|line| {
                line.starts_with("apiserver_request_total{") && !line.contains("resource=\"leases\"")
            })
            .filter(|line| {
                writing
                    .iter()
                    .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .map(|count| format!("{count:.0}").parse::<u64>().unwrap())
            .sum()
    }
}

/// A running operator. Dropping it kills it.
pub(crate) struct Operator {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Operator {
    fn start(server: &ApiServer, variables: &[(&str, &str)]) -> Result<Operator> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = server
            .kubeconfig()
            .parent()
            .context("the kubeconfig is in a folder")?;
        let log = folder.join(format!("operator-{port}.log"));
        let process = Command::new(program())
            .args([format!("--host={}", address.ip()), format!("--port={port}")])
            .env_clear()
            .env("KUBECONFIG", with_operator_rights(server)?)
            .env("OPERATOR_NAMESPACE", NAMESPACE)
            .env("CONTROLLER_IMAGE", "example.com/controller:1")
            .env("SPEAKER_IMAGE", "example.com/speaker:1")
            .env("FRR_IMAGE", "example.com/frr:1")
            .env("FRRK8S_IMAGE", "example.com/frr-agent:1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("the operator cannot be started")?;
        Ok(Operator {
            process,
            address,
            log,
        })
    }

    /// What the operator has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How many reconciliations ended, whatever their result; `None` while nothing answers.
    pub(crate) fn reconciliations(&self) -> Option<u64> {
        self.sum("metallb_operator_reconcile_total")
    }

    /// The sum of a metric over its labels.
    pub(crate) fn sum(&self, metric: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nHost: operator\r\n\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let values = text.lines().filter(|line| line.starts_with(metric));
        Some(
            values
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                .sum(),
        )
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The operator of this checkout, built once.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| metallb_tests::program::built("metallb-operator"))
}

/// A kubeconfig that has exactly the rights which the install manifest gives the operator.
fn with_operator_rights(server: &ApiServer) -> Result<PathBuf> {
    let text = std::fs::read_to_string(server.kubeconfig())?;
    let mut config: Value = serde_saphyr::from_str(&text)?;
    config["users"][0]["user"]["as"] = json!(format!("system:serviceaccount:{NAMESPACE}:manager-account"));
    let path = server.kubeconfig().with_file_name("operator.kubeconfig");
    std::fs::write(&path, serde_saphyr::to_string(&config)?)?;
    Ok(path)
}
