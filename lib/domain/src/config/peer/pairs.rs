//! Peers that cannot run on one node together.

use std::collections::{BTreeMap, HashMap};

use super::Peer;
use crate::config::Backend;
use crate::config::nodes::Nodes;
use crate::ip_range::parse_address;
use crate::selector::Labels;

/// What FRRouting must agree on, or keep apart, among the peers of one node.
struct Identity {
    peer: String,
    /// Address or interface, and VRF.
    session: (String, Option<String>),
    router_id: Option<std::net::IpAddr>,
    my_asn: u32,
}

/// The peers accepted so far, by the nodes they run on.
pub(super) struct Pairs<'a> {
    backend: Backend,
    nodes: Nodes<'a>,
    accepted: Vec<Identity>,
    on_node: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(backend: Backend, nodes: &'a BTreeMap<String, Labels>) -> Self {
        Self {
            backend,
            nodes: Nodes::new(nodes),
            accepted: Vec::new(),
            on_node: HashMap::new(),
        }
    }

    /// Accepts a peer that can run beside all accepted peers wherever they meet. When no node is known, all meet.
    /// O(sessions the peer meets).
    pub(super) fn accept(&mut self, peer: &Peer) -> Result<(), String> {
        if self.backend == Backend::Native {
            return Ok(());
        }
        let candidate = Identity::of(peer);
        let nodes = self.nodes.matching(&peer.node_selectors);
        if self.nodes.is_empty() {
            self.accepted
                .iter()
                .try_for_each(|other| candidate.check(other, None))?;
        }
        for node in &nodes {
            for other in self.on_node.get(node).into_iter().flatten() {
                candidate.check(&self.accepted[*other], Some(node))?;
            }
        }
        for node in nodes {
            self.on_node.entry(node).or_default().push(self.accepted.len());
        }
        self.accepted.push(candidate);
        Ok(())
    }
}

impl Identity {
    fn of(peer: &Peer) -> Self {
        // Two spellings of one address are one session.
        let text = peer.address.to_string();
        let text = parse_address(&text).map_or(text, |address| address.to_string());
        Self {
            peer: peer.name.clone(),
            session: (text, peer.vrf.clone()),
            router_id: peer.router_id,
            my_asn: peer.my_asn,
        }
    }

    fn check(&self, other: &Self, node: Option<&str>) -> Result<(), String> {
        let (name, there) = (&self.peer, &other.peer);
        let place = node.map_or_else(String::new, |node| format!(" on node {node}"));
        if self.router_id != other.router_id {
            return Err(format!(
                "peer {name} has RouterID different from peer {there}{place}: give all peers of a node the same spec.routerID"
            ));
        }
        if self.session == other.session {
            return Err(format!(
                "peer {name}: a session with {} already exists{place}, from peer {there}: remove one, or separate them by \
                 spec.nodeSelectors",
                self.session.0
            ));
        }
        if self.session.1 == other.session.1 && self.my_asn != other.my_asn {
            return Err(format!(
                "peer {name} has myAsn different from peer {there} in the same VRF{place}: give all peers of a node and VRF \
                 the same spec.myASN"
            ));
        }
        Ok(())
    }
}
