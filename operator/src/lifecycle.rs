//! The life of an installation: the MetalLB object says what it shall be, and this module makes it so, keeps it so, and
//! says in the object's status how it is.
//!
//! ```text
//! MetalLB object ┐                 ┌ validate → render → apply → prune → status
//!                ├─ watches ─ mark ┤          (pure)              (readiness)
//! what we made ──┘                 └ removed: programs → rest → finalizer
//! ```
//!
//! Everything hangs on the live state in [`observed`]: any change of a MetalLB object, or of an object that was
//! deployed for it, marks the MetalLB object for another look. A look at an installation that is as it should be costs
//! no call to the API server at all.

pub(crate) mod account;
pub(crate) mod apply;
pub(crate) mod environment;
pub(crate) mod metrics;
pub(crate) mod object;
pub(crate) mod observed;
pub(crate) mod prune;
pub(crate) mod readiness;
pub(crate) mod reconcile;
pub(crate) mod render;
pub(crate) mod status;
pub(crate) mod takeover;
pub(crate) mod validate;
pub(crate) mod write;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kube::Client;
use metallb_crds::metallb::MetalLB;
use metallb_kit::backoff::Backoff;
use metallb_kit::http::Gate;
use metallb_kit::tasks::Tasks;
use prometheus::Registry;
use tokio::sync::watch as latest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use environment::Environment;
use metrics::Metrics;
use observed::{MetalLbKey, Observed};
use reconcile::{BgpPart, Next, Reconciler};
use validate::{Backend, ValidMetalLb};

/// A look that nothing asked for, in case a change was missed.
const AGAIN: Duration = Duration::from_secs(600);

/// What the MetalLB object says that matters beyond the deployment: for the part of the operator that plans BGP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Settings {
    /// Not known yet: leave everything as it is.
    #[default]
    Unknown,
    /// There is no installation: withdraw what was published for it.
    Removed {
        /// The namespaces in which FRRConfigurations of it may be.
        frr_namespaces: BTreeSet<String>,
    },
    /// There is one.
    Installed {
        /// The effective backend.
        backend: Backend,
        /// The namespace into which FRRConfigurations go.
        frr_namespace: String,
        /// Only Services of this class are served.
        load_balancer_class: Option<String>,
        /// Nodes with the label `node.kubernetes.io/exclude-from-external-load-balancers` announce too.
        ignore_exclude_lb: bool,
    },
}

impl Settings {
    fn installed(metallb: &ValidMetalLb, environment: &Environment) -> Self {
        Settings::Installed {
            backend: metallb.backend.clone(),
            frr_namespace: frr_namespace(&metallb.backend, environment).to_owned(),
            load_balancer_class: metallb.load_balancer_class.clone(),
            ignore_exclude_lb: metallb.ignore_exclude_lb,
        }
    }

    /// After the end of `metallb`. When that is not known any more, or never made sense, FRRConfigurations may also be
    /// where an external agent looks for them by default.
    fn removed(metallb: Option<&MetalLB>, environment: &Environment) -> Self {
        let valid = metallb.and_then(|metallb| validate::validate(metallb, environment).ok());
        let elsewhere = match &valid {
            Some(valid) => Some(frr_namespace(&valid.backend, environment)),
            None => environment.external_namespace.as_deref(),
        };
        let namespaces = [Some(environment.namespace.as_str()), elsewhere];
        Settings::Removed {
            frr_namespaces: namespaces.into_iter().flatten().map(str::to_owned).collect(),
        }
    }
}

/// Where the FRRConfigurations of a backend are.
fn frr_namespace<'a>(backend: &'a Backend, environment: &'a Environment) -> &'a str {
    match backend {
        Backend::Frr | Backend::FrrK8s => &environment.namespace,
        Backend::FrrK8sExternal { namespace, .. } => namespace,
    }
}

/// Watches MetalLB objects and everything deployed for them; reconciles once [`Lifecycle::run`] is called.
pub(crate) struct Lifecycle {
    observed: Observed,
    reconciler: Reconciler,
    settings: latest::Receiver<Settings>,
    withdrawn: latest::Sender<bool>,
}

