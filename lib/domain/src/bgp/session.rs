//! The sessions of a group of nodes that run the same peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use metallb_crds::frrk8s::{DynamicASN, Neighbor, SecretReference};

use super::key::Prefix;
use super::policy::{Policy, SecretHandling};
use crate::config::{Effect, Peer, PeerAddress, PeerPassword, Problem, RemoteAsn};

/// Routers and neighbors, without what is advertised, in the order in which FRRConfiguration lists them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sessions {
    pub(super) routers: Vec<SessionRouter>,
    /// Peers that cannot run here, or not as they stand.
    pub(super) problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionRouter {
    pub(super) asn: u32,
    pub(super) id: Option<String>,
    pub(super) vrf: String,
    pub(super) sessions: Vec<Session>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) peer: Arc<str>,
    carries_v4: bool,
    carries_v6: bool,
    /// All fields but `toAdvertise`.
    pub(super) neighbor: Neighbor,
}

impl Session {
    /// Whether the session carries routes of the family of `prefix`.
    pub(super) fn carries(&self, prefix: &Prefix) -> bool {
        if prefix.is_ipv4() {
            self.carries_v4
        } else {
            self.carries_v6
        }
    }
}

impl Sessions {
    /// The sessions of `peers`, which are indices: of two peers that contradict each other
    /// the later one does not run and is named in the problems. O(p log p).
    pub(super) fn new(policy: &Policy, peers: &[usize]) -> Self {
        let mut accepted = Accepted::default();
        let mut problems = Vec::new();
        let mut routers = BTreeMap::<String, SessionRouter>::new();
        for peer in peers.iter().filter_map(|index| policy.peer(*index)) {
            if let Some(message) = unknown_profile(policy, peer).or_else(|| accepted.contradiction(peer)) {
                problems.push(Problem {
                    kind: "BGPPeer",
                    name: peer.name.clone(),
                    message,
                    effect: Effect::Partly,
                });
                continue;
            }
            accepted.insert(peer);
            problems.extend(useless_local_asn(peer));
            let router = routers
                .entry(router_order(peer))
                .or_insert_with(|| SessionRouter {
                    asn: peer.my_asn,
                    id: peer.router_id.map(|id| id.to_string()),
                    vrf: vrf(peer).to_owned(),
                    sessions: Vec::new(),
                });
            router.sessions.push(session(peer, policy.secrets()));
        }
        let mut routers: Vec<_> = routers.into_values().collect();
        for router in &mut routers {
            router
                .sessions
                .sort_by_cached_key(|session| session_order(&session.neighbor, router.asn));
        }
        Self { routers, problems }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.routers.iter().flat_map(|router| &router.sessions)
    }
}

/// What the peers accepted so far commit a node to.
#[derive(Default)]
struct Accepted<'a> {
    router_id: Option<(Option<IpAddr>, &'a str)>,
    asns: BTreeMap<&'a str, (u32, &'a str)>,
    endpoints: BTreeSet<(&'a str, &'a PeerAddress)>,
}

impl<'a> Accepted<'a> {
    fn contradiction(&self, peer: &Peer) -> Option<String> {
        if let Some((id, other)) = self.router_id
            && id != peer.router_id
        {
            return Some(format!(
                "routerID differs from that of BGPPeer {other}, which runs on the same nodes; the session is not \
                 opened there"
            ));
        }
        if let Some((asn, other)) = self.asns.get(vrf(peer))
            && *asn != peer.my_asn
        {
            return Some(format!(
                "myASN {} differs from myASN {asn} of BGPPeer {other}, which runs on the same nodes in the same VRF; \
                 the session is not opened there",
                peer.my_asn
            ));
        }
        if self.endpoints.contains(&(vrf(peer), &peer.address)) {
            return Some(
                "another BGPPeer with the same address or interface runs on the same nodes in the same VRF; the \
                 session is opened as that one says"
                    .to_owned(),
            );
        }
        None
    }

    fn insert(&mut self, peer: &'a Peer) {
        self.router_id.get_or_insert((peer.router_id, &peer.name));
        self.asns.entry(vrf(peer)).or_insert((peer.my_asn, &peer.name));
        self.endpoints.insert((vrf(peer), &peer.address));
    }
}

fn unknown_profile(policy: &Policy, peer: &Peer) -> Option<String> {
    let profile = peer.bfd_profile.as_ref()?;
    let known = policy.bfd_profiles().iter().any(|known| known.name == *profile);
    (!known).then(|| {
        format!(
            "peer {} referencing non existing bfd profile {profile}",
            peer.name
        )
    })
}

