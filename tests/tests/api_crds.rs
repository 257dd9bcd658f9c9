//! The kinds of this project as a real API server sees them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, ResourceExt as _};
use metallb_crds::{frrk8s, metallb};
use metallb_tests::api_server::ApiServer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xtask::kubernetes_binaries::Binaries;

const ACCEPTED: [(&str, &str); 8] = [
    ("layer2", include_str!("../fixtures/api/accepted/layer2.yaml")),
    (
        "bgp-with-frr",
        include_str!("../fixtures/api/accepted/bgp-with-frr.yaml"),
    ),
    (
        "bgp-native",
        include_str!("../fixtures/api/accepted/bgp-native.yaml"),
    ),
    (
        "status-and-old-versions",
        include_str!("../fixtures/api/accepted/status-and-old-versions.yaml"),
    ),
    ("odd", include_str!("../fixtures/api/accepted/odd.yaml")),
    (
        "installation",
        include_str!("../fixtures/api/accepted/installation.yaml"),
    ),
    (
        "frr-configurations",
        include_str!("../fixtures/api/accepted/frr-configurations.yaml"),
    ),
    ("services", include_str!("../fixtures/api/accepted/services.yaml")),
];

const REFUSED: [(&str, &str); 2] = [
    ("metallb", include_str!("../fixtures/api/refused/metallb.yaml")),
    ("frrk8s", include_str!("../fixtures/api/refused/frrk8s.yaml")),
];

/// An object the API server must refuse.
#[derive(Deserialize)]
struct Refused {
    what: String,
    object: Value,
    then: Option<Value>,
    says: Vec<String>,
}

/// An API server with the kinds of this project, and how to find them.
struct Cluster {
    server: ApiServer,
    /// Whether a kind is namespaced, and its plural.
    kinds: BTreeMap<String, (bool, String)>,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        server.install_crds().await?;
        for namespace in ["metallb-system", "shop", "team-a"] {
            server.create_namespace(namespace).await?;
        }
        let ours = metallb_crds::all().into_iter().map(|crd| {
            let namespaced = crd.spec.scope == "Namespaced";
            (crd.spec.names.kind, (namespaced, crd.spec.names.plural))
        });
        let core = ["Secret", "ConfigMap", "Service"]
            .map(|kind| (kind.to_owned(), (true, format!("{}s", kind.to_lowercase()))));
        Ok(Self {
            server,
            kinds: ours.chain(core).collect(),
        })
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
        let (namespaced, plural) = self.kinds.get(kind).with_context(|| format!("no kind {kind}"))?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        Ok(match namespaced {
            true => Api::namespaced_with(self.client(), namespace.unwrap_or("metallb-system"), &resource),
            false => Api::all_with(self.client(), &resource),
        })
    }

    fn api_of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let (version, kind) = (
            text("/apiVersion").context("no apiVersion")?,
            text("/kind").context("no kind")?,
        );
        self.api(version, kind, text("/metadata/namespace"))
    }

    /// Creates an object as `kubectl create --validate=strict` does, and then its status, if it has one.
    async fn create(&self, object: &Value) -> Result<DynamicObject> {
        let api = self.api_of(object)?;
        let url = format!("{}?fieldValidation=Strict", api.resource_url());
        let request = http::Request::post(url).header("Content-Type", "application/json");
        let created: DynamicObject = self
            .client()
            .request(request.body(serde_json::to_vec(object)?)?)
            .await?;
        match object.get("status") {
            Some(status) => self.patch(&created, &json!({ "status": status })).await,
            None => Ok(created),
        }
    }

    /// Applies a merge patch, to the status if it has one.
    async fn patch(&self, object: &DynamicObject, patch: &Value) -> Result<DynamicObject> {
        let api = self.api_of(&serde_json::to_value(object)?)?;
        let (name, params, merge) = (object.name_any(), PatchParams::default(), Patch::Merge(patch));
        Ok(match patch.get("status") {
            Some(_) => api.patch_status(&name, &params, &merge).await?,
            None => api.patch(&name, &params, &merge).await?,
        })
    }
}

