//! The Debian packages the lab needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// Package, a program or file only it brings, and what the lab needs it for.
const PACKAGES: [(&str, &str, &str); 16] = [
    ("etcd-server", "/usr/bin/etcd", "stores the cluster's objects"),
    (
        "containerd",
        "/usr/bin/containerd",
        "runs the containers of each node",
    ),
    ("runc", "/usr/sbin/runc", "starts containers for containerd"),
    (
        "containernetworking-plugins",
        "/usr/lib/cni/bridge",
        "gives pods their addresses",
    ),
    (
        "nftables",
        "/usr/sbin/nft",
        "kube-proxy's rules and pod masquerading",
    ),
    (
        "conntrack",
        "/usr/sbin/conntrack",
        "kube-proxy removes stale UDP flows with it",
    ),
    ("iproute2", "/usr/sbin/ip", "namespaces, links and routes"),
    (
        "procps",
        "/usr/sbin/sysctl",
        "forwarding and other kernel settings per namespace",
    ),
    (
        "frr",
        "/usr/lib/frr/bgpd",
        "the BGP routers outside of the cluster",
    ),
    (
        "frr-pythontools",
        "/usr/lib/frr/frr-reload.py",
        "what `make bench` measures against",
    ),
    ("curl", "/usr/bin/curl", "HTTP clients of the tests"),
    (
        "iputils-arping",
        "/usr/bin/arping",
        "ARP requests of the layer 2 tests",
    ),
    (
        "tcpdump",
        "/usr/bin/tcpdump",
        "hears who answers neighbor solicitations",
    ),
    (
        "ndisc6",
        "/usr/bin/ndisc6",
        "neighbor solicitations of the layer 2 tests",
    ),
    (
        "mmdebstrap",
        "/usr/bin/mmdebstrap",
        "makes the root file system of the FRR image",
    ),
    (
        "gcc",
        "/usr/bin/gcc",
        "builds the pause program; Rust links with it",
    ),
];

/// Keeps Debian from starting what was just installed: the lab runs its own instances.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages that are missing, and says which and why. Returns how many.
///
/// # Errors
/// apt fails, for example because it is not run by root.
pub fn ensure() -> Result<usize> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(_, file, _)| !Path::new(file).exists())
        .collect();
    if missing.is_empty() {
        return Ok(0);
    }
    for (package, _, purpose) in &missing {
        println!("installing {package}: {purpose}");
    }
    let names: Vec<&str> = missing.iter().map(|(package, _, _)| *package).collect();
    let policy = Policy::deny()?;
    // A machine that never ran `apt-get update` knows no packages: only then is it needed.
    if !install(&names).is_ok_and(|()| all_present(&names)) {
        command::visibly(Command::new("apt-get").args(["-qq", "update"]))?;
        install(&names).context("cannot install what the lab needs; run as root on Debian")?;
    }
    drop(policy);
    Ok(names.len())
}

fn install(names: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(names);
    command::output(apt.env("DEBIAN_FRONTEND", "noninteractive")).map(|_| ())
}

fn all_present(names: &[&str]) -> bool {
    PACKAGES
        .iter()
        .filter(|(package, _, _)| names.contains(package))
        .all(|(_, file, _)| Path::new(file).exists())
}

/// A temporary policy-rc.d; an administrator's own is left alone.
struct Policy {
    ours: bool,
}

impl Policy {
    fn deny() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").context("cannot write policy-rc.d; run as root")?;
        command::line(&format!("chmod 755 {POLICY}"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
