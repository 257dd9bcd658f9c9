//! The part of the configuration that the BGP plan is made from.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use metallb_crds::frrk8s::BFDProfile;

use crate::config::{BfdProfile, BgpAdvertisement, Config, Effect, Peer, Pool, Problem};
use crate::ip_range::IpFamily;
use crate::selector::Labels;

/// Index of an advertisement in [`Policy`]. Advertisements are sorted by name, so a lower index is a lower name.
pub(super) type AdId = u32;

/// More communities than this in one advertisement are refused by every backend (RFC 4271 section 4.3: the short form
/// of the attribute length is one byte, and a community takes four).
const MAX_COMMUNITIES: usize = 63;

/// How the password of a peer gets into the FRRConfiguration when it is in a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretHandling {
    /// As a reference: the agent can read the Secret.
    #[default]
    Reference,
    /// In clear text: the agent looks for Secrets in another namespace.
    Resolve,
}

/// The part of a configuration that decides on sessions and routes, indexed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pools: Vec<Arc<AnnouncedPool>>,
    /// First and last address of each pool's ranges and the pool's index, sorted; ranges do not overlap.
    ranges: Vec<(IpAddr, IpAddr, usize)>,
    ads: Vec<Ad>,
    peers: Vec<Arc<Peer>>,
    bfd_profiles: Vec<BFDProfile>,
    secrets: SecretHandling,
    problems: Vec<Problem>,
}

/// A pool and the advertisements attached to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnnouncedPool {
    name: String,
    has_v4: bool,
    has_v6: bool,
    advertisements: BTreeSet<String>,
}

/// An advertisement, with its communities in the notation of FRRConfiguration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ad {
    pub(super) spec: Arc<BgpAdvertisement>,
    pub(super) communities: BTreeSet<Arc<str>>,
}

impl Policy {
    /// Indexes a configuration. An advertisement with more communities than a route can carry is left out and named
    /// in the problems. O(n log n), and pools × advertisements for the attachments.
    pub fn new(config: &Config, secrets: SecretHandling) -> Self {
        let ads = config.bgp_advertisements.values().map(Ad::new);
        let (ads, crowded): (Vec<_>, Vec<_>) = ads.partition(|ad| ad.communities.len() <= MAX_COMMUNITIES);
        let mut ranges = Vec::new();
        for (index, pool) in config.pools.values().enumerate() {
            ranges.extend(
                pool.ranges
                    .iter()
                    .map(|range| (range.first(), range.last(), index)),
            );
        }
        ranges.sort_unstable();
        let pools = config.pools.values().map(|pool| AnnouncedPool::new(pool, config));
        Self {
            pools: pools.map(Arc::new).collect(),
            ranges,
            ads,
            peers: config.peers.values().cloned().collect(),
            bfd_profiles: config
                .bfd_profiles
                .values()
                .map(|profile| bfd_profile(profile))
                .collect(),
            secrets,
            problems: crowded.iter().map(too_many_communities).collect(),
        }
    }

    /// Whether both make the same routes of every Service.
    pub(super) fn same_routes(&self, other: &Policy) -> bool {
        self.pools == other.pools && self.ranges == other.ranges && self.ads == other.ads
    }

    /// The one pool that contains all `addresses`; `None` when there is none or when `addresses` is empty.
    /// O(a log r) for a addresses and r ranges.
    pub(super) fn pool_of(&self, addresses: &[IpAddr]) -> Option<&Arc<AnnouncedPool>> {
        let (first, rest) = addresses.split_first()?;
        let index = self.pool_index(*first)?;
        let together = rest
            .iter()
            .all(|address| self.pool_index(*address) == Some(index));
        self.pools.get(index).filter(|_| together)
    }

