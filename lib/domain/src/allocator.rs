//! Which Service has which address.
//!
//! ```text
//!  set_pools ──► pools: a Space per family (free slots, first-fit, counts)
//!  assign ─────► addresses: who uses one, with which sharing key and ports
//!  release ────► waiting: who could not get one, woken when something that may help them changed
//! ```
//!
//! The Services' own status is the only lasting store of assignments; this is an index of it, rebuilt at each start.
//! Addresses are kept as numbers, so finding the first free one does not depend on how many are in use.

mod choose;
mod error;
mod space;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Pool;
use crate::ip_range::IpFamily;
use crate::service::{Families, Port, ServiceKey, ServiceRequest, Sharing};
pub use error::AllocationError;
use space::Space;
use waiting::{Need, Waiting};

/// The addresses one Service holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Name of the pool they are from.
    pub pool: String,
    /// One address, or one of each family, in the order of the Service's status.
    pub addresses: Vec<IpAddr>,
    sharing: Sharing,
    ports: BTreeSet<Port>,
}

/// How full a pool is. All numbers saturate at `i64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounters {
    /// Distinct IPv4 addresses in use; a shared one counts once.
    pub assigned_v4: i64,
    /// Distinct IPv6 addresses in use.
    pub assigned_v6: i64,
    /// IPv4 addresses the pool can hand out in all.
    pub capacity_v4: i64,
    /// IPv6 addresses the pool can hand out in all.
    pub capacity_v6: i64,
    /// Services with an address of the pool.
    pub services: i64,
}

/// The assignments of all Services.
#[derive(Debug, Default)]
pub struct Allocator {
    pools: BTreeMap<String, PoolState>,
    /// First address of each range, with the last one and the pool. Ranges do not overlap.
    ranges: BTreeMap<IpAddr, (IpAddr, String)>,
    /// Names of the pools with `serviceAllocation`, by rank.
    pinned: Vec<String>,
    /// Names of the others, ascending.
    generic: Vec<String>,
    allocations: HashMap<ServiceKey, Allocation>,
    addresses: HashMap<IpAddr, Users>,
    waiting: Waiting,
    /// Pools whose counters changed since they were last asked for.
    recount: BTreeSet<String>,
}

#[derive(Debug)]
struct PoolState {
    pool: Arc<Pool>,
    v4: Space,
    v6: Space,
    /// Slots in use under a sharing key, where others may join.
    shared: HashMap<(Sharing, IpFamily), BTreeSet<u128>>,
    services: BTreeSet<ServiceKey>,
}

/// Who uses an address. All users have the same sharing key, or there is one only.
#[derive(Debug)]
struct Users {
    sharing: Sharing,
    services: BTreeSet<ServiceKey>,
    ports: BTreeMap<Port, ServiceKey>,
}

impl PoolState {
    fn new(pool: Arc<Pool>) -> Self {
        let space = |family| Space::new(family, &pool.ranges, pool.avoid_buggy_ips);
        let (v4, v6) = (space(IpFamily::V4), space(IpFamily::V6));
        Self {
            pool,
            v4,
            v6,
            shared: HashMap::new(),
            services: BTreeSet::new(),
        }
    }

    fn space(&self, family: IpFamily) -> &Space {
        match family {
            IpFamily::V4 => &self.v4,
            IpFamily::V6 => &self.v6,
        }
    }

    fn space_mut(&mut self, family: IpFamily) -> &mut Space {
        match family {
            IpFamily::V4 => &mut self.v4,
            IpFamily::V6 => &mut self.v6,
        }
    }

    fn has_free(&self, family: IpFamily) -> bool {
        self.space(family).first_free().is_some()
    }
}

