//! Services that could not get an address, and what would help each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use crate::ip_range::IpFamily;
use crate::service::{Families, FamilyPolicy, ServiceKey, Sharing};

/// Which free addresses of a pool would help a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Need {
    V4,
    V6,
    Both,
    Either,
}

impl Need {
    pub(super) fn of(families: Families, policy: FamilyPolicy) -> Self {
        match (families, policy) {
            (Families::Single(family), _) => Self::one(family),
            (Families::Dual, FamilyPolicy::PreferDualStack) => Self::Either,
            (Families::Dual, _) => Self::Both,
        }
    }

    pub(super) fn one(family: IpFamily) -> Self {
        match family {
            IpFamily::V4 => Self::V4,
            IpFamily::V6 => Self::V6,
        }
    }

    /// Whether a pool with (or without) free addresses of the families can help.
    pub(super) fn met(self, v4: bool, v6: bool) -> bool {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
            Self::Both => v4 && v6,
            Self::Either => v4 || v6,
        }
    }
}

/// Place in the order of waiting; lower is longer.
type Turn = u64;

/// The Services that wait, indexed by what would help them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    next: Turn,
    entries: HashMap<ServiceKey, Entry>,
    by_pool: HashMap<(String, Need), BTreeMap<Turn, ServiceKey>>,
    by_address: HashMap<IpAddr, BTreeMap<Turn, ServiceKey>>,
    by_sharing: HashMap<Sharing, BTreeMap<Turn, ServiceKey>>,
    /// Woken for sure, in order.
    woken: VecDeque<ServiceKey>,
    woken_known: BTreeSet<ServiceKey>,
    /// Queues of `by_pool` whose pool gained a free address, with the turn to try next.
    open: BTreeMap<(String, Need), Turn>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    turn: Turn,
    need: Need,
    pools: Vec<String>,
    addresses: Vec<IpAddr>,
    sharing: Sharing,
}

impl Waiting {
    /// Adds a Service, or changes what it waits for; it keeps its turn.
    pub(super) fn insert(
        &mut self,
        service: &ServiceKey,
        need: Need,
        pools: Vec<String>,
        addresses: Vec<IpAddr>,
        sharing: &Sharing,
    ) {
        let turn = self.entries.get(service).map_or(self.next, |entry| entry.turn);
        let entry = Entry {
            turn,
            need,
            pools,
            addresses,
            sharing: sharing.clone(),
        };
        if self.entries.get(service) == Some(&entry) {
            return;
        }
        self.forget(service);
        self.next = self.next.max(turn + 1);
        for pool in &entry.pools {
            self.by_pool
                .entry((pool.clone(), need))
                .or_default()
                .insert(turn, service.clone());
        }
        for address in &entry.addresses {
            self.by_address
                .entry(*address)
                .or_default()
                .insert(turn, service.clone());
        }
        if !entry.sharing.key.is_empty() {
            self.by_sharing
                .entry(entry.sharing.clone())
                .or_default()
                .insert(turn, service.clone());
        }
        self.entries.insert(service.clone(), entry);
    }

    /// The Service waits no more.
    pub(super) fn remove(&mut self, service: &ServiceKey) {
        self.forget(service);
        if self.woken_known.remove(service) {
            self.woken.retain(|woken| woken != service);
        }
    }

    fn forget(&mut self, service: &ServiceKey) {
        let Some(entry) = self.entries.remove(service) else {
            return;
        };
        for pool in entry.pools {
            take(&mut self.by_pool, &(pool, entry.need), entry.turn);
        }
        for address in entry.addresses {
            take(&mut self.by_address, &address, entry.turn);
        }
        take(&mut self.by_sharing, &entry.sharing, entry.turn);
    }

    /// All of them, longest waiting first. Nobody needs to be woken after that.
    pub(super) fn all(&mut self) -> Vec<ServiceKey> {
        self.woken.clear();
        self.woken_known.clear();
        self.open.clear();
        let mut all: Vec<(Turn, &ServiceKey)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.turn, key))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// An address of `pool` became free.
    pub(super) fn slot_freed(&mut self, pool: &str, family: IpFamily) {
        for need in [Need::one(family), Need::Both, Need::Either] {
            let queue = (pool.to_owned(), need);
            if self.by_pool.contains_key(&queue) {
                self.open.insert(queue, 0);
            }
        }
    }

    /// The users of an address changed.
    pub(super) fn address_changed(&mut self, address: IpAddr) {
        let waiters = self
            .by_address
            .get(&address)
            .into_iter()
            .flat_map(BTreeMap::values);
        wake(&mut self.woken, &mut self.woken_known, waiters);
    }

    /// A Service with this sharing key got, lost or changed an address.
    pub(super) fn sharing_changed(&mut self, sharing: &Sharing) {
        let waiters = self
            .by_sharing
            .get(sharing)
            .into_iter()
            .flat_map(BTreeMap::values);
        wake(&mut self.woken, &mut self.woken_known, waiters);
    }

    /// The next Service to try again. Those that wait for any address of a pool come one at a time and only as long
    /// as `helps` says that the pool has what they need.
    pub(super) fn next_woken(&mut self, helps: impl Fn(&str, Need) -> bool) -> Option<ServiceKey> {
        if let Some(service) = self.woken.pop_front() {
            self.woken_known.remove(&service);
            return Some(service);
        }
        while let Some((queue, turn)) = self.open.pop_first() {
            if !helps(&queue.0, queue.1) {
                continue;
            }
            let waiters = self.by_pool.get(&queue);
            if let Some((turn, service)) = waiters.and_then(|waiters| waiters.range(turn..).next()) {
                self.open.insert(queue, turn + 1);
                return Some(service.clone());
            }
        }
        None
    }
}

fn wake<'a>(
    woken: &mut VecDeque<ServiceKey>,
    known: &mut BTreeSet<ServiceKey>,
    waiters: impl Iterator<Item = &'a ServiceKey>,
) {
    for service in waiters {
        if known.insert(service.clone()) {
            woken.push_back(service.clone());
        }
    }
}

/// Removes a turn from the queue `key`, and the queue when it is empty then.
fn take<K: Eq + std::hash::Hash>(queues: &mut HashMap<K, BTreeMap<Turn, ServiceKey>>, key: &K, turn: Turn) {
    if let Some(queue) = queues.get_mut(key) {
        queue.remove(&turn);
        if queue.is_empty() {
            queues.remove(key);
        }
    }
}
