//! Which advertisement is in force for which pool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::BgpAdvertisement;
use crate::config::nodes::Nodes;
use crate::config::settle::Settling;
use crate::config::{Backend, Config, Effect, Pool};
use crate::ip_range::IpFamily;

type Advertisements = BTreeMap<String, Arc<BgpAdvertisement>>;

/// Attaches each advertisement to the pools it selects and does not contradict.
///
/// An advertisement that was changed and now contradicts a pool stays at its last good version. One that did not
/// change itself stays attached where it was. One that is new is in force for the pools it fits.
pub(super) fn attach(
    settling: &mut Settling<'_>,
    config: &Config,
    advertisements: Advertisements,
    previous: &Advertisements,
) -> Advertisements {
    let objects = settling.objects;
    let mut attaching = Attaching {
        config,
        backend: objects.backend,
        nodes: Nodes::new(&objects.nodes),
        by_pool: BTreeMap::new(),
    };
    let unchanged = |ad: &BgpAdvertisement| previous.get(&ad.name).is_some_and(|before| **before == *ad);
    let (kept, changed): (Vec<_>, Vec<_>) = advertisements.into_values().partition(|ad| unchanged(ad));

    let mut result = Advertisements::new();
    for ad in kept {
        let before = settling
            .previous
            .bgp_advertisements
            .get(&ad.name)
            .map(|before| &before.pools);
        let (mut fitting, problems) = attaching.fitting(&ad);
        for (pool, message) in problems {
            if before.is_some_and(|before| before.contains(&pool)) {
                fitting.insert(pool);
            }
            settling.report("BGPAdvertisement", &ad.name, message, Effect::Partly);
        }
        result.insert(ad.name.clone(), attaching.attach(&ad, fitting));
    }
    for ad in changed {
        let (fitting, problems) = attaching.fitting(&ad);
        let last_good = previous.get(&ad.name).filter(|_| !problems.is_empty());
        let last_good = last_good.map(|before| (before, attaching.fitting(before)));
        let effect = if last_good.is_some() {
            Effect::LastGood
        } else {
            Effect::Partly
        };
        for (_, message) in problems {
            settling.report("BGPAdvertisement", &ad.name, message, effect);
        }
        let attached = match last_good {
            Some((before, (fitting, _))) => attaching.attach(before, fitting),
            None => attaching.attach(&ad, fitting),
        };
        result.insert(ad.name.clone(), attached);
    }
    result
}

struct Attaching<'a> {
    config: &'a Config,
    backend: Backend,
    nodes: Nodes<'a>,
    by_pool: BTreeMap<String, Vec<Arc<BgpAdvertisement>>>,
}

impl Attaching<'_> {
    /// The selected pools that `ad` fits, and what is wrong with the others.
    fn fitting(&self, ad: &BgpAdvertisement) -> (BTreeSet<String>, Vec<(String, String)>) {
        let (mut fitting, mut problems) = (BTreeSet::new(), Vec::new());
        for pool in self
            .config
            .pools
            .values()
            .filter(|pool| ad.selection.selects(pool))
        {
            match self.check(ad, pool) {
                Ok(()) => {
                    fitting.insert(pool.name.clone());
                }
                Err(message) => {
                    problems.push((
                        pool.name.clone(),
                        format!("bgp advertisement {}: {message}", ad.name),
                    ));
                }
            }
        }
        (fitting, problems)
    }

    fn attach(&mut self, ad: &BgpAdvertisement, pools: BTreeSet<String>) -> Arc<BgpAdvertisement> {
        let ad = Arc::new(BgpAdvertisement { pools, ..ad.clone() });
        for pool in &ad.pools {
            self.by_pool
                .entry(pool.clone())
                .or_default()
                .push(Arc::clone(&ad));
        }
        ad
    }

    fn check(&self, ad: &BgpAdvertisement, pool: &Pool) -> Result<(), String> {
        check_lengths(ad, pool)?;
        self.check_local_pref(ad, pool)?;
        if !pool.has_family(IpFamily::V6) {
            return Ok(());
        }
        if self.backend == Backend::Native {
            return Err(format!(
                "the native backend cannot announce IPv6, which pool {} has: select other pools or use bgpBackend frr",
                pool.name
            ));
        }
        self.check_echo(ad, pool)
    }

    /// FRRouting has no BFD echo for IPv6.
    fn check_echo(&self, ad: &BgpAdvertisement, pool: &Pool) -> Result<(), String> {
        let echo = |peer: &&Arc<crate::config::Peer>| {
            let profile = peer
                .bfd_profile
                .as_ref()
                .and_then(|name| self.config.bfd_profiles.get(name));
            ad.reaches(&peer.name) && profile.is_some_and(|profile| profile.echo_mode)
        };
        match self.config.peers.values().find(echo) {
            Some(peer) => Err(format!(
                "pool {} has IPv6 addresses and references peer {} which has bfd echo enabled: choose a profile without \
                 echoMode for the peer, or announce the pool to other peers",
                pool.name, peer.name
            )),
            None => Ok(()),
        }
    }

    /// Two advertisements must not give one route two values of LOCAL_PREF. Where one of them is for some Services
    /// only, this is decided per Service and not here.
    fn check_local_pref(&self, ad: &BgpAdvertisement, pool: &Pool) -> Result<(), String> {
        if !ad.service_selectors.is_empty() {
            return Ok(());
        }
        for other in self.by_pool.get(&pool.name).into_iter().flatten() {
            let differs = other.service_selectors.is_empty() && other.local_pref != ad.local_pref;
            if differs && may_make_one_route(ad, other, pool) && self.meet(ad, other) {
                return Err(format!(
                    "invalid local preference {}: advertisement {} announces the same routes of pool {} to the same peers \
                     with {}: give both the same spec.localPref, or separate them by peers, nodes or length",
                    ad.local_pref, other.name, pool.name, other.local_pref
                ));
            }
        }
        Ok(())
    }

    fn meet(&self, one: &BgpAdvertisement, other: &BgpAdvertisement) -> bool {
        let nodes = self.nodes.matching(&one.node_selectors);
        let others = self.nodes.matching(&other.node_selectors);
        !nodes.is_disjoint(&others)
    }
}

/// True when both make a prefix of the same length for some address of the pool, and some peer may hear of both.
fn may_make_one_route(one: &BgpAdvertisement, other: &BgpAdvertisement, pool: &Pool) -> bool {
    let same_length = |family| pool.has_family(family) && one.length(family) == other.length(family);
    let share_peer = one.peers.is_empty() || other.peers.is_empty() || !one.peers.is_disjoint(&other.peers);
    (same_length(IpFamily::V4) || same_length(IpFamily::V6)) && share_peer
}

/// An announced prefix must not be shorter than the shortest prefix of the range it is made for.
fn check_lengths(ad: &BgpAdvertisement, pool: &Pool) -> Result<(), String> {
    for range in &pool.ranges {
        let length = ad.length(range.family());
        let shortest = range
            .cidrs()
            .iter()
            .map(ipnet::IpNet::prefix_len)
            .min()
            .unwrap_or(0);
        if length < shortest {
            return Err(format!(
                "invalid aggregation length {length}: prefix {shortest} in this pool is more specific than the aggregation \
                 length for addresses {range} of pool {}: raise spec.aggregationLength (spec.aggregationLengthV6 for IPv6)",
                pool.name
            ));
        }
    }
    Ok(())
}
