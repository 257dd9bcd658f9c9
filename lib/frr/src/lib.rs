//! What FRRouting on one node shall do, worked out without any I/O.
//!
//! The way of a configuration, from objects to daemons:
//!
//! ```text
//! FRRConfigurations ──merge──► Model ──render──► Config ──diff::plan──► Batches ──vty──► bgpd, bfdd, zebra
//!                                                   ▲ Config::parse
//!                                                   └── `show running-config` of the daemons
//! ```
//!
//! The interface in short (all of it pure; the caller owns sockets, clocks and the Kubernetes client):
//!
//! ```text
//! merge::merge(node_labels: &BTreeMap<String, String>, objects: &[Named<'_>], secrets: &Secrets<'_>) -> Merged
//!     Named   { namespace: &str, name: &str, spec: &FRRConfigurationSpec }
//!     Secrets = Ignored (admission) | Known(&BTreeMap<String, Secret { type_, password: Option<Password> }>)
//!     Merged  { model: Model, accepted: Vec<ObjectName>, refused: Vec<Refusal>, warnings: Vec<Warning> }
//!     Refusal { object: ObjectName, other: Option<ObjectName>, reason: Reason (Display), is_transient() }
//!     Objects earlier in the slice win a conflict; the later one is refused whole, all the rest is kept.
//! render::config(model: &Model, node: &NodeSettings) -> Config
//!     NodeSettings { hostname, log_level: LogLevel, always_block: Vec<IpNet>, router_id: Option<Ipv4Addr> }
//!     render::fallback_router_id(hostname) -> Ipv4Addr
//! Config::parse(text: &str) -> Config         reads `show running-config` of one daemon or of all
//! Config::text() -> String                    a complete frr.conf; Config::redacted() hides passwords
//! diff::plan(running: &Config, wanted: &Config, version: Version) -> Plan
//!     Plan  { batches: Vec<Batch>, result: Config }   `result` is `wanted` with the numbers FRR will hold
//!     Batch { daemon: Daemon, lines: Vec<String> }    to be sent in order on that daemon's socket, in
//!                                                     configuration mode (see vty::OPEN), until one is refused
//! vty::encode(command) -> Vec<u8>; vty::Decoder { push(&[u8]), next() -> Option<Reply { text, status }> }
//! json::{neighbors, summary, bfd_peers, bfd_counters, version}  readers of what FRR shows
//! ```

pub mod config;
pub mod daemon;
pub mod diff;
pub mod merge;
pub mod model;
pub mod render;
pub mod vty;
