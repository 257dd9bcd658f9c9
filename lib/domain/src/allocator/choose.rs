//! Which addresses a Service gets when it has none.

use std::net::IpAddr;

use super::{Allocation, AllocationError, Allocator, PoolState};
use crate::ip_range::IpFamily;
use crate::service::{Families, FamilyPolicy, ServiceRequest};

impl Allocator {
    /// Allocates what the Service asks for: the requested addresses, else addresses of the requested pool, else the
    /// best automatic choice. A request is never satisfied by something else.
    ///
    /// The automatic choice tries pinned pools (those with `serviceAllocation`) by priority and then name, and only
    /// when they yield nothing the generic ones by name. In a pool the first address that is free, or that the
    /// Service may share, is taken; ranges in the order of the pool, addresses ascending. Two addresses come from one
    /// pool, IPv4 first.
    ///
    /// Cost: O(pools) × O(log ranges); with a sharing key also the number of addresses in use under that key.
    ///
    /// # Errors
    /// Why not; the Service holds nothing then that it did not hold before.
    pub fn allocate(
        &mut self,
        request: &ServiceRequest,
        requested: &[IpAddr],
        families: Families,
    ) -> Result<&Allocation, AllocationError> {
        let addresses = if !requested.is_empty() {
            self.check_request(request, requested, families)?;
            requested.to_vec()
        } else if let Some(pool) = &request.pool {
            self.choose_from(pool, request, families)?
        } else {
            self.choose(request, families).ok_or(AllocationError::Exhausted)?
        };
        self.assign(request, &addresses)
    }

    fn check_request(
        &self,
        request: &ServiceRequest,
        requested: &[IpAddr],
        families: Families,
    ) -> Result<(), AllocationError> {
        if Families::of(requested) != Some(families) {
            return Err(AllocationError::WrongFamily {
                addresses: requested.to_vec(),
                families,
            });
        }
        let actual = self.check(request, requested)?;
        match &request.pool {
            Some(wanted) if *wanted != actual => Err(AllocationError::WrongPool {
                wanted: wanted.clone(),
                actual,
            }),
            _ => Ok(()),
        }
    }

    /// The second address for a Service that holds one: the first of `missing` in the same pool.
    ///
    /// # Errors
    /// The pool is full, or has no address of the family.
    pub fn add_family(
        &mut self,
        request: &ServiceRequest,
        held: IpAddr,
        missing: IpFamily,
    ) -> Result<&Allocation, AllocationError> {
        let unknown = || AllocationError::NotInPool(vec![held]);
        let state = self.pool_containing(&[held]).ok_or_else(unknown)?;
        let second = self
            .offer(state, missing, request)
            .ok_or_else(|| lacking(state, missing))?;
        self.assign(request, &[held, second])
    }

    fn choose_from(
        &self,
        pool: &str,
        request: &ServiceRequest,
        families: Families,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let state = self
            .pools
            .get(pool)
            .ok_or_else(|| AllocationError::UnknownPool(pool.to_owned()))?;
        if !state.pool.admits(&request.key.namespace, &request.labels) {
            return Err(AllocationError::Incompatible(pool.to_owned()));
        }
        let offer = |family| {
            self.offer(state, family, request)
                .ok_or_else(|| lacking(state, family))
        };
        match (families, request.policy) {
            (Families::Single(family), _) => Ok(vec![offer(family)?]),
            (Families::Dual, FamilyPolicy::PreferDualStack) => {
                let offered: Vec<IpAddr> = [offer(IpFamily::V4), offer(IpFamily::V6)]
                    .into_iter()
                    .flatten()
                    .collect();
                if offered.is_empty() {
                    Err(AllocationError::PoolExhausted(pool.to_owned()))
                } else {
                    Ok(offered)
                }
            }
            (Families::Dual, _) => Ok(vec![offer(IpFamily::V4)?, offer(IpFamily::V6)?]),
        }
    }

    fn choose(&self, request: &ServiceRequest, families: Families) -> Option<Vec<IpAddr>> {
        self.choose_among(&self.pinned, request, families)
            .or_else(|| self.choose_among(&self.generic, request, families))
    }

    fn choose_among(
        &self,
        names: &[String],
        request: &ServiceRequest,
        families: Families,
    ) -> Option<Vec<IpAddr>> {
        let mut pools = self.admitting(names, request);
        let one = |state: &PoolState, family| self.offer(state, family, request);
        match (families, request.policy) {
            (Families::Single(family), _) => pools
                .find_map(|state| one(state, family))
                .map(|address| vec![address]),
            (Families::Dual, policy) => {
                let both =
                    pools.find_map(|state| Some(vec![one(state, IpFamily::V4)?, one(state, IpFamily::V6)?]));
                if policy != FamilyPolicy::PreferDualStack {
                    return both;
                }
                both.or_else(|| {
                    let preference = [request.primary, request.primary.other()];
                    preference.into_iter().find_map(|family| {
                        self.admitting(names, request)
                            .find_map(|state| one(state, family))
                            .map(|address| vec![address])
                    })
                })
            }
        }
    }

    /// Pools an automatic choice may use, in the order in which they are tried.
    pub(super) fn automatic<'a>(
        &'a self,
        request: &'a ServiceRequest,
    ) -> impl Iterator<Item = &'a PoolState> {
        self.admitting(&self.pinned, request)
            .chain(self.admitting(&self.generic, request))
    }

    fn admitting<'a>(
        &'a self,
        names: &'a [String],
        request: &'a ServiceRequest,
    ) -> impl Iterator<Item = &'a PoolState> {
        names
            .iter()
            .filter_map(|name| self.pools.get(name))
            .filter(|state| {
                state.pool.auto_assign && state.pool.admits(&request.key.namespace, &request.labels)
            })
    }

    /// The first address of a family that the Service can have in a pool: the first free one, or one in use before it
    /// that it may share.
    fn offer(&self, state: &PoolState, family: IpFamily, request: &ServiceRequest) -> Option<IpAddr> {
        let space = state.space(family);
        let free = space.first_free();
        let shared = state
            .shared
            .get(&(request.sharing.clone(), family))
            .filter(|_| !request.sharing.key.is_empty());
        let before = |slot: &&u128| free.is_none_or(|free| **slot < free);
        let joined = shared.into_iter().flatten().take_while(before).find_map(|slot| {
            let address = space.at(*slot)?;
            self.check_sharing(request, address).is_ok().then_some(address)
        });
        joined.or_else(|| space.at(free?))
    }
}

fn lacking(state: &PoolState, family: IpFamily) -> AllocationError {
    let pool = state.pool.name.clone();
    if state.pool.has_family(family) {
        AllocationError::PoolExhausted(pool)
    } else {
        AllocationError::NoFamily { pool, family }
    }
}