/// Reads `object` as the type of its kind and writes it again; `None` for kinds that are not ours.
fn typed_again(object: &Value) -> Result<Option<Value>> {
    fn again<K: DeserializeOwned + Serialize>(object: &Value) -> Result<Option<Value>> {
        Ok(Some(serde_json::to_value(serde_json::from_value::<K>(
            object.clone(),
        )?)?))
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("metallb.io/v1beta1", "BFDProfile") => again::<metallb::BFDProfile>(object),
        ("metallb.io/v1beta1", "BGPAdvertisement") => again::<metallb::BGPAdvertisement>(object),
        ("metallb.io/v1beta1", "BGPPeer") => again::<metallb::v1beta1::BGPPeer>(object),
        ("metallb.io/v1beta2", "BGPPeer") => again::<metallb::BGPPeer>(object),
        ("metallb.io/v1beta1", "Community") => again::<metallb::Community>(object),
        ("metallb.io/v1beta1", "ConfigurationState") => again::<metallb::ConfigurationState>(object),
        ("metallb.io/v1beta1", "IPAddressPool") => again::<metallb::IPAddressPool>(object),
        ("metallb.io/v1beta1", "L2Advertisement") => again::<metallb::L2Advertisement>(object),
        ("metallb.io/v1beta1", "MetalLB") => again::<metallb::MetalLB>(object),
        ("metallb.io/v1beta1", "ServiceBGPStatus") => again::<metallb::ServiceBGPStatus>(object),
        ("metallb.io/v1beta1", "ServiceL2Status") => again::<metallb::ServiceL2Status>(object),
        ("frrk8s.metallb.io/v1beta1", "BGPSessionState") => again::<frrk8s::BGPSessionState>(object),
        ("frrk8s.metallb.io/v1beta1", "FRRConfiguration") => again::<frrk8s::FRRConfiguration>(object),
        ("frrk8s.metallb.io/v1beta1", "FRRK8sConfiguration") => again::<frrk8s::FRRK8sConfiguration>(object),
        ("frrk8s.metallb.io/v1beta1", "FRRNodeState") => again::<frrk8s::FRRNodeState>(object),
        ("v1", _) => Ok(None),
        (version, kind) => anyhow::bail!("no type for {version} {kind}"),
    }
}

/// Whether everything `part` says is in `whole`.
fn covers(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| covers(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| covers(whole, part))
        }
        // A quantity may be a number or a text, and Go and Rust choose differently. Elsewhere the schema forbids one.
        (Value::String(text), Value::Number(number)) | (Value::Number(number), Value::String(text)) => {
            *text == number.to_string()
        }
        _ => whole == part,
    }
}

fn same(one: &Value, other: &Value) -> bool {
    covers(one, other) && covers(other, one)
}

/// An object that was written with all its fields keeps them: in the API server, and in our types.
async fn check_accepted(cluster: &Cluster, object: &Value) -> Result<()> {
    let stored = serde_json::to_value(cluster.create(object).await?)?;
    for part in ["spec", "status", "data"] {
        let asked = object.get(part).unwrap_or(&Value::Null);
        let kept = asked.is_null() || stored.get(part).is_some_and(|stored| covers(stored, asked));
        ensure!(
            kept,
            "the API server changed {part} from {asked} to {}",
            stored[part]
        );
    }
    let Some(typed) = typed_again(&stored)? else {
        return Ok(());
    };
    ensure!(
        typed["status"] == stored["status"],
        "our type made {} of the status {}",
        typed["status"],
        stored["status"]
    );
    ensure!(
        covers(&typed["metadata"], &stored["metadata"]),
        "our type changed the metadata to {}",
        typed["metadata"]
    );
    // What the type writes need not be the same text, since the API server fills in defaults; its effect must be.
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let name = stored["metadata"]["name"].as_str().unwrap_or_default();
    let written = cluster
        .api_of(&stored)?
        .replace(name, &params, &serde_json::from_value(typed.clone())?)
        .await?;
    let empty = json!({});
    let (before, after) = (
        stored.get("spec").unwrap_or(&empty),
        written.data.get("spec").unwrap_or(&empty),
    );
    let said_nothing = stored.get("spec").is_none();
    let kept = if said_nothing {
        covers(after, before)
    } else {
        same(after, before)
    };
    ensure!(kept, "our type made {after} of the spec {before}");
    Ok(())
}

