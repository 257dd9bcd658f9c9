//! The part of the configuration that the BGP plan is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use metallb_crds::duration::Duration;
use metallb_crds::frrk8s::{BFDProfile, DynamicASN, Password, SecretReference};

use crate::selector::{Labels, Selector, all_or_any_matches};

/// Index of an advertisement in [`Policy::advertisements`]. Advertisements are sorted by name, so a lower index is a
/// lower name.
pub(super) type AdId = u32;

/// Everything that decides on sessions and routes, apart from nodes, Services and endpoints. Each part has been
/// checked on its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pools: Vec<Arc<Pool>>,
    /// First and last address of each pool's ranges and the pool's index, sorted; ranges do not overlap.
    ranges: Vec<(IpAddr, IpAddr, usize)>,
    advertisements: Vec<Advertisement>,
    ad_by_name: BTreeMap<Arc<str>, AdId>,
    peers: Vec<Arc<Peer>>,
    bfd_profiles: Vec<BFDProfile>,
}

/// A pool of addresses, and the advertisements attached to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name of the IPAddressPool.
    pub name: String,
    /// First and last address of each range; both of one family.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// Names of the BGPAdvertisements that select this pool.
    pub advertisements: BTreeSet<String>,
}

/// A BGPAdvertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertisement {
    /// Name of the BGPAdvertisement.
    pub name: Arc<str>,
    /// Length of announced IPv4 prefixes, 1 to 32.
    pub aggregation_v4: u8,
    /// Length of announced IPv6 prefixes, 1 to 128.
    pub aggregation_v6: u8,
    /// LOCAL_PREF (RFC 4271 section 5.1.5); 0 means not set.
    pub local_pref: u32,
    /// Communities in the notation of FRRConfiguration, `64500:7` or `large:64500:7:9`.
    pub communities: BTreeSet<Arc<str>>,
    /// Names of the BGPPeers that hear of the routes; empty means all.
    pub peers: BTreeSet<String>,
    /// Nodes that announce; empty means all.
    pub nodes: Vec<Selector>,
    /// Services that are announced; empty means all.
    pub services: Vec<Selector>,
}

/// A BGPPeer.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Name of the BGPPeer.
    pub name: Arc<str>,
    /// Nodes that open the session; empty means all.
    pub nodes: Vec<Selector>,
    /// Our AS number.
    pub my_asn: u32,
    /// What is known of the peer's AS number.
    pub remote: RemoteAsn,
    /// Where the peer is.
    pub endpoint: Endpoint,
    /// TCP port of the peer.
    pub port: u16,
    /// The VRF of the session; empty for the default one.
    pub vrf: String,
    /// Our BGP identifier.
    pub router_id: Option<IpAddr>,
    /// Our address of the session.
    pub source_address: Option<IpAddr>,
    /// AS number shown to the peer in place of `my_asn`.
    pub local_asn: Option<u32>,
    /// Hold time and keepalive time.
    pub timers: Option<(Duration, Duration)>,
    /// Connect retry time.
    pub connect_time: Option<Duration>,
    /// Name of a BFDProfile.
    pub bfd_profile: Option<String>,
    /// The TCP password.
    pub password: Option<PeerPassword>,
    /// `ebgpMultiHop`.
    pub ebgp_multi_hop: bool,
    /// `enableGracefulRestart`.
    pub graceful_restart: bool,
    /// `dualStackAddressFamily`.
    pub dual_stack: bool,
    /// `disableMP`, which has no effect any more.
    pub disable_mp: bool,
}

/// What a session requires of the peer's AS number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAsn {
    /// This number.
    Asn(u32),
    /// Equal to, or different from, our own.
    Dynamic(DynamicASN),
}

/// Where a peer is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// At this address.
    Address(IpAddr),
    /// Behind this interface, by its link-local address.
    Interface(String),
}

/// Where the password of a session comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPassword {
    /// The text itself, written into the FRRConfiguration.
    Plain(Password),
    /// A Secret that the agent reads.
    Secret(SecretReference),
}