impl Allocator {
    /// No pools, no assignments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts another set of pools into force. A Service whose addresses all lie in one of the new pools keeps them,
    /// whatever that pool is called; one whose addresses do not is released.
    ///
    /// Returns the Services to look at again: those that hold an address of a pool that was changed or removed, and,
    /// after any change, all that wait, longest waiting first. Nothing is returned when the pools are the same.
    /// Cost: O(ranges × log ranges) plus O(log n) for each Service of a changed pool.
    pub fn set_pools(&mut self, pools: &BTreeMap<String, Arc<Pool>>) -> Vec<ServiceKey> {
        let differs =
            |name: &String, state: &PoolState| pools.get(name).is_none_or(|pool| *pool != state.pool);
        let outdated: Vec<String> = self
            .pools
            .iter()
            .filter(|(name, state)| differs(name, state))
            .map(|(name, _)| name.clone())
            .collect();
        let added = pools.keys().any(|name| !self.pools.contains_key(name));
        if outdated.is_empty() && !added {
            return Vec::new();
        }
        let affected: BTreeSet<ServiceKey> = outdated
            .iter()
            .filter_map(|name| self.pools.get(name))
            .flat_map(|state| state.services.clone())
            .collect();
        let held: Vec<(ServiceKey, Allocation)> = affected
            .iter()
            .filter_map(|key| self.unregister(key).map(|held| (key.clone(), held)))
            .collect();
        for name in &outdated {
            self.pools.remove(name);
            self.recount.insert(name.clone());
        }
        for (name, pool) in pools {
            if !self.pools.contains_key(name) {
                self.pools.insert(name.clone(), PoolState::new(Arc::clone(pool)));
                self.recount.insert(name.clone());
            }
        }
        self.index_pools();
        for (key, allocation) in held {
            if let Some(pool) = self
                .pool_containing(&allocation.addresses)
                .map(|state| state.pool.name.clone())
            {
                self.register(&key, Allocation { pool, ..allocation });
            }
        }
        let mut again: Vec<ServiceKey> = affected.iter().cloned().collect();
        again.extend(
            self.waiting
                .all()
                .into_iter()
                .filter(|key| !affected.contains(key)),
        );
        again
    }

    fn index_pools(&mut self) {
        self.ranges.clear();
        let mut pinned: Vec<&Arc<Pool>> = Vec::new();
        self.generic.clear();
        for state in self.pools.values() {
            for range in &state.pool.ranges {
                self.ranges
                    .insert(range.first(), (range.last(), state.pool.name.clone()));
            }
            if state.pool.allocation.is_some() {
                pinned.push(&state.pool);
            } else {
                self.generic.push(state.pool.name.clone());
            }
        }
        pinned.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.pinned = pinned.into_iter().map(|pool| pool.name.clone()).collect();
    }

    /// True when there is no pool at all.
    pub fn has_no_pools(&self) -> bool {
        self.pools.is_empty()
    }

    /// What `service` holds.
    pub fn get(&self, service: &ServiceKey) -> Option<&Allocation> {
        self.allocations.get(service)
    }

    /// Assigns exactly `addresses`, in this order, and forgets what the Service held before. On failure nothing
    /// changes. Whether the pool assigns automatically does not matter. O(log n) per address and port.
    ///
    /// # Errors
    /// The first of: no pool contains them all; the pool does not admit the Service; they are not one per family;
    /// one is in use by a Service that cannot share it.
    pub fn assign(
        &mut self,
        request: &ServiceRequest,
        addresses: &[IpAddr],
    ) -> Result<&Allocation, AllocationError> {
        let pool = self.check(request, addresses)?;
        let allocation = Allocation {
            pool,
            addresses: addresses.to_vec(),
            sharing: request.sharing.clone(),
            ports: request.ports.clone(),
        };
        if self.allocations.get(&request.key) != Some(&allocation) {
            self.unregister(&request.key);
            self.register(&request.key, allocation);
        }
        self.waiting.remove(&request.key);
        self.allocations
            .get(&request.key)
            .ok_or(AllocationError::Exhausted)
    }

    /// Name of the pool from which `addresses` can be assigned.
    fn check(&self, request: &ServiceRequest, addresses: &[IpAddr]) -> Result<String, AllocationError> {
        let not_in_pool = || AllocationError::NotInPool(addresses.to_vec());
        let state = self.pool_containing(addresses).ok_or_else(not_in_pool)?;
        if !state.pool.admits(&request.key.namespace, &request.labels) {
            return Err(AllocationError::Incompatible(state.pool.name.clone()));
        }
        if Families::of(addresses).is_none() {
            return Err(AllocationError::NotOnePerFamily(addresses.to_vec()));
        }
        for address in addresses {
            self.check_sharing(request, *address)?;
        }
        Ok(state.pool.name.clone())
    }

