//! Namespaces, links, addresses and routes. Everything can be applied again and repairs what is missing.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::addresses::{
    BGP_CLIENT, BGP_CLIENT_LINK, CLIENT, CONTROL, EBGP, EBGP_TO_CLIENT, IBGP, MHOP, MHOP_LINK, Node,
    POD_CIDRS, SEGMENT, SWITCH, Station, TRANSIT, TRANSIT_TO_MHOP,
};
use crate::command;

/// Namespaces on the segment that are not nodes.
const ON_SEGMENT: [Station; 5] = [CONTROL, EBGP, IBGP, TRANSIT, CLIENT];

/// Every namespace of a lab with these nodes.
pub fn namespaces(nodes: &[Node]) -> Vec<String> {
    let fixed = [SWITCH, MHOP.namespace, BGP_CLIENT.namespace];
    let fixed = fixed
        .into_iter()
        .chain(ON_SEGMENT.map(|station| station.namespace))
        .map(str::to_owned);
    fixed
        .chain(nodes.iter().map(|node| node.namespace.clone()))
        .collect()
}

/// Makes all namespaces, links, addresses and routes.
///
/// # Errors
/// A command of iproute2, sysctl or nft fails.
pub fn up(nodes: &[Node]) -> Result<()> {
    for namespace in namespaces(nodes) {
        add_namespace(&namespace)?;
    }
    switch()?;
    for station in ON_SEGMENT {
        plug(station.namespace, &station.addresses(), &SEGMENT)?;
    }
    for node in nodes {
        plug(&node.namespace, &[node.v4.into(), node.v6.into()], &SEGMENT)?;
    }
    cable(&TRANSIT_TO_MHOP, "eth1", &MHOP, "eth0", &MHOP_LINK)?;
    cable(&EBGP_TO_CLIENT, "eth1", &BGP_CLIENT, "eth0", &BGP_CLIENT_LINK)?;
    routes(nodes)?;
    nodes.iter().try_for_each(masquerade)
}

/// Whether the namespace exists.
pub fn namespace_exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// Deletes a namespace; its links go with it.
///
/// # Errors
/// It is there and `ip` cannot delete it.
pub fn delete_namespace(namespace: &str) -> Result<()> {
    if namespace_exists(namespace) {
        command::line(&format!("ip netns del {namespace}"))?;
    }
    Ok(())
}

fn add_namespace(namespace: &str) -> Result<()> {
    // A crash can leave the file without the namespace mounted on it.
    if namespace_exists(namespace) && !command::succeeds(&mut command::in_namespace(namespace, "true")) {
        command::line(&format!("ip netns del {namespace}"))?;
    }
    if !namespace_exists(namespace) {
        command::line(&format!("ip netns add {namespace}"))?;
    }
    // No duplicate address detection: addresses must be usable at once, and nobody else is here to collide.
    let settings = [
        "net.ipv6.conf.all.accept_dad=0",
        "net.ipv6.conf.default.accept_dad=0",
        "net.ipv6.conf.all.accept_ra=0",
        "net.ipv6.conf.default.accept_ra=0",
        "net.ipv4.conf.all.rp_filter=2",
        "net.ipv4.conf.default.rp_filter=2",
        "net.ipv4.conf.all.send_redirects=0",
        "net.ipv4.conf.default.send_redirects=0",
    ];
    sysctl(namespace, &settings)?;
    let forwards = ["lab-node", EBGP.namespace, TRANSIT.namespace]
        .iter()
        .any(|name| namespace.starts_with(name));
    if forwards {
        // Policy 1 hashes ports too, so that connections spread over equal next hops.
        let settings = [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.fib_multipath_hash_policy=1",
            "net.ipv6.fib_multipath_hash_policy=1",
        ];
        sysctl(namespace, &settings)?;
    }
    batch(namespace, "link set lo up\n")
}

fn switch() -> Result<()> {
    if !has_link(SWITCH, "br0") {
        // Without snooping, neighbor discovery to solicited-node groups reaches everybody, as on a plain switch.
        batch(SWITCH, "link add br0 type bridge mcast_snooping 0\n")?;
    }
    batch(SWITCH, "link set br0 up\n")
}

/// Connects `eth0` of a namespace to the switch.
fn plug(namespace: &str, addresses: &[IpAddr], networks: &[&str; 2]) -> Result<()> {
    let port = switch_port(namespace);
    if !has_link(namespace, "eth0") {
        batch(
            namespace,
            &format!("link add eth0 type veth peer name {port} netns {SWITCH}\n"),
        )?;
    }
    batch(SWITCH, &format!("link set {port} master br0 up\n"))?;
    configure(namespace, "eth0", addresses, networks)
}

