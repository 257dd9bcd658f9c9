//! Names by which the plan refers to nodes, Services and prefixes. All are cheap to clone.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The name of a Node.
pub type NodeName = Arc<str>;

/// Namespace and name of a Service, ordered by the text `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    text: Arc<str>,
    slash: usize,
}

impl ServiceKey {
    /// The key of Service `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            text: format!("{namespace}/{name}").into(),
            slash: namespace.len(),
        }
    }

    /// The namespace of the Service.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The name of the Service in its namespace.
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A prefix in canonical text. Prefixes are ordered by that text, as FRRConfiguration lists them, and not by number:
/// `203.0.113.10/32` comes before `203.0.113.2/32`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix {
    text: Arc<str>,
    net: IpNet,
}

impl Prefix {
    /// The prefix of `length` bits that `address` lies in. A length beyond the family's maximum means the maximum.
    pub fn around(address: IpAddr, length: u8) -> Self {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNet::new(address, length.min(longest)).unwrap_or_else(|_| IpNet::from(address));
        let net = net.trunc();
        Self {
            text: net.to_string().into(),
            net,
        }
    }

    /// The canonical text, for example `2001:db8::/64`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is an IPv4 prefix.
    pub fn is_ipv4(&self) -> bool {
        self.net.addr().is_ipv4()
    }

    /// The prefix as a number.
    pub fn net(&self) -> IpNet {
        self.net
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
