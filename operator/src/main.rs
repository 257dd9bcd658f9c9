//! The operator: installs MetalLB and keeps it running, and plans BGP for all nodes.
//!
//! ```text
//! every replica   watches ─► caches          observability :8080
//! the leader      lifecycle ─ Settings ─► bgp
//! ```

mod args;
mod bgp;
mod lifecycle;

use anyhow::Context;
use args::{Args, DEFAULT_PORT};
use clap::Parser;
use futures::FutureExt as _;
use lifecycle::Lifecycle;
use lifecycle::environment::Environment;
use metallb_kit::http::{Readiness, serve};
use metallb_kit::tasks::Tasks;
use metallb_kit::{client, leader, logging, metrics};

/// The Lease of the Go operator: during a migration the two never work at the same time.
const LEASE: &str = "metallb.io.metallboperator";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logging::init(args.observability.log_level);
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = Environment::from_variables(variables)?;
    let namespace = environment.namespace.clone();
    let client = client::connect(concat!("metallb-operator/", env!("CARGO_PKG_VERSION"))).await?;

    let tasks = Tasks::new();
    let (registry, readiness) = (metrics::registry(), Readiness::new());
    let lifecycle = Lifecycle::start(
        &tasks,
        &client,
        environment,
        &registry,
        readiness.gate("lifecycle-caches"),
    )
    .context("metrics of the lifecycle")?;

    let bgp_metrics = bgp::Metrics::new(&registry).context("metrics of the BGP plan")?;
    let address = args.observability.address(DEFAULT_PORT);
    tasks.spawn(
        "observability",
        serve(address, registry, readiness, tasks.shutdown()),
    );
    let shutdown = tasks.shutdown();
    let bgp = bgp::run(
        client.clone(),
        namespace.clone(),
        lifecycle.settings(),
        lifecycle.withdrawn(),
        bgp_metrics,
        shutdown.clone(),
    )
    .boxed();
    let lifecycle = lifecycle.run(shutdown.clone()).boxed();
    tasks.spawn("leader", async move {
        let work = async { tokio::try_join!(lifecycle, bgp).map(drop) }.boxed();
        if args.enable_leader_election {
            leader::lead(client, &namespace, LEASE, &args.pod_name, shutdown, work).await
        } else {
            work.await
        }
    });
    tasks.run().await
}