impl Lifecycle {
    /// Starts the watches, so that a replica that becomes the leader knows everything already. `gate` opens when they
    /// have caught up.
    pub(crate) fn start(
        tasks: &Tasks,
        client: &Client,
        environment: Environment,
        registry: &Registry,
        gate: Gate,
    ) -> prometheus::Result<Self> {
        let metrics = Metrics::new(registry)?;
        let observed = Observed::new(&environment.namespace);
        observed.follow(tasks, client);
        tasks.spawn("lifecycle-caches", {
            let (observed, shutdown) = (observed.clone(), tasks.shutdown());
            async move {
                tokio::select! {
                    () = observed.complete() => gate.open(),
                    () = shutdown.cancelled() => {}
                }
                shutdown.cancelled().await;
                Ok(())
            }
        });
        let (sender, settings) = latest::channel(Settings::default());
        let (withdrawn, is_withdrawn) = latest::channel(false);
        let bgp = BgpPart {
            settings: sender,
            withdrawn: is_withdrawn,
        };
        Ok(Self {
            reconciler: Reconciler::new(client.clone(), environment, observed.clone(), metrics, bgp),
            observed,
            settings,
            withdrawn,
        })
    }

    /// What the MetalLB object says, for the part that plans BGP.
    pub(crate) fn settings(&self) -> latest::Receiver<Settings> {
        self.settings.clone()
    }

    /// Where the part that plans BGP says whether it has withdrawn everything after a [`Settings::Removed`].
    pub(crate) fn withdrawn(&self) -> latest::Sender<bool> {
        self.withdrawn.clone()
    }

    /// Reconciles until `shutdown`, one object after the other. Only one replica may do this at a time.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = self.observed.complete() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        self.observed.mark_installation();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        let mut wake = HashMap::<MetalLbKey, Instant>::new();
        loop {
            let next = wake
                .values()
                .min()
                .copied()
                .unwrap_or_else(|| Instant::now() + AGAIN);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = self.observed.changed() => for key in changed {
                    self.look(&key, &mut backoff, &mut wake).await;
                },
                () = tokio::time::sleep_until(next) => {
                    for (key, _) in wake.extract_if(|_, at| *at <= Instant::now()) {
                        self.observed.mark(key);
                    }
                }
            }
        }
    }

    async fn look(
        &mut self,
        key: &MetalLbKey,
        backoff: &mut Backoff<MetalLbKey>,
        wake: &mut HashMap<MetalLbKey, Instant>,
    ) {
        let started = Instant::now();
        // Boxed: it holds whole MetalLB objects, which are too large for the stack of the loop.
        let outcome = Box::pin(self.reconciler.reconcile(key)).await;
        let (result, wait) = match outcome {
            Ok(Next::Change) => ("ok", AGAIN),
            Ok(Next::After(wait)) => ("ok", wait),
            Ok(Next::BackOff) => ("incomplete", backoff.failed(key)),
            Err(error) => {
                let wait = backoff.failed(key);
                tracing::warn!(
                    namespace = key.namespace, name = key.name, error = error.explain(), again_in = ?wait,
                    "MetalLB object not reconciled"
                );
                (error.kind(), wait)
            }
        };
        if result == "ok" {
            backoff.succeeded(key);
        }
        if self.observed.metallb(key).is_some() || self.observed.is_installation(key) {
            wake.insert(key.clone(), Instant::now() + wait);
        } else {
            // An object in a wrong place that is gone again does not come back by itself.
            wake.remove(key);
        }
        self.reconciler.count(result, started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_an_unknown_installation_published_may_be_in_the_default_place_too() {
        let mut variables = environment::tests::variables();
        variables.insert("FRRK8S_EXTERNAL_NAMESPACE".to_owned(), "frr".to_owned());
        let environment = Environment::from_variables(variables).unwrap();
        let removed = |spec: Option<Value>| {
            let metallb = spec.map(|spec| -> MetalLB {
                serde_json::from_value(json!({"metadata": {"name": "metallb"}, "spec": spec})).unwrap()
            });
            match Settings::removed(metallb.as_ref(), &environment) {
                Settings::Removed { frr_namespaces } => Vec::from_iter(frr_namespaces),
                other => panic!("{other:?}"),
            }
        };
        let own = environment.namespace.as_str();
        let elsewhere = json!({"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "else"}});
        assert_eq!(removed(Some(json!({"bgpBackend": "frr-k8s"}))), [own]);
        assert_eq!(removed(Some(elsewhere)), ["else", own]);
        assert_eq!(removed(Some(json!({"bgpBackend": "nonsense"}))), ["frr", own]);
        assert_eq!(removed(None), ["frr", own]);
    }
}
