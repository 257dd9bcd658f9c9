//! The lab's topology: every namespace, address, AS number and range, and no other copy of them.
//!
//! ```text
//!                         lab-client    lab-control
//!                              |             |
//!   lab-switch (bridge) ═══════╪═════════════╪═════ 172.30.0.0/24  fd00:30::/64 ══════════╗
//!        |          |          |             |                |                            |
//!   lab-node1  lab-node2    lab-ebgp      lab-ibgp       lab-transit                       .
//!   AS 64512   AS 64512     AS 64513      AS 64512            |  172.30.1.0/24
//!                              |  172.30.2.0/24           lab-mhop
//!                         lab-bgpclient                   AS 64514
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network namespace with its main address in each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Name under /run/netns.
    pub namespace: &'static str,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Station {
    /// Both addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

const fn station(namespace: &'static str, network: u8, host: u8, host6: u16) -> Station {
    let third = network as u16;
    Station {
        namespace,
        v4: Ipv4Addr::new(172, 30, network, host),
        v6: Ipv6Addr::new(0xfd00, 0x30, third, 0, 0, 0, 0, host6),
    }
}

/// The bridge that is the nodes' segment. Its port towards namespace `lab-X` is called `X`.
pub const SWITCH: &str = "lab-switch";
/// etcd, API server, controller manager, scheduler; commands and tests run here.
pub const CONTROL: Station = station("lab-control", 0, 2, 0x2);
/// eBGP router on the nodes' segment; also the nodes' default gateway.
pub const EBGP: Station = station("lab-ebgp", 0, 3, 0x3);
/// iBGP router on the nodes' segment.
pub const IBGP: Station = station("lab-ibgp", 0, 4, 0x4);
/// Plain router between the nodes' segment and [`MHOP`]; it speaks no BGP.
pub const TRANSIT: Station = station("lab-transit", 0, 5, 0x5);
/// Client on the nodes' segment, for layer 2.
pub const CLIENT: Station = station("lab-client", 0, 6, 0x6);
/// Multi-hop eBGP router behind [`TRANSIT`].
pub const MHOP: Station = station("lab-mhop", 1, 2, 0x2);
/// Client behind [`EBGP`], which is its default gateway.
pub const BGP_CLIENT: Station = station("lab-bgpclient", 2, 2, 0x2);

/// [`TRANSIT`] on the link towards [`MHOP`].
pub const TRANSIT_TO_MHOP: Station = station("lab-transit", 1, 1, 0x1);
/// [`EBGP`] on the link towards [`BGP_CLIENT`].
pub const EBGP_TO_CLIENT: Station = station("lab-ebgp", 2, 1, 0x1);

/// The nodes' segment.
pub const SEGMENT: [&str; 2] = ["172.30.0.0/24", "fd00:30::/64"];
/// The link of [`MHOP`].
pub const MHOP_LINK: [&str; 2] = ["172.30.1.0/24", "fd00:30:1::/64"];
/// The link of [`BGP_CLIENT`]; [`EBGP`] announces these two prefixes to the nodes.
pub const BGP_CLIENT_LINK: [&str; 2] = ["172.30.2.0/24", "fd00:30:2::/64"];
/// All pods.
pub const POD_CIDRS: [&str; 2] = ["10.244.0.0/16", "fd00:244::/56"];
/// All cluster IPs.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];
/// First cluster IP of each family.
pub const API_SERVICE: [&str; 2] = ["10.96.0.1", "fd00:96::1"];

/// Addresses to announce by BGP: outside of every network of the lab.
pub const BGP_POOL: [&str; 2] = ["198.51.100.0/24", "2001:db8:100::/112"];
/// Addresses to announce by ARP and NDP: inside the nodes' segment, used by nobody.
pub const L2_POOL: [&str; 2] = ["172.30.0.200-172.30.0.250", "fd00:30::200-fd00:30::250"];

/// AS number of the cluster and of [`IBGP`].
pub const CLUSTER_ASN: u32 = 64512;
/// AS number of [`EBGP`].
pub const EBGP_ASN: u32 = 64513;
/// AS number of [`MHOP`].
pub const MHOP_ASN: u32 = 64514;

/// TCP port of the API server on [`CONTROL`].
pub const API_PORT: u16 = 6443;
/// Most nodes a lab can have.
pub const MAX_NODES: u8 = 9;

/// A cluster node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// 1 to [`MAX_NODES`].
    pub index: u8,
    /// Name of the Node object: `node1`.
    pub name: String,
    /// Its network namespace: `lab-node1`.
    pub namespace: String,
    /// Its address on the segment.
    pub v4: Ipv4Addr,
    /// Its address on the segment.
    pub v6: Ipv6Addr,
    /// Its pods, IPv4 and IPv6.
    pub pod_cidrs: [String; 2],
}

/// The node with this index, whether it exists or not.
pub fn node(index: u8) -> Node {
    Node {
        index,
        name: format!("node{index}"),
        namespace: format!("lab-node{index}"),
        v4: Ipv4Addr::new(172, 30, 0, 10 + index),
        v6: Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 0x10 + u16::from(index)),
        pod_cidrs: [format!("10.244.{index}.0/24"), format!("fd00:244:0:{index}::/64")],
    }
}

/// The first `count` nodes.
pub fn nodes(count: u8) -> Vec<Node> {
    (1..=count).map(node).collect()
}