/// What the API server says about an object it must refuse.
async fn refusal(cluster: &Cluster, refused: &Refused, number: usize) -> Result<String> {
    let mut object = refused.object.clone();
    object["metadata"] = json!({ "name": format!("refused-{number}") });
    let created = match (cluster.create(&object).await, &refused.then) {
        (Ok(created), Some(_)) => created,
        (Ok(_), None) => anyhow::bail!("it was accepted"),
        (Err(error), None) => return Ok(format!("{error:#}")),
        (Err(error), Some(_)) => return Err(error.context("the object before the change was refused")),
    };
    let patch = refused.then.as_ref().unwrap_or(&Value::Null);
    match cluster.patch(&created, patch).await {
        Ok(_) => anyhow::bail!("the change was accepted"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
async fn every_definition_is_installed_without_a_warning() {
    let server = ApiServer::start().await.unwrap();
    let api = Api::<CustomResourceDefinition>::all(server.client());
    for crd in metallb_crds::all() {
        let name = crd.name_any();
        let url = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldValidation=Strict";
        let request = http::Request::post(url).header("Content-Type", "application/json");
        let request = request
            .body(kube::client::Body::from(serde_json::to_vec(&crd).unwrap()))
            .unwrap();
        let response = server.client().send(request).await.unwrap();
        let warnings: Vec<_> = response.headers().get_all("Warning").iter().collect();
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        assert!(response.status().is_success(), "{name}: {}", response.status());

        let established = await_condition(api.clone(), &name, is_crd_established());
        let crd = tokio::time::timeout(Duration::from_secs(60), established)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let conditions = crd.status.unwrap().conditions.unwrap();
        let bad = conditions
            .iter()
            .find(|condition| condition.type_ == "NonStructuralSchema");
        assert!(bad.is_none(), "{name}: {bad:?}");
    }
}

#[tokio::test]
async fn accepted_objects_lose_nothing_and_refused_ones_name_the_field() {
    let cluster = Cluster::start().await.unwrap();
    let mut failures = Vec::new();
    for (file, text) in ACCEPTED {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        assert!(!objects.is_empty(), "{file} is empty");
        for object in objects {
            if let Err(error) = check_accepted(&cluster, &object).await {
                failures.push(format!(
                    "accepted/{file}: {} {}: {error:#}",
                    object["kind"], object["metadata"]["name"]
                ));
            }
        }
    }
    for (file, text) in REFUSED {
        let cases: Vec<Refused> = serde_saphyr::from_str(text).unwrap();
        for (number, case) in cases.iter().enumerate() {
            match refusal(&cluster, case, number).await {
                Ok(message) => failures.extend(
                    case.says
                        .iter()
                        .filter(|text| !message.contains(*text))
                        .map(|text| format!("refused/{file}: {}: no {text:?} in {message:?}", case.what)),
                ),
                Err(error) => failures.push(format!("refused/{file}: {}: {error:#}", case.what)),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn both_versions_of_a_peer_are_one_object() {
    let cluster = Cluster::start().await.unwrap();
    let old = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": { "name": "old" },
        "spec": {
            "myASN": 64512, "peerASN": 64600, "peerAddress": "10.2.0.1", "holdTime": "90s",
            "nodeSelectors": [{ "matchLabels": { "rack": "r1" } }, {}],
        },
    });
    cluster.create(&old).await.unwrap();
    let new = Api::<metallb::BGPPeer>::namespaced(cluster.client(), "metallb-system");
    let read = new.get("old").await.unwrap();
    assert_eq!(read.spec.peer_port, Some(179), "the default of the new version");
    assert_eq!((read.spec.my_asn, read.spec.peer_asn), (64512, Some(64600)));
    assert_eq!(read.spec.hold_time.unwrap().as_str(), "90s");
    assert_eq!(
        read.spec.keepalive_time, None,
        "what was not said is left to the backend"
    );
    assert_eq!(read.spec.node_selectors.len(), 2);

    let spec = metallb::BGPPeerSpec {
        my_asn: 64512,
        dynamic_asn: Some(metallb::DynamicASN::External),
        peer_address: Some("10.0.0.1".to_owned()),
        vrf: Some("red".to_owned()),
        ..Default::default()
    };
    new.create(&PostParams::default(), &metallb::BGPPeer::new("new", spec))
        .await
        .unwrap();
    let dynamic = cluster.api("metallb.io/v1beta1", "BGPPeer", None).unwrap();
    let read = dynamic.get("new").await.unwrap();
    assert_eq!(read.types.unwrap().api_version, "metallb.io/v1beta1");
    assert_eq!(read.data["spec"]["myASN"], 64512);
    assert_eq!(read.data["spec"]["peerAddress"], "10.0.0.1");
    assert_eq!(
        read.data["spec"].get("vrf"),
        None,
        "the old version has no such field"
    );
}

#[tokio::test]
async fn kubectl_lists_and_explains_every_kind() {
    let cluster = Cluster::start().await.unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(ACCEPTED[0].1).unwrap();
    for object in &objects {
        cluster.create(object).await.unwrap();
    }
    let pools = kubectl(&cluster, &["get", "ipap", "--namespace=metallb-system"]).unwrap();
    for text in [
        "NAME",
        "AUTO ASSIGN",
        "AVOID BUGGY IPS",
        "ADDRESSES",
        "expensive",
        "198.51.100.0/24",
    ] {
        assert!(pools.contains(text), "no {text:?} in\n{pools}");
    }
    let all = kubectl(
        &cluster,
        &[
            "get",
            "metallb-config",
            "--namespace=metallb-system",
            "--output=name",
        ],
    )
    .unwrap();
    let mut listed: Vec<_> = all.lines().collect();
    listed.sort_unstable();
    let plural = |object: &Value| cluster.kinds[object["kind"].as_str().unwrap()].1.clone();
    let mut expected: Vec<_> = objects
        .iter()
        .map(|object| {
            let singular = plural(object).trim_end_matches('s').to_owned();
            format!(
                "{singular}.metallb.io/{}",
                object["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    for crd in metallb_crds::all() {
        let text = kubectl(&cluster, &["explain", &crd.metadata.name.unwrap()]).unwrap();
        let described = text.split_once("DESCRIPTION:").unwrap().1.trim_start();
        assert!(described.starts_with(&crd.spec.names.kind), "{text}");
    }
    let field = kubectl(&cluster, &["explain", "bgppeers.metallb.io.spec.peerPort"]).unwrap();
    assert!(field.contains("TCP port of the peer"), "{field}");
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let kubeconfig = cluster.server.kubeconfig();
    let output = Command::new(Binaries::locate()?.path("kubectl"))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--cache-dir")
        .arg(kubeconfig.with_file_name("kubectl-cache"))
        .args(args)
        .output()
        .context("starting kubectl")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {args:?}: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}
