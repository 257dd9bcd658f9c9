//! The agent beside FRRouting on a node: it makes FRRouting behave as all FRRConfigurations that select the node say,
//! and reports in FRRNodeState and BGPSessionState.
//!
//! ```text
//!  FRRConfigurations ─┐
//!  own Node ──────────┤ inputs ──► acceptance ──► metallb_frr::{merge, render, diff} ──► apply ──► vty ──► zebra, bgpd, bfdd
//!  named Secrets ─────┘                 │                                                 │
//!                                       └────────────► status ◄───────────────────────────┘
//!  bgpd, bfdd ──► sessions ──► metrics, BGPSessionStates
//! ```
//!
//! The agent fails static. While the API server is away, or when the agent itself ends, FRRouting stays as it is. When
//! a daemon restarts, it gets its whole configuration again.

pub mod acceptance;
pub mod agent;
pub mod apply;
pub mod args;
pub mod inputs;
pub mod metrics;
pub mod sessions;
pub mod status;
pub mod vty;

/// The owner of the fields this program writes.
pub const FIELD_MANAGER: &str = "frr-agent";

use std::net::Ipv4Addr;

use anyhow::Context;
use kube::Client;
use metallb_frr::render::{NodeSettings, fallback_router_id};
use metallb_kit::dirty::Dirty;
use metallb_kit::http::{Readiness, serve};
use metallb_kit::tasks::Tasks;
use metallb_kit::{client, logging};

use agent::Agent;
use apply::Frr;
use args::{Args, DEFAULT_PORT};
use inputs::Inputs;
use metrics::{Metrics, Shared};
use sessions::Poller;
use sessions::publish::Owner;

/// Runs the agent until it is told to stop.
///
/// # Errors
/// What is wrong with the environment, or the name and error of the task that ended too early.
pub async fn run(args: Args) -> anyhow::Result<()> {
    logging::init(args.observability.log_level);
    let client = client::connect("frr-agent").await?;
    let tasks = Tasks::new();
    start(&tasks, &client, args)?;
    tasks.run().await
}

/// Starts all tasks of the agent.
///
/// # Errors
/// When the host has no name.
pub fn start(tasks: &Tasks, client: &Client, args: Args) -> anyhow::Result<()> {
    let node = settings(&args)?;
    let address = args.observability.address(DEFAULT_PORT);
    let namespace = args.namespace.unwrap_or_else(client::namespace);
    let (registry, readiness, sessions) = (
        metallb_kit::metrics::registry(),
        Readiness::new(),
        Shared::default(),
    );

    let changed = Dirty::new();
    let agent = Agent {
        inputs: Inputs::watch(tasks, client, &namespace, &args.node_name, &changed),
        changed,
        frr: Frr::new(&args.frr_socket_dir),
        node,
        publisher: status::start(tasks, client, &args.node_name),
        metrics: Metrics::register(&registry, sessions.clone())?,
        configured: readiness.gate("FRRouting configured"),
    };
    tasks.spawn("configure FRRouting", agent.run(tasks.shutdown()));

    let seen = Dirty::new();
    let poller = Poller::new(
        &args.frr_socket_dir,
        args.poll_interval,
        sessions.clone(),
        seen.clone(),
    );
    tasks.spawn("look at sessions", poller.run(tasks.shutdown()));
    let owner = Owner {
        node_name: args.node_name,
        namespace,
        pod_name: args.pod_name,
    };
    sessions::publish::start(tasks, client, owner, sessions, seen);

    tasks.spawn(
        "observability",
        serve(address, registry, readiness, tasks.shutdown()),
    );
    Ok(())
}

fn settings(args: &Args) -> anyhow::Result<NodeSettings> {
    let hostname =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the name of this host")?;
    let hostname = hostname.trim().to_owned();
    Ok(NodeSettings {
        router_id: (!has_ipv4_address()).then(|| fallback_router_id(&hostname)),
        hostname,
        log_level: agent::log_level(args.observability.log_level),
        always_block: args.always_block.clone(),
    })
}

/// Whether FRRouting can make a BGP identifier from an address of this host. Loopback and link-local ones do not
/// count. When in doubt, FRRouting is left to try.
fn has_ipv4_address() -> bool {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return true;
    };
    let addresses = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    addresses
        .into_iter()
        .any(|address: Ipv4Addr| !address.is_loopback() && !address.is_link_local())
}