impl Policy {
    /// `advertisements` with equal names keep the first. Of two `peers` that cannot run on one node the earlier one
    /// in the list runs. O(n log n).
    pub fn new(
        pools: Vec<Pool>,
        mut advertisements: Vec<Advertisement>,
        peers: Vec<Peer>,
        mut bfd_profiles: Vec<BFDProfile>,
    ) -> Self {
        advertisements.sort_by(|a, b| a.name.cmp(&b.name));
        advertisements.dedup_by(|a, b| a.name == b.name);
        bfd_profiles.sort_by(|a, b| a.name.cmp(&b.name));
        let ad_by_name = (0_u32..)
            .zip(&advertisements)
            .map(|(id, ad)| (Arc::clone(&ad.name), id))
            .collect();
        let mut ranges: Vec<_> = pools
            .iter()
            .enumerate()
            .flat_map(|(index, pool)| {
                pool.ranges
                    .iter()
                    .map(move |(first, last)| (*first, *last, index))
            })
            .collect();
        ranges.sort_unstable();
        Self {
            pools: pools.into_iter().map(Arc::new).collect(),
            ranges,
            advertisements,
            ad_by_name,
            peers: peers.into_iter().map(Arc::new).collect(),
            bfd_profiles,
        }
    }

    /// Whether both make the same routes of every Service.
    pub(super) fn same_routes(&self, other: &Policy) -> bool {
        self.pools == other.pools && self.advertisements == other.advertisements
    }

    /// The one pool that contains all `addresses`; `None` when there is none or when `addresses` is empty.
    /// O(a log r) for a addresses and r ranges.
    pub(super) fn pool_of(&self, addresses: &[IpAddr]) -> Option<&Arc<Pool>> {
        let (first, rest) = addresses.split_first()?;
        let index = self.pool_index(*first)?;
        if rest
            .iter()
            .any(|address| self.pool_index(*address) != Some(index))
        {
            return None;
        }
        self.pools.get(index)
    }

    fn pool_index(&self, address: IpAddr) -> Option<usize> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= address);
        let (_, last, index) = self.ranges.get(after.checked_sub(1)?)?;
        (address <= *last).then_some(*index)
    }

    /// The advertisements of `pool`, ascending.
    pub(super) fn ads_of(&self, pool: &Pool) -> Vec<AdId> {
        let ids = pool
            .advertisements
            .iter()
            .filter_map(|name| self.ad_by_name.get(name.as_str()));
        let mut ids: Vec<_> = ids.copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn ad(&self, id: AdId) -> Option<&Advertisement> {
        self.advertisements.get(usize::try_from(id).ok()?)
    }

    /// The advertisements whose node selectors match, ascending. O(number of advertisements).
    pub(super) fn ads_on(&self, labels: &Labels) -> Vec<AdId> {
        (0_u32..)
            .zip(&self.advertisements)
            .filter(|(_, ad)| all_or_any_matches(&ad.nodes, labels))
            .map(|(id, _)| id)
            .collect()
    }

    /// Indices of the peers whose node selectors match, in the order of precedence. O(number of peers).
    pub(super) fn peers_on(&self, labels: &Labels) -> Vec<usize> {
        let matching = self.peers.iter().enumerate();
        let matching = matching.filter(|(_, peer)| all_or_any_matches(&peer.nodes, labels));
        matching.map(|(index, _)| index).collect()
    }

    pub(super) fn peer(&self, index: usize) -> Option<&Arc<Peer>> {
        self.peers.get(index)
    }

    pub(super) fn bfd_profiles(&self) -> &[BFDProfile] {
        &self.bfd_profiles
    }
}

impl Pool {
    fn has(&self, ipv4: bool) -> bool {
        self.ranges.iter().any(|(first, _)| first.is_ipv4() == ipv4)
    }

    /// Whether two advertisements of this pool give one route two values of LOCAL_PREF: the values differ, the
    /// prefixes can be equal and a peer can hear of both. An unset value differs from a set one.
    pub(super) fn conflict(&self, one: &Advertisement, other: &Advertisement) -> bool {
        let same_prefix = (self.has(true) && one.aggregation_v4 == other.aggregation_v4)
            || (self.has(false) && one.aggregation_v6 == other.aggregation_v6);
        one.local_pref != other.local_pref && same_prefix && one.shares_peer_with(other)
    }
}

impl Advertisement {
    /// Whether `peer` hears of the routes.
    pub(super) fn reaches(&self, peer: &str) -> bool {
        self.peers.is_empty() || self.peers.contains(peer)
    }

    pub(super) fn shares_peer_with(&self, other: &Advertisement) -> bool {
        self.peers.is_empty() || other.peers.is_empty() || !self.peers.is_disjoint(&other.peers)
    }

    /// The length of the prefix announced for `address`.
    pub(super) fn length_for(&self, address: IpAddr) -> u8 {
        if address.is_ipv4() {
            self.aggregation_v4
        } else {
            self.aggregation_v6
        }
    }
}
