//! An API server with pools and Services, and controllers running against it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use metallb_crds::metallb::{ConfigurationState, IPAddressPool};
use metallb_tests::api_server::ApiServer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

/// The namespace of the configuration.
pub(crate) const NAMESPACE: &str = "metallb-system";
/// The namespace of the Services.
const APPLICATIONS: &str = "default";
/// How long anything may take that follows from a change by itself. Generous, because machines are slow and noisy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The annotation that names the pool.
pub(crate) const FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// What a test works with. One test at a time: a second API server would only make both slow.
pub(crate) struct World {
    server: ApiServer,
    kubeconfig: PathBuf,
    controllers: Vec<Controller>,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// An API server with these pools and no controller.
    pub(crate) async fn with_pools(pools: &[(&str, &[&str])]) -> World {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let server = ApiServer::start().await.unwrap();
        server.install_crds().await.unwrap();
        server.create_namespace(NAMESPACE).await.unwrap();
        let kubeconfig = with_controller_rights(&server).await.unwrap();
        let world = World {
            server,
            kubeconfig,
            controllers: Vec::new(),
            _turn: turn,
        };
        for (name, addresses) in pools {
            world.pool(name, &json!({"addresses": addresses})).await;
        }
        world
    }

    /// Starts one more controller.
    pub(crate) fn start(&mut self, flags: &[&str]) {
        self.controllers
            .push(Controller::start(&self.server, &self.kubeconfig, flags).unwrap());
    }

    /// Waits until the controller that was started last says that it is ready.
    pub(crate) async fn until_last_ready(&self) {
        let port = self.controllers.last().unwrap().port;
        eventually("the controller is ready", || async move {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
            let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            answer.starts_with("HTTP/1.1 200 ").then_some(())
        })
        .await;
    }

    /// Ends all controllers at once, as a crash does.
    pub(crate) fn crash(&mut self) {
        self.controllers.clear();
    }

    /// Ends the controller that was started first, as a deleted pod does, and waits until it is gone.
    pub(crate) async fn terminate_first(&mut self) {
        let mut first = self.controllers.remove(0);
        let id = first.process.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        eventually("the controller ends", || {
            let ended = first.process.try_wait().unwrap().is_some();
            async move { ended.then_some(()) }
        })
        .await;
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.client(), APPLICATIONS)
    }

    fn pools(&self) -> Api<IPAddressPool> {
        Api::namespaced(self.client(), NAMESPACE)
    }

    /// Creates or changes a pool.
    pub(crate) async fn pool(&self, name: &str, spec: &Value) {
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("user").force();
        self.pools()
            .patch(name, &params, &Patch::Apply(&pool))
            .await
            .unwrap();
    }

    /// Creates a Service of type LoadBalancer with the port TCP 80; `change` is merged into it.
    pub(crate) async fn create(&self, name: &str, change: &Value) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]},
        });
        let params = PatchParams::apply("user").force();
        self.services()
            .patch(name, &params, &Patch::Apply(&service))
            .await
            .unwrap();
        if change.as_object().is_some_and(|change| !change.is_empty()) {
            self.change(name, change).await;
        }
    }

    /// Merges `change` into a Service.
    pub(crate) async fn change(&self, name: &str, change: &Value) {
        self.services()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// Merges `change` into the status of a Service, as some other program.
    pub(crate) async fn change_status(&self, name: &str, change: &Value) {
        let params = PatchParams {
            field_manager: Some("someone".into()),
            ..PatchParams::default()
        };
        self.services()
            .patch_status(name, &params, &Patch::Merge(change))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.services()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn service(&self, name: &str) -> Service {
        self.services().get(name).await.unwrap()
    }

    /// Waits until the addresses of a Service, joined by commas, and its annotation are these.
    pub(crate) async fn until_ip(&self, name: &str, addresses: &str, pool: Option<&str>) {
        let what = format!("{name} has {addresses:?} of {pool:?}");
        eventually(&what, || async {
            let service = self.service(name).await;
            (ip(&service) == addresses && service.annotations().get(FROM_POOL).map(String::as_str) == pool)
                .then_some(())
        })
        .await;
    }

    /// Waits for an Event on a Service and returns its text.
    pub(crate) async fn until_event(&self, name: &str, reason: &str) -> String {
        eventually(&format!("{name} gets the Event {reason}"), || async {
            let events = Api::<Event>::namespaced(self.client(), APPLICATIONS);
            let events = events.list(&ListParams::default()).await.unwrap();
            events.into_iter().find_map(|event| {
                let about = event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name);
                (about && event.reason.as_deref() == Some(reason)).then(|| event.note.unwrap_or_default())
            })
        })
        .await
    }

    /// Waits until the status of a pool says so many IPv4 addresses assigned and available.
    pub(crate) async fn until_counted(&self, pool: &str, assigned: i64, available: i64) {
        eventually(
            &format!("{pool} counts {assigned} assigned, {available} available"),
            || async {
                let status = self.pools().get(pool).await.unwrap().status?;
                (status.assigned_ipv4 == assigned && status.available_ipv4 == available).then_some(())
            },
        )
        .await;
    }

    /// Waits until the controller's ConfigurationState has this result, and returns its summary.
    pub(crate) async fn until_state(&self, result: &str) -> String {
        eventually(&format!("the configuration is {result}"), || async {
            let states = Api::<ConfigurationState>::namespaced(self.client(), NAMESPACE);
            let status = states.get_opt("controller").await.unwrap()?.status?;
            (status.result.map(|result| format!("{result:?}")).as_deref() == Some(result))
                .then_some(status.error_summary)
        })
        .await
    }

    pub(crate) async fn delete_state(&self) {
        let states = Api::<ConfigurationState>::namespaced(self.client(), NAMESPACE);
        states
            .delete("controller", &DeleteParams::default())
            .await
            .unwrap();
    }

    /// How many writing requests the API server has seen for what a controller writes, whatever they changed.
    pub(crate) async fn writes(&self) -> u64 {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = self.client().request_text(request).await.unwrap();
        let written = ["services", "ipaddresspools", "configurationstates"];
        let counts = text.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("subresource=\"status\"")
                && written
                    .iter()
                    .any(|resource| line.contains(&format!("resource=\"{resource}\"")))
                && ["PATCH", "APPLY", "PUT"]
                    .iter()
                    .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
        });
        counts
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .map(|count| format!("{count:.0}"))
            .map(|count| count.parse::<u64>().unwrap())
            .sum()
    }
}

