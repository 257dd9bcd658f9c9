//! The controller: gives addresses of the pools to Services of type LoadBalancer.
//!
//! ```text
//!  watches: Services, IPAddressPools, Communities, Namespaces
//!      │ marks what must be looked at again
//!      ▼
//!  Worker (one task, while this replica holds the Lease): State decides, writes run beside it
//!      │ status of Services   │ notices            │ counters                 │ problems
//!      ▼                      ▼                    ▼                          ▼
//!  API server            Events (events.rs)   IPAddressPool.status        ConfigurationState
//!                                             (pool_status.rs)            (configuration_state.rs)
//! ```

mod args;
mod cache;
mod configuration_state;
mod events;
mod ingress;
mod memberlist;
mod metrics;
mod pool_status;
mod state;
mod worker;

use anyhow::Context;
use clap::Parser;
use futures::FutureExt as _;
use kube::Client;
use metallb_kit::http::{Readiness, serve};
use metallb_kit::tasks::Tasks;
use metallb_kit::{client, leader, logging, metrics as kit_metrics};
use tokio::sync::watch;

use crate::args::Args;
use crate::cache::Caches;
use crate::metrics::Metrics;
use crate::pool_status::PoolUsage;
use crate::worker::Worker;

/// Name of this program in the API: field manager, user agent, source of Events and name of the Lease.
const MANAGER: &str = "metallb-controller";
/// Port of `/metrics`, `/healthz` and `/readyz`.
const PORT: u16 = 9120;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logging::init(args.observability.log_level);
    args.check()?;
    let client = client::connect(MANAGER)
        .await
        .context("cannot connect to the API server")?;
    if let Some(secret) = args.memberlist_secret() {
        memberlist::ensure(&client, &args, secret).await?;
    }

    let tasks = Tasks::new();
    let registry = kit_metrics::registry();
    let metrics = Metrics::new(&registry).context("metrics")?;
    let readiness = Readiness::new();
    let caches = Caches::start(&tasks, &client, &args.namespace, readiness.gate("caches"));
    if let Some(address) = args.listen_on(PORT) {
        tasks.spawn("http", serve(address, registry, readiness, tasks.shutdown()));
    }
    let shutdown = tasks.shutdown();
    let identity = args.identity();
    tasks.spawn("leader", async move {
        let work = lead(client.clone(), args.clone(), caches, metrics);
        leader::lead(
            client,
            &args.namespace,
            MANAGER,
            &identity,
            shutdown,
            work.boxed(),
        )
        .await
    });
    tasks.run().await
}

/// All that only the leader does. Ends with the first part that fails.
async fn lead(client: Client, args: Args, caches: Caches, metrics: Metrics) -> anyhow::Result<()> {
    tracing::info!(op = "leader", "this replica allocates addresses");
    let usage = PoolUsage::new(caches.pools.clone());
    let (health, health_seen) = watch::channel(None);
    let (notices, notices_seen) = events::channel();
    let states = configuration_state::maintain(client.clone(), &args, health_seen, caches.own_state.clone());
    let pools = pool_status::maintain(
        client.clone(),
        &args.namespace,
        usage.clone(),
        caches.pool_checks.clone(),
    );
    let events = events::publish(client.clone(), notices_seen);
    let worker = Worker::new(client, &args, caches, metrics, usage, health, notices).run();
    tokio::try_join!(
        Box::pin(worker),
        Box::pin(states),
        Box::pin(pools),
        Box::pin(events)
    )
    .map(|_| ())
}