    /// An address in use can be had when all its users have the same, non-empty sharing key, or when this Service is
    /// its only user (who may change its keys); and when no other Service has one of the ports.
    fn check_sharing(&self, request: &ServiceRequest, address: IpAddr) -> Result<(), AllocationError> {
        let Some(users) = self.addresses.get(&address) else {
            return Ok(());
        };
        if !users.sharing.compatible(&request.sharing) {
            let others = users.services.iter().filter(|user| **user != request.key);
            let others: Vec<ServiceKey> = others.cloned().collect();
            if !others.is_empty() {
                return Err(AllocationError::NotSharable {
                    address,
                    users: others,
                });
            }
        }
        for port in &request.ports {
            if let Some(user) = users.ports.get(port).filter(|user| **user != request.key) {
                return Err(AllocationError::PortInUse {
                    address,
                    port: port.clone(),
                    user: user.clone(),
                });
            }
        }
        Ok(())
    }

    /// The one pool that can hand out all `addresses`. O(log ranges) per address.
    fn pool_containing(&self, addresses: &[IpAddr]) -> Option<&PoolState> {
        let name = self.pool_with(*addresses.first()?)?;
        if addresses
            .iter()
            .any(|address| self.pool_with(*address) != Some(name))
        {
            return None;
        }
        let state = self.pools.get(name)?;
        let usable = |address: &IpAddr| state.space(IpFamily::of(*address)).slot(*address).is_some();
        addresses.iter().all(usable).then_some(state)
    }

    fn pool_with(&self, address: IpAddr) -> Option<&str> {
        let (_, (last, name)) = self.ranges.range(..=address).next_back()?;
        (address <= *last).then_some(name.as_str())
    }

    /// True when some pool can hand out all `addresses`.
    pub fn contains(&self, addresses: &[IpAddr]) -> bool {
        self.pool_containing(addresses).is_some()
    }

    /// Forgets the Service: it is gone or is not a load balancer any more. Returns what it held. O(log n).
    pub fn release(&mut self, service: &ServiceKey) -> Option<Allocation> {
        self.waiting.remove(service);
        self.unregister(service)
    }

    /// Takes from the Service what it holds; if it waits, it keeps its turn. O(log n).
    pub fn take_back(&mut self, service: &ServiceKey) {
        self.unregister(service);
    }

    /// The Service has all it can get, or nothing but an edit of it can help: it waits no more.
    pub fn stop_waiting(&mut self, service: &ServiceKey) {
        self.waiting.remove(service);
    }

    fn register(&mut self, service: &ServiceKey, allocation: Allocation) {
        let Some(state) = self.pools.get_mut(&allocation.pool) else {
            return;
        };
        state.services.insert(service.clone());
        for address in &allocation.addresses {
            let users = self.addresses.entry(*address).or_insert_with(|| {
                let family = IpFamily::of(*address);
                if let Some(slot) = state.space(family).slot(*address) {
                    state.space_mut(family).take(slot);
                    if !allocation.sharing.key.is_empty() {
                        state
                            .shared
                            .entry((allocation.sharing.clone(), family))
                            .or_default()
                            .insert(slot);
                    }
                }
                Users {
                    sharing: allocation.sharing.clone(),
                    services: BTreeSet::new(),
                    ports: BTreeMap::new(),
                }
            });
            users.services.insert(service.clone());
            users.ports.extend(
                allocation
                    .ports
                    .iter()
                    .map(|port| (port.clone(), service.clone())),
            );
            self.waiting.address_changed(*address);
        }
        self.recount.insert(allocation.pool.clone());
        self.waiting.sharing_changed(&allocation.sharing);
        self.allocations.insert(service.clone(), allocation);
    }

    fn unregister(&mut self, service: &ServiceKey) -> Option<Allocation> {
        let allocation = self.allocations.remove(service)?;
        for address in &allocation.addresses {
            let Some(users) = self.addresses.get_mut(address) else {
                continue;
            };
            users.services.remove(service);
            users.ports.retain(|_, user| user != service);
            if users.services.is_empty() {
                self.addresses.remove(address);
                self.free(&allocation, *address);
            }
            self.waiting.address_changed(*address);
        }
        if let Some(state) = self.pools.get_mut(&allocation.pool) {
            state.services.remove(service);
        }
        self.recount.insert(allocation.pool.clone());
        self.waiting.sharing_changed(&allocation.sharing);
        Some(allocation)
    }

