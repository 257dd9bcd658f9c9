//! The cluster that all tests share.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::checks::PATIENCE;
use xtask::cluster::{Cluster, NAMESPACE};
use xtask::command::wait_until;
use xtask::lab::Lab;
use xtask::lab::addresses::Node;
use xtask::progress::Progress;
use xtask::{install, objects};

pub(super) const WEB: &str = objects::WEB_NAMESPACE;

/// The cluster, with MetalLB installed, peers and pools configured, and the web server running on every node.
pub(super) struct World {
    pub(super) cluster: Cluster,
}

/// Waits for the other tests' turns to end, and prepares the cluster the first time.
pub(super) fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| Mutex::new(World::prepare().expect("the cluster can be prepared")));
    // A failed test leaves the cluster usable: what it made is deleted while it unwinds.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn prepare() -> Result<Self> {
        let lab = Lab::open()?;
        ensure!(lab.is_up(), "the lab is not up: run `make e2e`");
        let (cluster, progress) = (Cluster::new(lab), Progress::new());
        install::operator(&cluster, &progress)?;
        install::metallb(&cluster, &progress)?;
        let world = Self { cluster };
        for objects in [
            objects::pools(),
            objects::peers(),
            objects::advertisements(),
            objects::web(world.nodes().len()),
        ] {
            world.cluster.apply(&objects)?;
        }
        world.spread_web()?;
        Ok(world)
    }

    /// Replaces the web server's pods, so that every node has one again.
    pub(super) fn spread_web(&self) -> Result<()> {
        self.cluster
            .kubectl(&format!("-n {WEB} rollout restart deployment/web"))?;
        self.cluster
            .kubectl(&format!("-n {WEB} rollout status deployment/web --timeout=120s"))
            .map(drop)
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        self.cluster.lab().nodes()
    }

    /// Creates a Service and waits for its two addresses. It is deleted when the returned value goes.
    pub(super) fn expose(&self, name: &str, pool: &str) -> Exposed<'_> {
        self.expose_as(objects::service(name, pool))
    }

    /// As [`World::expose`], for a Service written out.
    pub(super) fn expose_as(&self, service: Value) -> Exposed<'_> {
        let name = service["metadata"]["name"].as_str().expect("a name").to_owned();
        let created = self.create(vec![service]);
        let texts = self
            .cluster
            .wait_addresses(WEB, &name, 2, PATIENCE)
            .expect("addresses");
        let addresses = texts
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        Exposed { addresses, created }
    }

    /// Creates objects. They are deleted when the returned value goes.
    pub(super) fn create(&self, objects: Vec<Value>) -> Created<'_> {
        self.cluster.apply(&objects).expect("the objects are taken");
        Created {
            cluster: &self.cluster,
            objects,
        }
    }

    /// Waits until the ConfigurationState of a component says that the configuration is invalid, and returns why.
    pub(super) fn wait_invalid(&self, component: &str, mention: &str) -> String {
        let mut summary = String::new();
        wait_until(
            &format!("ConfigurationState {component} names {mention}"),
            PATIENCE,
            || {
                let state = self.configuration_state(component)?;
                ensure!(
                    state["status"]["result"] == "Invalid",
                    "result is {}",
                    state["status"]["result"]
                );
                summary = state["status"]["errorSummary"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                ensure!(summary.contains(mention), "the summary is {summary:?}");
                Ok(())
            },
        )
        .expect("the bad object is reported");
        summary
    }

    /// Waits until the ConfigurationState of a component says that all is well.
    pub(super) fn wait_valid(&self, component: &str) {
        wait_until(
            &format!("ConfigurationState {component} is Valid"),
            PATIENCE,
            || {
                let state = self.configuration_state(component)?;
                ensure!(state["status"]["result"] == "Valid", "it is {}", state["status"]);
                Ok(())
            },
        )
        .expect("the configuration is valid again");
    }

    fn configuration_state(&self, component: &str) -> Result<Value> {
        self.cluster
            .get(&format!("configurationstate -n {NAMESPACE} {component}"))
            .context("no ConfigurationState")
    }
}

/// Objects that live as long as this value.
pub(super) struct Created<'a> {
    cluster: &'a Cluster,
    objects: Vec<Value>,
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.delete(&self.objects) {
            eprintln!("left behind: {error:#}");
        }
    }
}

/// A Service with addresses; it lives as long as this value.
pub(super) struct Exposed<'a> {
    pub(super) addresses: Vec<IpAddr>,
    created: Created<'a>,
}

impl Exposed<'_> {
    /// Deletes the Service and returns the addresses it had.
    pub(super) fn delete(self) -> Vec<IpAddr> {
        drop(self.created);
        self.addresses
    }
}
