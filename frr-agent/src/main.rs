//! `frr-agent`, the container beside FRRouting.
//!
//! # The pod
//!
//! Two containers in the network namespace of the host, with two volumes between them: an `emptyDir` mounted at
//! `/var/run/frr` in both (the vty sockets), and a ConfigMap with the files `daemons`, `vtysh.conf` and `frr.conf` mounted
//! at `/etc/frr` in the container `frr`. Files of a ConfigMap are enough: nothing is ever written there.
//!
//! The container `frr` runs any stock image of FRRouting (8.4 or later, tried with 8.4 and 10.3) with
//!
//! ```text
//! command: ["/bin/bash", "-c", ". /usr/lib/frr/frrcommon.sh && exec /usr/lib/frr/watchfrr $(daemon_list)"]
//! securityContext: root, allowPrivilegeEscalation: false, the default capabilities of a container and
//!                  NET_ADMIN, NET_RAW, NET_BIND_SERVICE, SYS_ADMIN
//! daemons:         bgpd=yes  bfdd=yes  vtysh_enable=yes
//!                  zebra_options="-P 0 -s 90000000 --limit-fds 100000"   mgmtd_options="-P 0"
//!                  bgpd_options="-P 0 -p 0 --limit-fds 100000"           bfdd_options="-P 0"   staticd_options="-P 0"
//! vtysh.conf:      service integrated-vtysh-config
//! frr.conf:        log stdout informational
//! ```
//!
//! `-P 0` keeps the daemons from listening for telnet on the host, `-p 0` bgpd from accepting BGP connections. watchfrr
//! restarts a daemon that ends, so the container needs no liveness probe; whether FRRouting is configured is told by
//! `/readyz` of the agent.
//!
//! The agent runs as root, without any capability but `DAC_OVERRIDE` (the sockets belong to the user `frr`, whose number
//! differs from image to image), with `NODE_NAME`, `POD_NAME` and `POD_NAMESPACE` in its environment.

use clap::Parser;
use frr_agent::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    frr_agent::run(Args::parse()).await
}
