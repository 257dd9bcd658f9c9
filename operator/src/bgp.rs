//! BGP for all nodes: watches Services, endpoints, nodes and configuration, and writes one FRRConfiguration per node.
//!
//! ```text
//!  watches ─► Inputs ── keys ──► Engine ── wanted ──► Publisher ─► FRRConfiguration per node
//!                                  │ Planner (pure)
//!                                  └──► Reporter ─► ServiceBGPStatus, ConfigurationState, Events
//! ```
//!
//! A change marks a key; the engine takes all marked keys at once, updates the planner and hands on what changed. The
//! publisher writes as fast as the API server takes it, newest state only. There is no timer between a change and
//! its first write.

mod configuration_state;
mod engine;
mod inputs;
mod metrics;
mod publish;
mod published;
mod report;
mod service_status;
mod withdraw;
mod writer;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Client;
use metallb_domain::bgp::{Planner, SecretHandling};
use metallb_domain::config::Config;
use metallb_kit::tasks::Tasks;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Settings;
use crate::lifecycle::validate::Backend;
use engine::Engine;
use inputs::{Awaited, Inputs, Scope};
use publish::Publisher;
use report::Reporter;
use withdraw::withdraw;

pub(crate) use metrics::Metrics;

/// What an installation asks of this part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    scope: Scope,
    /// Where FRRConfigurations go.
    frr_namespace: String,
    secrets: SecretHandling,
    ignore_exclude_label: bool,
}

impl Order {
    fn of(settings: &Settings, namespace: &str) -> Option<Self> {
        let Settings::Installed {
            backend,
            frr_namespace,
            load_balancer_class,
            ignore_exclude_lb,
        } = settings
        else {
            return None;
        };
        let passthrough = matches!(
            backend,
            Backend::FrrK8sExternal {
                secret_passthrough: true,
                ..
            }
        );
        let reference = passthrough || frr_namespace == namespace;
        Some(Self {
            scope: Scope {
                namespace: namespace.to_owned(),
                load_balancer_class: load_balancer_class.clone(),
                read_secrets: !passthrough,
            },
            frr_namespace: frr_namespace.clone(),
            secrets: if reference {
                SecretHandling::Reference
            } else {
                SecretHandling::Resolve
            },
            ignore_exclude_label: *ignore_exclude_lb,
        })
    }
}

/// Plans and publishes while there is an installation, and withdraws everything when it is removed; `withdrawn` then
/// says that it is done. `namespace` is MetalLB's own. Only one replica may do this at a time. Ends on `shutdown`,
/// leaving everything announced.
pub(crate) async fn run(
    client: Client,
    namespace: String,
    mut settings: latest::Receiver<Settings>,
    withdrawn: latest::Sender<bool>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut publishing: Option<String> = None;
    // Namespaces that may hold FRRConfigurations of ours and should not.
    let mut left = BTreeSet::new();
    loop {
        let now = settings.borrow_and_update().clone();
        let order = Order::of(&now, &namespace);
        leave(&mut left, &mut publishing, &now, order.as_ref());
        let reports_in = matches!(now, Settings::Removed { .. }).then_some(namespace.as_str());
        withdrawn.send_replace(false);
        if order.is_none() {
            metrics.at_rest();
        }
        let done = AtomicBool::new(false);
        let tasks = Tasks::new();
        // Also when this is dropped because the Lease is lost: then another replica writes.
        let _end = tasks.shutdown().drop_guard();
        let work = async {
            let withdraw = async {
                withdraw(&client, &left, reports_in).await;
                done.store(true, Ordering::Relaxed);
                withdrawn.send_replace(reports_in.is_some());
                std::future::pending().await
            };
            let serve = async {
                match &order {
                    Some(order) => serve(&tasks, &client, order, &metrics).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                result = withdraw => result,
                result = serve => result,
            }
        };
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Some(Ok(())),
            changed = changed(&mut settings, &namespace, &order, &now) => changed.err().map(Err),
            result = work => Some(result),
        };
        if let Some(outcome) = outcome {
            return outcome;
        }
        if done.into_inner() {
            left.clear();
        }
    }
}