/// The addresses of a Service, joined by commas.
pub(crate) fn ip(service: &Service) -> String {
    let status = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let ingress = status
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten();
    ingress
        .filter_map(|entry| entry.ip.clone())
        .collect::<Vec<_>>()
        .join(",")
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let found = async {
        let mut polls = tokio::time::interval(Duration::from_millis(50));
        loop {
            polls.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(found) => found,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// A running controller. Dropping it kills it.
struct Controller {
    process: Child,
    port: u16,
}

impl Controller {
    fn start(server: &ApiServer, kubeconfig: &PathBuf, flags: &[&str]) -> Result<Controller> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = server
            .kubeconfig()
            .with_file_name(format!("controller-{port}.log"));
        let process = Command::new(program())
            .args([
                format!("--namespace={NAMESPACE}"),
                "--host=127.0.0.1".to_owned(),
                format!("--port={port}"),
            ])
            .args(flags)
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("the controller cannot be started")?;
        Ok(Controller { process, port })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The controller of this checkout, built once.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| metallb_tests::program::built("metallb-controller"))
}

/// A kubeconfig with no more rights than the controller's Deployment has.
async fn with_controller_rights(server: &ApiServer) -> Result<PathBuf> {
    let user = format!("system:serviceaccount:{NAMESPACE}:controller");
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let cluster = json!([
        rule("", &["services", "namespaces"], &read),
        rule("", &["services/status"], &["patch"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]);
    let namespaced = json!([
        rule("metallb.io", &["ipaddresspools", "communities"], &read),
        rule(
            "metallb.io",
            &["ipaddresspools/status", "configurationstates/status"],
            &["patch"]
        ),
        rule(
            "metallb.io",
            &["configurationstates"],
            &["get", "list", "watch", "create", "patch"]
        ),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update", "patch"]
        ),
    ]);
    for (kind, rules) in [("ClusterRole", cluster), ("Role", namespaced)] {
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "controller"});
        let subjects = json!([{"kind": "ServiceAccount", "name": "controller", "namespace": NAMESPACE}]);
        let plural = kind.to_lowercase() + "s";
        let bindings = kind.to_lowercase() + "bindings";
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "controller"}, "rules": rules});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
            "metadata": {"name": "controller"}, "roleRef": reference, "subjects": subjects,
        });
        create(server, kind, &plural, &role).await?;
        create(server, kind, &bindings, &binding).await?;
    }
    let text = std::fs::read_to_string(server.kubeconfig())?;
    let mut config: Value = serde_saphyr::from_str(&text)?;
    config["users"][0]["user"]["as"] = json!(user);
    let path = server.kubeconfig().with_file_name("controller.kubeconfig");
    std::fs::write(&path, serde_saphyr::to_string(&config)?)?;
    Ok(path)
}

async fn create(server: &ApiServer, kind: &str, plural: &str, object: &Value) -> Result<()> {
    let scope = if kind == "ClusterRole" {
        String::new()
    } else {
        format!("namespaces/{NAMESPACE}/")
    };
    let path = format!("/apis/rbac.authorization.k8s.io/v1/{scope}{plural}");
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(object)?)?;
    server
        .client()
        .request_text(request)
        .await
        .with_context(|| format!("creating {plural}"))?;
    Ok(())
}