/// The name of a namespace's port on the switch, e.g. `node1` for `lab-node1`. Setting it down cuts the cable.
pub fn switch_port(namespace: &str) -> &str {
    namespace.strip_prefix("lab-").unwrap_or(namespace)
}

/// Connects two namespaces directly.
fn cable(a: &Station, a_device: &str, b: &Station, b_device: &str, networks: &[&str; 2]) -> Result<()> {
    if !has_link(a.namespace, a_device) {
        let peer = format!("{b_device} netns {}", b.namespace);
        batch(
            a.namespace,
            &format!("link add {a_device} type veth peer name {peer}\n"),
        )?;
    }
    configure(a.namespace, a_device, &a.addresses(), networks)?;
    configure(b.namespace, b_device, &b.addresses(), networks)
}

fn configure(namespace: &str, device: &str, addresses: &[IpAddr], networks: &[&str; 2]) -> Result<()> {
    let mut script = format!("link set {device} up\n");
    for (address, network) in addresses.iter().zip(networks) {
        let (_, length) = network.split_once('/').context("a network without a length")?;
        writeln!(script, "addr replace {address}/{length} dev {device}")?;
    }
    batch(namespace, &script)
}

fn routes(nodes: &[Node]) -> Result<()> {
    let mut to_pods = String::new();
    for node in nodes {
        writeln!(to_pods, "route replace {} via {}", node.pod_cidrs[0], node.v4)?;
        writeln!(to_pods, "route replace {} via {}", node.pod_cidrs[1], node.v6)?;
    }
    let [mhop4, mhop6] = MHOP_LINK;
    let [client4, client6] = BGP_CLIENT_LINK;
    let via_transit = format!(
        "route replace {mhop4} via {}\nroute replace {mhop6} via {}\n",
        TRANSIT.v4, TRANSIT.v6
    );
    let via_ebgp = format!(
        "route replace {client4} via {}\nroute replace {client6} via {}\n",
        EBGP.v4, EBGP.v6
    );

    for node in nodes {
        let default = format!(
            "route replace default via {}\nroute replace default via {}\n",
            EBGP.v4, EBGP.v6
        );
        let others: Vec<Node> = nodes.iter().filter(|other| *other != node).cloned().collect();
        let mut script = default + &via_transit;
        for other in others {
            writeln!(script, "route replace {} via {}", other.pod_cidrs[0], other.v4)?;
            writeln!(script, "route replace {} via {}", other.pod_cidrs[1], other.v6)?;
        }
        batch(&node.namespace, &script)?;
    }
    // The API server calls webhooks at the addresses of their pods.
    batch(CONTROL.namespace, &(to_pods + &via_transit + &via_ebgp))?;
    batch(TRANSIT.namespace, &via_ebgp)?;
    let [segment4, segment6] = SEGMENT;
    let (router4, router6) = (TRANSIT_TO_MHOP.v4, TRANSIT_TO_MHOP.v6);
    let script = format!("route replace {segment4} via {router4}\nroute replace {segment6} via {router6}\n");
    batch(MHOP.namespace, &script)?;
    let (router4, router6) = (EBGP_TO_CLIENT.v4, EBGP_TO_CLIENT.v6);
    batch(
        BGP_CLIENT.namespace,
        &format!("route replace default via {router4}\nroute replace default via {router6}\n"),
    )
}

/// Pods reach everything outside of the cluster's pods with their node's address, since nobody there has a route to them.
fn masquerade(node: &Node) -> Result<()> {
    let [pods4, pods6] = POD_CIDRS;
    let rules = format!(
        "table inet metallb-lab\n\
         delete table inet metallb-lab\n\
         table inet metallb-lab {{\n\
           chain postrouting {{\n\
             type nat hook postrouting priority srcnat + 10;\n\
             ip saddr {} ip daddr != {pods4} masquerade\n\
             ip6 saddr {} ip6 daddr != {pods6} masquerade\n\
           }}\n\
         }}\n",
        node.pod_cidrs[0], node.pod_cidrs[1]
    );
    command::with_input(
        command::in_namespace(&node.namespace, "nft").args(["-f", "-"]),
        &rules,
    )?;
    Ok(())
}

fn has_link(namespace: &str, device: &str) -> bool {
    command::succeeds(Command::new("ip").args(["-n", namespace, "link", "show", device]))
}

fn sysctl(namespace: &str, settings: &[&str]) -> Result<()> {
    command::output(
        command::in_namespace(namespace, "sysctl")
            .arg("-qw")
            .args(settings),
    )?;
    Ok(())
}

fn batch(namespace: &str, script: &str) -> Result<()> {
    command::with_input(Command::new("ip").args(["-n", namespace, "-batch", "-"]), script)?;
    Ok(())
}