    fn free(&mut self, allocation: &Allocation, address: IpAddr) {
        let Some(state) = self.pools.get_mut(&allocation.pool) else {
            return;
        };
        let family = IpFamily::of(address);
        let Some(slot) = state.space(family).slot(address) else {
            return;
        };
        state.space_mut(family).free(slot);
        let key = (allocation.sharing.clone(), family);
        if let Some(slots) = state.shared.get_mut(&key) {
            slots.remove(&slot);
            if slots.is_empty() {
                state.shared.remove(&key);
            }
        }
        self.waiting.slot_freed(&allocation.pool, family);
    }

    /// Notes that a Service could not get all it needs, so that it is woken when that may have changed.
    /// O(pools it may use).
    pub fn wait(&mut self, request: &ServiceRequest, families: Families) {
        let addresses = request.addresses.clone().unwrap_or_default();
        let need = Need::of(families, request.policy);
        let pools: Vec<String> = match &request.pool {
            _ if !addresses.is_empty() => Vec::new(),
            Some(pool) => self.named(pool, request),
            None => self
                .automatic(request)
                .map(|state| state.pool.name.clone())
                .collect(),
        };
        self.waiting
            .insert(&request.key, need, pools, addresses, &request.sharing);
    }

    /// The pool a Service asks for, when it could get an address there.
    fn named(&self, pool: &str, request: &ServiceRequest) -> Vec<String> {
        let admits = |state: &&PoolState| state.pool.admits(&request.key.namespace, &request.labels);
        self.pools
            .get(pool)
            .filter(admits)
            .map(|state| state.pool.name.clone())
            .into_iter()
            .collect()
    }

    /// Notes that a Service can be helped by nothing but another set of pools.
    pub fn wait_for_pools(&mut self, request: &ServiceRequest) {
        self.waiting.insert(
            &request.key,
            Need::Either,
            Vec::new(),
            Vec::new(),
            &Sharing::default(),
        );
    }

    /// Every Service that waits for something, longest waiting first.
    pub fn waiting(&mut self) -> Vec<ServiceKey> {
        self.waiting.all()
    }

    /// Notes that a Service that holds one address would like one of the other family from the same pool.
    pub fn wait_for_second(&mut self, request: &ServiceRequest, missing: IpFamily) {
        let Some(pool) = self.allocations.get(&request.key).map(|held| held.pool.clone()) else {
            return;
        };
        let need = Need::one(missing);
        self.waiting
            .insert(&request.key, need, vec![pool], Vec::new(), &request.sharing);
    }

    /// The next Service that should be tried again, since something it waits for was released. Call until `None`
    /// after every change, converging each in between. O(log n); Services that cannot be helped are not woken.
    pub fn next_woken(&mut self) -> Option<ServiceKey> {
        let pools = &self.pools;
        self.waiting.next_woken(|pool, need| {
            pools
                .get(pool)
                .is_some_and(|state| need.met(state.has_free(IpFamily::V4), state.has_free(IpFamily::V6)))
        })
    }

    /// Counters of a pool; `None` when there is no such pool. O(1).
    pub fn counters(&self, pool: &str) -> Option<PoolCounters> {
        let state = self.pools.get(pool)?;
        Some(PoolCounters {
            assigned_v4: state.v4.used(),
            assigned_v6: state.v6.used(),
            capacity_v4: state.v4.capacity(),
            capacity_v6: state.v6.capacity(),
            services: i64::try_from(state.services.len()).unwrap_or(i64::MAX),
        })
    }

    /// Names of the pools whose counters may have changed since the last call, removed pools included.
    pub fn take_recount(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.recount)
    }
}

impl PoolCounters {
    /// IPv4 addresses nobody uses.
    pub fn available_v4(&self) -> i64 {
        self.capacity_v4.saturating_sub(self.assigned_v4)
    }

    /// IPv6 addresses nobody uses.
    pub fn available_v6(&self) -> i64 {
        self.capacity_v6.saturating_sub(self.assigned_v6)
    }
}