/// The local AS number to use. FRR refuses one that is the router's own or the peer's, and any towards a peer in our
/// own AS.
fn local_asn(peer: &Peer) -> Option<u32> {
    let refused = |asn: &u32| is_internal(peer) || *asn == peer.my_asn || peer.remote == RemoteAsn::Asn(*asn);
    peer.local_asn.filter(|asn| !refused(asn))
}

/// Tells of a local AS number that is not used; one that is the router's own has the effect it asks for.
fn useless_local_asn(peer: &Peer) -> Option<Problem> {
    let asn = peer
        .local_asn
        .filter(|asn| local_asn(peer).is_none() && *asn != peer.my_asn)?;
    let why = if is_internal(peer) {
        format!("the peer is in AS {} as we are", peer.my_asn)
    } else {
        "it is that of the peer".to_owned()
    };
    Some(Problem {
        kind: "BGPPeer",
        name: peer.name.clone(),
        message: format!("localASN {asn} has no effect, because {why}: remove spec.localASN"),
        effect: Effect::Partly,
    })
}

fn is_internal(peer: &Peer) -> bool {
    match peer.remote {
        RemoteAsn::Asn(asn) => asn == peer.my_asn,
        RemoteAsn::Dynamic(relation) => relation == DynamicASN::Internal,
    }
}

/// Routers are listed in the order of this text.
fn router_order(peer: &Peer) -> String {
    let id = peer
        .router_id
        .map_or_else(|| "<nil>".to_owned(), |id| id.to_string());
    format!("{}@{id}@{}", peer.my_asn, vrf(peer))
}

/// Neighbors of a router are listed in the order of this text. The VRF is that of the router, so it does not matter.
fn session_order(neighbor: &Neighbor, my_asn: u32) -> String {
    let remote = match (neighbor.asn, neighbor.dynamic_asn) {
        (_, Some(DynamicASN::Internal)) => "internal".to_owned(),
        (_, Some(DynamicASN::External)) => "external".to_owned(),
        (asn, None) => asn.unwrap_or_default().to_string(),
    };
    let place = neighbor.interface.as_deref().or(neighbor.address.as_deref());
    let source = neighbor.source_address.as_deref().unwrap_or("<nil>");
    format!("{remote}@{}-{my_asn}@{source}", place.unwrap_or_default())
}

fn session(peer: &Peer, secrets: SecretHandling) -> Session {
    let both = peer.dual_stack || matches!(peer.address, PeerAddress::Interface(_));
    let v4 = matches!(peer.address, PeerAddress::Address(address) if address.is_ipv4());
    Session {
        peer: peer.name.as_str().into(),
        carries_v4: both || v4,
        carries_v6: both || !v4,
        neighbor: neighbor(peer, secrets),
    }
}

fn neighbor(peer: &Peer, secrets: SecretHandling) -> Neighbor {
    let (asn, dynamic_asn) = match peer.remote {
        RemoteAsn::Asn(asn) => (Some(asn), None),
        RemoteAsn::Dynamic(relation) => (None, Some(relation)),
    };
    let (address, interface) = match &peer.address {
        PeerAddress::Address(address) => (Some(address.to_string()), None),
        PeerAddress::Interface(interface) => (None, Some(interface.clone())),
    };
    let mut neighbor = Neighbor {
        address,
        asn,
        bfd_profile: peer.bfd_profile.clone(),
        connect_time: peer.connect_time.map(Into::into),
        disable_mp: peer.disable_mp,
        dual_stack_address_family: peer.dual_stack,
        dynamic_asn,
        ebgp_multi_hop: peer.ebgp_multi_hop,
        enable_graceful_restart: peer.graceful_restart,
        hold_time: peer.timers.as_ref().map(|(hold, _)| (*hold).into()),
        interface,
        keepalive_time: peer.timers.as_ref().map(|(_, keepalive)| (*keepalive).into()),
        local_asn: local_asn(peer),
        port: Some(peer.port),
        source_address: peer.source_address.map(|address| address.to_string()),
        ..Neighbor::default()
    };
    match (&peer.password, secrets) {
        (Some(PeerPassword::Plain(password)), _)
        | (
            Some(PeerPassword::Secret {
                value: Some(password),
                ..
            }),
            SecretHandling::Resolve,
        ) => {
            neighbor.password = Some(password.clone());
        }
        (Some(PeerPassword::Secret { name, namespace, .. }), _) => {
            let (name, namespace) = (name.clone(), namespace.clone());
            neighbor.password_secret = SecretReference { name, namespace };
        }
        (None, _) => {}
    }
    neighbor
}

fn vrf(peer: &Peer) -> &str {
    peer.vrf.as_deref().unwrap_or_default()
}
