//! The configuration: every object a user writes, checked, in one value.
//!
//! ```text
//!  Objects (as stored) ──► Config::build ──► Config (in force) + Problems
//!                              ▲
//!           previous Config ───┘  supplies the last good version of an object that is bad now
//! ```
//!
//! A bad object never takes down what works: it keeps its last good version, or is left out when there never was one,
//! and everything else is in force. Where two objects contradict each other (overlapping pools, say), the one that is
//! in force already wins, then the older one, then the lower name.

mod bfd_profile;
mod bgp_advertisement;
mod community;
mod l2_advertisement;
mod nodes;
mod objects;
mod peer;
mod pool;
mod problem;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use bfd_profile::BfdProfile;
pub use bgp_advertisement::BgpAdvertisement;
pub use community::Community;
pub use l2_advertisement::{L2Advertisement, NodePreference, PoolSelection};
pub use objects::{Backend, Objects, References};
pub use peer::{Peer, PeerAddress, PeerPassword, RemoteAsn};
pub use pool::{Pool, ServiceAllocation};
pub use problem::{Effect, Problem};

use settle::Settling;

/// A checked configuration. Only [`Config::build`] makes one that is not empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Pools by name.
    pub pools: BTreeMap<String, Arc<Pool>>,
    /// Names of pools that exist but are so wrong that nothing is known of them: what they hold is not free.
    pub pools_left_out: BTreeSet<String>,
    /// Layer 2 advertisements by name.
    pub l2_advertisements: BTreeMap<String, Arc<L2Advertisement>>,
    /// BGP advertisements by name.
    pub bgp_advertisements: BTreeMap<String, Arc<BgpAdvertisement>>,
    /// BGP peers by name.
    pub peers: BTreeMap<String, Arc<Peer>>,
    /// BFD profiles by name.
    pub bfd_profiles: BTreeMap<String, Arc<BfdProfile>>,
    /// Aliases of communities, by the object that defines them and then by alias.
    pub communities: BTreeMap<String, Arc<BTreeMap<String, Community>>>,
}

impl Config {
    /// Checks all objects. What is good is in force in the result; what is bad is replaced by its version in
    /// `previous`, or left out when there is none, and named in a problem.
    ///
    /// Cost: O(n log n) in the size of the objects, plus selectors × pools for attachments, plus selectors × nodes
    /// where two peers or two advertisements could contradict each other.
    pub fn build(objects: &Objects, previous: Option<&Config>) -> (Config, Vec<Problem>) {
        let empty = Config::default();
        let mut settling = Settling::new(objects, previous.unwrap_or(&empty));
        let mut config = Config {
            bfd_profiles: bfd_profile::settle(&mut settling),
            communities: community::settle(&mut settling),
            pools: pool::settle(&mut settling),
            l2_advertisements: l2_advertisement::settle(&mut settling),
            ..Config::default()
        };
        config.peers = peer::settle(&mut settling, &config);
        config.bgp_advertisements = bgp_advertisement::settle(&mut settling, &config);
        let problems = settling.into_problems();
        let left_out =
            |problem: &&Problem| problem.kind == "IPAddressPool" && problem.effect == Effect::LeftOut;
        config.pools_left_out = problems
            .iter()
            .filter(left_out)
            .map(|problem| problem.name.clone())
            .collect();
        (config, problems)
    }

    /// Checks all objects and accepts no problem.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn check(objects: &Objects) -> Result<Config, Vec<Problem>> {
        match Self::build(objects, None) {
            (config, problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(problems),
        }
    }

    /// Whether going from `before` to `after` is acceptable: it must not add a problem. Problems that are there
    /// already do not stand in the way, so one broken object does not block the repair of another.
    ///
    /// # Errors
    /// The problems that `after` has and `before` has not.
    pub fn admit(before: &Objects, after: &Objects) -> Result<(), Vec<Problem>> {
        let (_, old) = Self::build(before, None);
        let (_, mut new) = Self::build(after, None);
        new.retain(|problem| !old.iter().any(|known| known.message == problem.message));
        if new.is_empty() { Ok(()) } else { Err(new) }
    }

    /// The pool that contains `address`. O(number of ranges); for many look-ups build an index.
    pub fn pool_of(&self, address: std::net::IpAddr) -> Option<&Arc<Pool>> {
        self.pools.values().find(|pool| pool.contains(address))
    }

    /// The one pool that contains all `addresses`; `None` when there is none, or no address.
    pub fn pool_of_all(&self, addresses: &[std::net::IpAddr]) -> Option<&Arc<Pool>> {
        let pool = self.pool_of(*addresses.first()?)?;
        addresses
            .iter()
            .all(|address| pool.contains(*address))
            .then_some(pool)
    }

    /// The layer 2 advertisements that select `pool`, by name. O(advertisements × selectors).
    pub fn l2_advertisements_of<'a>(
        &'a self,
        pool: &'a Pool,
    ) -> impl Iterator<Item = &'a Arc<L2Advertisement>> {
        self.l2_advertisements
            .values()
            .filter(|ad| ad.pools.selects(pool))
    }

    /// The BGP advertisements attached to `pool`, by name. O(advertisements × log pools).
    pub fn bgp_advertisements_of<'a>(
        &'a self,
        pool: &'a str,
    ) -> impl Iterator<Item = &'a Arc<BgpAdvertisement>> {
        self.bgp_advertisements
            .values()
            .filter(move |ad| ad.pools.contains(pool))
    }
}