/// Notes in `left` which namespaces are published to no more, and in `publishing` which one is.
fn leave(
    left: &mut BTreeSet<String>,
    publishing: &mut Option<String>,
    now: &Settings,
    order: Option<&Order>,
) {
    match (now, order) {
        (Settings::Removed { frr_namespaces }, _) => {
            left.extend(frr_namespaces.iter().cloned().chain(publishing.take()));
        }
        (_, Some(order)) => {
            left.extend(publishing.replace(order.frr_namespace.clone()));
            left.remove(&order.frr_namespace);
        }
        _ => {}
    }
}

/// Waits for settings that ask for something else.
async fn changed(
    settings: &mut latest::Receiver<Settings>,
    namespace: &str,
    order: &Option<Order>,
    before: &Settings,
) -> anyhow::Result<()> {
    let differs = |now: &Settings| match order {
        Some(_) => Order::of(now, namespace) != *order,
        None => now != before,
    };
    settings.wait_for(differs).await?;
    Ok(())
}

/// Plans and publishes as ordered, for ever.
async fn serve(tasks: &Tasks, client: &Client, order: &Order, metrics: &Metrics) -> anyhow::Result<()> {
    let awaited = Awaited::new();
    let inputs = Inputs::follow(tasks, client, &order.scope, &awaited);
    let look_again = inputs.marker();
    let publisher = Publisher::follow(
        tasks,
        client,
        &order.frr_namespace,
        &awaited,
        metrics.clone(),
        look_again,
    );
    let reporter = Reporter::follow(tasks, client, &order.scope.namespace, &awaited, metrics.clone());
    let mut engine = Engine {
        inputs,
        planner: Planner::new(order.ignore_exclude_label),
        config: Config::default(),
        problems: Vec::new(),
        secrets: order.secrets,
        namespace: order.frr_namespace.clone(),
        publisher: publisher.clone(),
        reporter: reporter.clone(),
        metrics: metrics.clone(),
    };
    let start = async {
        engine.start().await;
        // On their own, so that the first writes of a large change go out while the rest of it is planned.
        spawn(tasks, "bgp-publisher", async move { publisher.run().await });
        spawn(tasks, "bgp-reporter", async move { reporter.run().await });
        engine.run().await;
    };
    tokio::select! {
        // A task that ends ends this, too.
        result = tasks.clone().run() => result,
        () = start => Ok(()),
    }
}

/// Starts a task that works until `tasks` are shut down.
fn spawn(tasks: &Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let shutdown = tasks.shutdown();
    tasks.spawn(name, async move {
        tokio::select! {
            () = work => anyhow::bail!("there is nothing left to do"),
            () = shutdown.cancelled() => Ok(()),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(frr_namespace: &str) -> Settings {
        Settings::Installed {
            backend: Backend::FrrK8sExternal {
                namespace: frr_namespace.to_owned(),
                secret_passthrough: false,
            },
            frr_namespace: frr_namespace.to_owned(),
            load_balancer_class: None,
            ignore_exclude_lb: false,
        }
    }

    /// What is left behind after each of `settings`.
    fn left(settings: &[Settings]) -> Vec<Vec<String>> {
        let (mut left, mut publishing) = (BTreeSet::new(), None);
        let steps = settings.iter().map(|now| {
            leave(&mut left, &mut publishing, now, Order::of(now, "lb").as_ref());
            left.iter().cloned().collect()
        });
        steps.collect()
    }

    #[test]
    fn namespaces_are_withdrawn_from_when_they_are_left_and_not_while_they_are_used() {
        let removed = Settings::Removed {
            frr_namespaces: BTreeSet::from(["lb".to_owned()]),
        };
        let steps = left(&[installed("a"), installed("b"), installed("a"), removed.clone()]);
        assert_eq!(steps, [vec![], vec!["a"], vec!["b"], vec!["a", "b", "lb"]]);
        assert_eq!(left(&[Settings::Unknown, removed]), [vec![], vec!["lb"]]);
    }
}
