//! Which node answers address resolution for the addresses of a Service.
//!
//! Every node computes the same order of the same candidates and answers only if it comes first, so no messages
//! about single addresses are needed. A node does not need to know who is first: it suffices to find one candidate
//! that comes before it, its *rival*. As long as that rival stands, nothing that happens to other nodes matters.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_lc_rs::digest;

use crate::endpoints::UsableEndpoints;

/// One advertisement that applies to a Service, resolved against the nodes of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The advertisement chooses Services by label.
    pub selects_services: bool,
    /// The nodes it selects, each with the sum of the weights of the preferences it meets; zero if none.
    pub nodes: BTreeMap<String, u32>,
}

/// What is known about a node apart from advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its speaker is believed to run. A node whose speaker is not comes after all whose speaker is, yet it is not
    /// struck off: when every node seems dead it is more likely that the news is wrong, and the last order stands.
    pub alive: bool,
    /// It must not announce anything: its network is unavailable or it is excluded from load balancing.
    pub barred: bool,
}

/// What is known about a Service.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// Its first address. Only this one is hashed, so that Services that share it elect the same node.
    pub address: IpAddr,
    /// `externalTrafficPolicy: Local`: only nodes with an endpoint of their own can serve it.
    pub local: bool,
    /// It asks to share its address with other Services.
    pub shared: bool,
    /// Its endpoints.
    pub endpoints: &'a UsableEndpoints,
}

/// Whether a node answers for a Service, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It does, and no other node should.
    Announce,
    /// It does not. `rival` is a candidate that comes before it; `None` if it is no candidate or there is none.
    NotOwner {
        /// Not necessarily the first.
        rival: Option<&'a str>,
    },
    /// No advertisement that applies to the Service selects this node.
    NoMatchingAdvertisement,
    /// An advertisement that chooses Services by label applies to a Service that shares its address. Nobody
    /// announces it: the sharing Services could end up on different nodes.
    SharedIpWithServiceSelector,
}

/// Decides for the node `me`. `standing` tells about any node that an advertisement selects.
///
/// Costs one SHA-256 per candidate looked at: all of them for the node that wins, about ln(candidates) on average for
/// one that does not, since it stops at the first rival.
pub fn decide<'a>(
    me: &str,
    ballot: &Ballot<'_>,
    reaches: &[&'a Reach],
    standing: impl Fn(&str) -> Standing,
) -> Verdict<'a> {
    if !ballot.endpoints.any() {
        return Verdict::NotOwner { rival: None };
    }
    if ballot.shared && reaches.iter().any(|reach| reach.selects_services) {
        return Verdict::SharedIpWithServiceSelector;
    }
    if !reaches.iter().any(|reach| reach.nodes.contains_key(me)) {
        return Verdict::NoMatchingAdvertisement;
    }
    let electorate = Electorate::new(ballot, reaches, standing);
    let Some(mine) = electorate.rank(me) else {
        return Verdict::NotOwner { rival: None };
    };
    let nodes = reaches.iter().flat_map(|reach| reach.nodes.keys());
    let mut others = nodes.filter(|node| *node != me);
    match others.find(|node| electorate.rank(node).is_some_and(|rank| rank < mine)) {
        Some(rival) => Verdict::NotOwner { rival: Some(rival) },
        None => Verdict::Announce,
    }
}

/// Position in the order; the smallest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    dead: bool,
    weight: Reverse<u32>,
    digest: [u8; 32],
}

struct Electorate<'a, 'b, S> {
    ballot: &'b Ballot<'b>,
    address: String,
    reaches: &'b [&'a Reach],
    standing: S,
}

impl<'a, 'b, S: Fn(&str) -> Standing> Electorate<'a, 'b, S> {
    fn new(ballot: &'b Ballot<'b>, reaches: &'b [&'a Reach], standing: S) -> Self {
        Self {
            ballot,
            address: canonical(ballot.address),
            reaches,
            standing,
        }
    }

    /// The rank of a node that an advertisement selects, or `None` if it is no candidate.
    fn rank(&self, node: &str) -> Option<Rank> {
        let Standing { alive, barred } = (self.standing)(node);
        if barred || (self.ballot.local && !self.ballot.endpoints.on_node(node)) {
            return None;
        }
        let weights = self.reaches.iter().filter_map(|reach| reach.nodes.get(node));
        let weight = weights.fold(0, |sum: u32, weight| sum.saturating_add(*weight));
        Some(Rank {
            dead: !alive,
            weight: Reverse(weight),
            digest: hash(node, &self.address),
        })
    }
}

/// The address as text: dotted quad, or compressed lower-case IPv6 (RFC 5952). An IPv4-mapped address is IPv4.
fn canonical(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// SHA-256 of node name, `#` and address. Speakers of other implementations compute the same, which lets both work
/// side by side during a migration.
fn hash(node: &str, address: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(node.as_bytes());
    context.update(b"#");
    context.update(address.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests;