    fn pool_index(&self, address: IpAddr) -> Option<usize> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= address);
        let (_, last, index) = self.ranges.get(after.checked_sub(1)?)?;
        (address <= *last).then_some(*index)
    }

    /// The advertisements of `pool`, ascending. O(a log n) for a of n advertisements.
    pub(super) fn ads_of(&self, pool: &AnnouncedPool) -> Vec<AdId> {
        let ids = pool.advertisements.iter().filter_map(|name| {
            let index = self.ads.binary_search_by(|ad| ad.spec.name.cmp(name)).ok()?;
            AdId::try_from(index).ok()
        });
        ids.collect()
    }

    pub(super) fn ad(&self, id: AdId) -> Option<&Ad> {
        self.ads.get(usize::try_from(id).ok()?)
    }

    /// The advertisements whose node selectors match, ascending. O(number of advertisements).
    pub(super) fn ads_on(&self, labels: &Labels) -> Vec<AdId> {
        let ads = (0..).zip(&self.ads).filter(|(_, ad)| ad.spec.covers_node(labels));
        ads.map(|(id, _)| id).collect()
    }

    /// Indices of the peers whose node selectors match, ascending. O(number of peers).
    pub(super) fn peers_on(&self, labels: &Labels) -> Vec<usize> {
        let peers = self
            .peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.covers_node(labels));
        peers.map(|(index, _)| index).collect()
    }

    pub(super) fn peer(&self, index: usize) -> Option<&Arc<Peer>> {
        self.peers.get(index)
    }

    pub(super) fn bfd_profiles(&self) -> &[BFDProfile] {
        &self.bfd_profiles
    }

    pub(super) fn secrets(&self) -> SecretHandling {
        self.secrets
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl AnnouncedPool {
    fn new(pool: &Pool, config: &Config) -> Self {
        Self {
            name: pool.name.clone(),
            has_v4: pool.has_family(IpFamily::V4),
            has_v6: pool.has_family(IpFamily::V6),
            advertisements: config
                .bgp_advertisements_of(&pool.name)
                .map(|ad| ad.name.clone())
                .collect(),
        }
    }

    /// Whether two advertisements of this pool give one route two values of LOCAL_PREF: the values differ, the
    /// prefixes can be equal and a peer can hear of both. An unset value differs from a set one.
    pub(super) fn conflict(&self, one: &Ad, other: &Ad) -> bool {
        let (a, b) = (&one.spec, &other.spec);
        let same_prefix = (self.has_v4 && a.aggregation_length == b.aggregation_length)
            || (self.has_v6 && a.aggregation_length_v6 == b.aggregation_length_v6);
        a.local_pref != b.local_pref && same_prefix && one.shares_peer_with(other)
    }
}

impl Ad {
    fn new(spec: &Arc<BgpAdvertisement>) -> Self {
        Self {
            spec: Arc::clone(spec),
            communities: spec
                .communities
                .iter()
                .map(|community| community.api_text().into())
                .collect(),
        }
    }

    pub(super) fn shares_peer_with(&self, other: &Ad) -> bool {
        let (one, other) = (&self.spec.peers, &other.spec.peers);
        one.is_empty() || other.is_empty() || !one.is_disjoint(other)
    }
}

fn too_many_communities(ad: &Ad) -> Problem {
    Problem {
        kind: "BGPAdvertisement",
        name: ad.spec.name.clone(),
        message: format!(
            "bgp advertisement {} has {} communities, a route can have {MAX_COMMUNITIES}: remove some from \
             spec.communities; until then nothing is announced because of this object",
            ad.spec.name,
            ad.communities.len()
        ),
        effect: Effect::LeftOut,
    }
}

fn bfd_profile(profile: &BfdProfile) -> BFDProfile {
    BFDProfile {
        name: profile.name.clone(),
        receive_interval: profile.receive_interval,
        transmit_interval: profile.transmit_interval,
        detect_multiplier: profile.detect_multiplier,
        echo_interval: profile.echo_interval,
        echo_mode: Some(profile.echo_mode),
        passive_mode: Some(profile.passive_mode),
        minimum_ttl: profile.minimum_ttl,
    }
}
