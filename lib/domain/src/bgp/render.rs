//! From sessions and routes to the BGP part of an FRRConfiguration.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use metallb_crds::frrk8s::{
    Advertise, AllowedOutPrefixes, BGPConfig, CommunityPrefixes, LocalPrefPrefixes, Neighbor, Router,
};

use super::key::Prefix;
use super::policy::{AdId, Policy};
use super::route::RouteTable;
use super::session::{Session, SessionRouter, Sessions};

/// The routes of one node: prefixes in the order of their text, each with the index of its set of advertisements.
/// Thousands of prefixes share a handful of sets, so what a set means is worked out once per session.
struct NodeRoutes<'a> {
    routes: Vec<(&'a Prefix, usize)>,
    sets: Vec<Vec<AdId>>,
}

/// How a peer hears of a route.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attributes<'a> {
    /// LOCAL_PREF, when one is set.
    pub(super) local_pref: Option<u32>,
    /// All communities.
    pub(super) communities: BTreeSet<&'a Arc<str>>,
}

/// The attributes of a route with the advertisements `ads` (ascending) towards `peer`, `None` when the peer does not
/// hear of it. Communities unite. Of several different local preferences the one whose advertisement has the lowest
/// name counts; one that is not set never wins over one that is.
pub(super) fn attributes<'a>(policy: &'a Policy, ads: &[AdId], peer: &str) -> Option<Attributes<'a>> {
    let reaching = || {
        ads.iter()
            .filter_map(|id| policy.ad(*id))
            .filter(|ad| ad.spec.reaches(peer))
    };
    reaching().next()?;
    Some(Attributes {
        local_pref: reaching().map(|ad| ad.spec.local_pref).find(|value| *value != 0),
        communities: reaching().flat_map(|ad| &ad.communities).collect(),
    })
}

/// The BGP part for nodes that run `sessions` and announce the routes of all `tables`. O(r log r + s r c) for r
/// prefixes, s sessions and c communities per prefix: the size of the result.
pub(super) fn render(policy: &Policy, sessions: &Sessions, tables: [&RouteTable; 2]) -> BGPConfig {
    let routes = NodeRoutes::new(tables);
    BGPConfig {
        bfd_profiles: policy.bfd_profiles().to_vec(),
        routers: sessions
            .routers
            .iter()
            .map(|router| routes.router(policy, router))
            .collect(),
    }
}

impl<'a> NodeRoutes<'a> {
    fn new(tables: [&'a RouteTable; 2]) -> Self {
        let mut merged: Vec<(&Prefix, Vec<AdId>)> = Vec::new();
        for (prefix, sources) in merge(tables) {
            let ads = sources.iter().map(|(ad, _)| *ad);
            match merged.last_mut() {
                Some((last, known)) if *last == prefix => known.extend(ads),
                _ => merged.push((prefix, ads.collect())),
            }
        }
        let mut known = HashMap::<Vec<AdId>, usize>::new();
        let routes = merged.into_iter().map(|(prefix, mut ads)| {
            ads.sort_unstable();
            ads.dedup();
            let next = known.len();
            (prefix, *known.entry(ads).or_insert(next))
        });
        let routes = routes.collect();
        let mut sets = vec![Vec::new(); known.len()];
        for (ads, index) in known {
            if let Some(set) = sets.get_mut(index) {
                *set = ads;
            }
        }
        Self { routes, sets }
    }

    fn router(&self, policy: &Policy, router: &SessionRouter) -> Router {
        let mut accepted = vec![false; self.routes.len()];
        let neighbors = router
            .sessions
            .iter()
            .map(|session| Neighbor {
                to_advertise: self.advertise(policy, session, &mut accepted),
                ..session.neighbor.clone()
            })
            .collect();
        let prefixes = self.routes.iter().zip(accepted).filter(|(_, accepted)| *accepted);
        Router {
            asn: router.asn,
            id: router.id.clone(),
            vrf: router.vrf.clone(),
            neighbors,
            prefixes: prefixes
                .map(|((prefix, _), _)| prefix.as_str().to_owned())
                .collect(),
            ..Router::default()
        }
    }

    fn advertise(&self, policy: &Policy, session: &Session, accepted: &mut [bool]) -> Advertise {
        let by_set: Vec<_> = self
            .sets
            .iter()
            .map(|ads| attributes(policy, ads, &session.peer))
            .collect();
        let mut allowed = Vec::new();
        let mut local_prefs = BTreeMap::<u32, Vec<String>>::new();
        let mut communities = BTreeMap::<&Arc<str>, Vec<String>>::new();
        for ((prefix, set), accepted) in self.routes.iter().zip(accepted) {
            let Some(Some(attributes)) = by_set.get(*set).filter(|_| session.carries(prefix)) else {
                continue;
            };
            *accepted = true;
            let text = prefix.as_str();
            allowed.push(text.to_owned());
            if let Some(value) = attributes.local_pref {
                local_prefs.entry(value).or_default().push(text.to_owned());
            }
            for community in &attributes.communities {
                communities.entry(community).or_default().push(text.to_owned());
            }
        }
        let with_local_pref = local_prefs
            .into_iter()
            .map(|(local_pref, prefixes)| LocalPrefPrefixes { local_pref, prefixes });
        let with_community = communities
            .into_iter()
            .map(|(community, prefixes)| CommunityPrefixes {
                community: community.to_string(),
                prefixes,
            });
        Advertise {
            allowed: AllowedOutPrefixes {
                prefixes: allowed,
                ..AllowedOutPrefixes::default()
            },
            with_community: with_community.collect(),
            with_local_pref: with_local_pref.collect(),
            ..Advertise::default()
        }
    }
}

type Sources<'a> = &'a [(AdId, super::key::ServiceKey)];

/// Both tables as one sequence in the order of the prefixes' text; a prefix in both comes twice in a row.
fn merge(tables: [&RouteTable; 2]) -> impl Iterator<Item = (&Prefix, Sources<'_>)> {
    let [mut first, mut second] = tables.map(|table| table.iter().peekable());
    std::iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some((one, _)), Some((other, _))) if other < one => second.next(),
        (None, _) => second.next(),
        _ => first.next(),
    })
}
