//! The routers outside of the cluster: FRR of the machine's distribution, one instance per namespace.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::addresses::{BGP_CLIENT_LINK, CLUSTER_ASN, EBGP, EBGP_ASN, IBGP, MHOP, MHOP_ASN, Node, Station};
use super::daemon::{Daemon, Ensured};
use super::directory::{Directory, write_if_changed};
use crate::command;

const DAEMONS: [&str; 4] = ["zebra", "staticd", "bfdd", "bgpd"];
/// First line of every configuration of ours: what `lab down` may delete.
const MARK: &str = "! metallb-lab\n";

/// A BGP router outside of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    /// Its path space: `vtysh -N <name>`.
    pub name: &'static str,
    /// Where it runs.
    pub station: Station,
    /// Its AS number.
    pub asn: u32,
}

/// All routers.
pub const ROUTERS: [Router; 3] = [
    Router {
        name: "ebgp",
        station: EBGP,
        asn: EBGP_ASN,
    },
    Router {
        name: "ibgp",
        station: IBGP,
        asn: CLUSTER_ASN,
    },
    Router {
        name: "mhop",
        station: MHOP,
        asn: MHOP_ASN,
    },
];

impl Router {
    /// Starts the router's daemons, or those that do not run as they should, and loads its configuration.
    ///
    /// # Errors
    /// A daemon does not start, or FRR refuses the configuration.
    pub fn ensure(&self, lab: &Directory, nodes: &[Node]) -> Result<Ensured> {
        write_if_changed(&self.folder().join("vtysh.conf"), MARK)?;
        write_if_changed(&self.folder().join("frr.conf"), &self.configuration(nodes))?;
        for dir in [PathBuf::from("/run/frr"), self.run_folder()] {
            command::output(
                Command::new("install")
                    .args(["-d", "-o", "frr", "-g", "frr"])
                    .arg(dir),
            )?;
        }
        command::output(Command::new("chown").args(["-R", "frr:frr"]).arg(self.folder()))?;
        let mut ensured = Ensured::Kept;
        for daemon in self.daemons() {
            if daemon.ensure(lab)? == Ensured::Started {
                ensured = Ensured::Started;
            }
        }
        if ensured == Ensured::Started {
            self.load()?;
        }
        Ok(ensured)
    }

    /// Runs a vtysh command on the router.
    ///
    /// # Errors
    /// FRR does not run or refuses the command.
    pub fn vtysh(&self, text: &str) -> Result<String> {
        let mut vtysh = command::in_namespace(self.station.namespace, "vtysh");
        command::output(vtysh.args(["-N", self.name, "-c", text]))
    }

    /// Removes its files, if they are ours.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn clean(&self) -> Result<()> {
        let ours =
            fs::read_to_string(self.folder().join("vtysh.conf")).is_ok_and(|text| text.starts_with(MARK));
        if ours {
            fs::remove_dir_all(self.folder())?;
            if self.run_folder().exists() {
                fs::remove_dir_all(self.run_folder())?;
            }
        }
        Ok(())
    }

    /// Its daemons, in the order in which they are started.
    pub fn daemons(&self) -> Vec<Daemon> {
        let daemon = |name: &&str| Daemon {
            name: format!("{}-{name}", self.name),
            namespace: self.station.namespace.into(),
            argv: [
                &format!("/usr/lib/frr/{name}"),
                "-N",
                self.name,
                "-A",
                "127.0.0.1",
                "--log",
                "stdout",
            ]
            .map(str::to_owned)
            .into(),
            env: Vec::new(),
            inputs: vec![self.folder().join("frr.conf")],
        };
        DAEMONS.iter().map(daemon).collect()
    }

    fn load(&self) -> Result<()> {
        command::wait_until(
            &format!("FRR {} answers", self.name),
            Duration::from_secs(20),
            || {
                DAEMONS.iter().try_for_each(|daemon| {
                    let mut vtysh = command::in_namespace(self.station.namespace, "vtysh");
                    command::output(vtysh.args(["-N", self.name, "-d", daemon, "-c", "show version"]))
                        .map(|_| ())
                })
            },
        )?;
        command::output(
            command::in_namespace(self.station.namespace, "vtysh").args(["-N", self.name, "-b"]),
        )?;
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        Path::new("/etc/frr").join(self.name)
    }

    fn run_folder(&self) -> PathBuf {
        Path::new("/run/frr").join(self.name)
    }

    fn configuration(&self, nodes: &[Node]) -> String {
        let internal = self.asn == CLUSTER_ASN;
        let mut text = format!(
            "{MARK}hostname {}\n!\nbfd\n profile lab\n exit\nexit\n!\n",
            self.name
        );
        let _ = writeln!(
            text,
            "router bgp {}\n bgp router-id {}",
            self.asn, self.station.v4
        );
        // Everything is accepted and shown as received; policy is what the cluster's side is tested for.
        text.push_str(
            " no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n",
        );
        text.push_str(" bgp bestpath as-path multipath-relax\n");
        for group in ["NODES4", "NODES6"] {
            let _ = write!(
                text,
                " neighbor {group} peer-group\n neighbor {group} remote-as {CLUSTER_ASN}\n \
                 neighbor {group} timers connect 1\n neighbor {group} bfd profile lab\n"
            );
            if self.station == MHOP {
                let _ = writeln!(text, " neighbor {group} ebgp-multihop 8");
            }
        }
        for node in nodes {
            let _ = write!(
                text,
                " neighbor {} peer-group NODES4\n neighbor {} peer-group NODES6\n",
                node.v4, node.v6
            );
        }
        for (family, own) in ["ipv4", "ipv6"].iter().zip(BGP_CLIENT_LINK) {
            let _ = writeln!(text, " address-family {family} unicast");
            if self.station == EBGP {
                let _ = writeln!(text, "  network {own}");
            }
            for group in ["NODES4", "NODES6"] {
                let _ = write!(
                    text,
                    "  neighbor {group} activate\n  neighbor {group} soft-reconfiguration inbound\n"
                );
            }
            let paths = if internal {
                "maximum-paths ibgp"
            } else {
                "maximum-paths"
            };
            let _ = write!(text, "  {paths} 16\n exit-address-family\n");
        }
        text.push_str("exit\n");
        text
    }
}
