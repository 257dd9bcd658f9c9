//! The incremental planner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use metallb_crds::frrk8s::BGPConfig;

use super::key::{NodeName, ServiceKey};
use super::node::{EXCLUDE_LABEL, HOSTNAME_LABEL, NodePlan, NodeView};
use super::offer::{Offer, ServiceView, Withheld};
use super::policy::{AdId, Policy};
use super::render::render;
use super::route::RouteTable;
use super::session::Sessions;
use crate::config::Problem;
use crate::endpoints::UsableEndpoints;

mod changes;
mod report;
mod service;
#[cfg(test)]
mod tests;

pub use changes::Changes;
pub use report::Verdict;
use service::{Service, cluster_routes, local_nodes, local_routes};

/// Holds nodes, Services and configuration by index and answers which FRRConfiguration each node shall have.
///
/// Nodes selected by the same advertisements form a *route group* and share one table of the routes of all Services
/// with `externalTrafficPolicy: Cluster`; nodes selected by the same peers share their sessions; nodes that share both
/// share the finished result. Only the routes of Services with `Local` policy are kept per node. The result for a node
/// is made when it is asked for, and kept until something it depends on changes.
///
/// The result depends only on the present inputs, not on the order in which they came, with two intended exceptions:
/// a Service keeps its routes when its pool is removed while it still has the address, and a node that once had a
/// session keeps an (empty) plan.
#[derive(Debug, Default)]
pub struct Planner {
    ignore_exclude_label: bool,
    policy: Policy,
    nodes: BTreeMap<NodeName, Node>,
    route_groups: BTreeMap<Arc<[AdId]>, RouteGroup>,
    session_groups: BTreeMap<Arc<[usize]>, SessionGroup>,
    services: HashMap<ServiceKey, Service>,
    /// Services whose `Local` policy lets the node announce, by node, whether or not the Node is known yet.
    local: HashMap<NodeName, BTreeSet<ServiceKey>>,
}

#[derive(Debug)]
struct Node {
    view: NodeView,
    ads: Arc<[AdId]>,
    peers: Arc<[usize]>,
    /// Routes of Services with `Local` policy.
    local: RouteTable,
    /// The finished result when `local` is not empty, until something changes.
    own: Option<Arc<BGPConfig>>,
    /// The node has had a session or a BFD profile.
    used: bool,
    last: Option<NodePlan>,
}

#[derive(Debug, Default)]
struct RouteGroup {
    members: BTreeSet<NodeName>,
    table: RouteTable,
    /// Finished results by session group.
    finished: HashMap<Arc<[usize]>, Arc<BGPConfig>>,
}

#[derive(Debug)]
struct SessionGroup {
    members: usize,
    sessions: Sessions,
}

impl Planner {
    /// A planner without any input. With `ignore_exclude_label` nodes announce even if they carry
    /// [`EXCLUDE_LABEL`].
    pub fn new(ignore_exclude_label: bool) -> Self {
        Self {
            ignore_exclude_label,
            ..Self::default()
        }
    }

    /// Sets or changes a Node. O(p + a) for p peers and a advertisements; O(s) for s Services more when the node is
    /// the first of its route group. Nothing is returned for a node that looks as before.
    pub fn set_node(&mut self, name: &NodeName, view: NodeView) -> Changes {
        let before = self.nodes.remove(name);
        if let Some(node) = before {
            if node.view == view {
                self.nodes.insert(Arc::clone(name), node);
                return Changes::default();
            }
            self.set_known_node(name, node, view)
        } else {
            let node = self.place(name, view);
            self.nodes.insert(Arc::clone(name), node);
            Changes::of_node(name)
        }
    }

    fn set_known_node(&mut self, name: &NodeName, mut node: Node, view: NodeView) -> Changes {
        let ads = self.ads_on(&view);
        let peers: Arc<[usize]> = self.policy.peers_on(&view.labels).into();
        let same_place = *ads == *node.ads && peers == node.peers;
        if same_place && hostname(name, &view) == hostname(name, &node.view) {
            node.view = view;
            self.nodes.insert(Arc::clone(name), node);
            return Changes::default();
        }
        if same_place {
            node.view = view;
            self.nodes.insert(Arc::clone(name), node);
            return Changes::of_node(name);
        }
        let placed = self.place(name, view);
        self.leave_groups(name, &node, Some(&placed));
        let node = Node {
            used: node.used || placed.used,
            last: node.last,
            ..placed
        };
        self.nodes.insert(Arc::clone(name), node);
        Changes::of_node(name)
    }

    /// Removes a Node. O(log n).
    pub fn remove_node(&mut self, name: &NodeName) -> Changes {
        match self.nodes.remove(name) {
            Some(node) => {
                self.leave_groups(name, &node, None);
                Changes::of_node(name)
            }
            None => Changes::default(),
        }
    }

    /// Sets, changes or (with `None`) removes a Service of type LoadBalancer. O(g r log n) for g route groups and r
    /// routes of the Service, plus the nodes that change.
    pub fn set_service(&mut self, key: &ServiceKey, view: Option<ServiceView>) -> Changes {
        let service = self.services.entry(key.clone()).or_default();
        if service.view == view {
            return self.forget_if_empty(key);
        }
        let addresses = |view: &Option<ServiceView>| view.as_ref().map(|view| view.addresses.clone());
        if addresses(&service.view) != addresses(&view) {
            service.kept = None;
        }
        service.view = view;
        self.offer_again(key)
    }

    /// Sets where a Service can be served. As costly as [`Planner::set_service`].
    pub fn set_endpoints(&mut self, key: &ServiceKey, endpoints: UsableEndpoints) -> Changes {
        let service = self.services.entry(key.clone()).or_default();
        if service.endpoints == endpoints {
            return self.forget_if_empty(key);
        }
        service.endpoints = endpoints;
        self.offer_again(key)
    }

    /// Replaces the configuration and returns exactly the nodes whose plan differs from what [`Planner::plan`] last
    /// returned. O(n (p + a)) for n nodes, and O(g s) more for g route groups and s Services when pools or
    /// advertisements changed; each distinct result is made once.
    pub fn set_config(&mut self, policy: Policy) -> Changes {
        if policy == self.policy {
            return Changes::default();
        }
        let same_routes = policy.same_routes(&self.policy);
        self.policy = policy;
        if !same_routes {
            self.renew_all_services();
        }
        self.place_all_nodes();
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        let changed = names.iter().filter(|name| {
            let now = self.current(name);
            self.nodes.get(*name).is_some_and(|node| node.last != now)
        });
        Changes {
            nodes: changed.cloned().collect(),
            service_nodes: names.iter().cloned().collect(),
            services: self.services.keys().cloned().collect(),
        }
    }

    /// What the node's FRRConfiguration shall be; `None` when it shall have none. O(1) for a result that is already
    /// there, else the size of the result.
    pub fn plan(&mut self, name: &NodeName) -> Option<NodePlan> {
        let plan = self.current(name);
        if let Some(node) = self.nodes.get_mut(name) {
            node.last.clone_from(&plan);
        }
        plan
    }

    /// Advertisements that cannot be used, and peers that cannot run on some of their nodes, without repetition.
    /// O(g) for g session groups.
    pub fn problems(&self) -> Vec<Problem> {
        let groups = self
            .session_groups
            .values()
            .flat_map(|group| &group.sessions.problems);
        let mut problems: Vec<_> = self.policy.problems().iter().chain(groups).cloned().collect();
        problems.sort_by(|a, b| (a.kind, &a.name, &a.message).cmp(&(b.kind, &b.name, &b.message)));
        problems.dedup();
        problems
    }

    /// The names of all Nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.keys()
    }

    fn ads_on(&self, view: &NodeView) -> Vec<AdId> {
        match self.closed(view) {
            Some(_) => Vec::new(),
            None => self.policy.ads_on(&view.labels),
        }
    }

    /// Why the node announces nothing at all.
    fn closed(&self, view: &NodeView) -> Option<Withheld> {
        if view.network_unavailable {
            return Some(Withheld::NetworkUnavailable);
        }
        let excluded = !self.ignore_exclude_label && view.labels.contains_key(EXCLUDE_LABEL);
        excluded.then_some(Withheld::ExcludedNode)
    }

    /// Puts a node into its groups, making those that are not there yet, and collects its local routes.
    fn place(&mut self, name: &NodeName, view: NodeView) -> Node {
        let ads = self.ads_on(&view);
        let ads = self.join_route_group(name, &ads);
        let peers = self.join_session_group(&view);
        let mut local = RouteTable::default();
        for key in self.local.get(name).into_iter().flatten() {
            let routes = self
                .services
                .get(key)
                .map(|service| service.local_routes(&self.policy, name, &ads));
            for route in routes.iter().flatten() {
                local.add(key, route);
            }
        }
        let sessions = self.session_groups.get(&peers).map(|group| &group.sessions);
        let used = sessions.is_some_and(|sessions| !sessions.routers.is_empty())
            || !self.policy.bfd_profiles().is_empty();
        Node {
            view,
            ads,
            peers,
            local,
            own: None,
            used,
            last: None,
        }
    }

    fn join_route_group(&mut self, name: &NodeName, ads: &[AdId]) -> Arc<[AdId]> {
        let key = match self.route_groups.get_key_value(ads) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let mut group = RouteGroup::default();
                for (key, service) in &self.services {
                    for route in service.cluster_routes(&self.policy, ads) {
                        group.table.add(key, &route);
                    }
                }
                let key: Arc<[AdId]> = ads.into();
                self.route_groups.insert(Arc::clone(&key), group);
                key
            }
        };
        if let Some(group) = self.route_groups.get_mut(&key) {
            group.members.insert(Arc::clone(name));
        }
        key
    }

    fn join_session_group(&mut self, view: &NodeView) -> Arc<[usize]> {
        let peers: Arc<[usize]> = self.policy.peers_on(&view.labels).into();
        let policy = &self.policy;
        let group = self
            .session_groups
            .entry(Arc::clone(&peers))
            .or_insert_with(|| SessionGroup {
                members: 0,
                sessions: Sessions::new(policy, &peers),
            });
        group.members += 1;
        peers
    }

    /// Takes a node out of its groups, unless `placed`, its new place, is in the same route group.
    fn leave_groups(&mut self, name: &NodeName, node: &Node, placed: Option<&Node>) {
        if let Some(group) = self.route_groups.get_mut(&node.ads)
            && placed.is_none_or(|placed| placed.ads != node.ads)
        {
            group.members.remove(name);
            if group.members.is_empty() {
                self.route_groups.remove(&node.ads);
            }
        }
        if let Some(group) = self.session_groups.get_mut(&node.peers) {
            group.members -= 1;
            if group.members == 0 {
                self.session_groups.remove(&node.peers);
                for group in self.route_groups.values_mut() {
                    group.finished.remove(&node.peers);
                }
            }
        }
    }

    /// Works out all offers anew, and which nodes the local ones are for.
    fn renew_all_services(&mut self) {
        self.local.clear();
        for (key, service) in &mut self.services {
            // The tables are built anew afterwards, so the old offer is of no use.
            let _ = service.renew(&self.policy);
            for name in local_nodes(service.offer.as_ref().ok()) {
                self.local
                    .entry(Arc::clone(name))
                    .or_default()
                    .insert(key.clone());
            }
        }
    }

    /// Builds all groups anew, keeping what each node was last given.
    fn place_all_nodes(&mut self) {
        self.route_groups.clear();
        self.session_groups.clear();
        for (name, node) in std::mem::take(&mut self.nodes) {
            let placed = self.place(&name, node.view);
            let node = Node {
                used: node.used || placed.used,
                last: node.last,
                ..placed
            };
            self.nodes.insert(name, node);
        }
    }

    fn forget_if_empty(&mut self, key: &ServiceKey) -> Changes {
        if self.services.get(key).is_some_and(Service::is_empty) {
            self.services.remove(key);
        }
        Changes::default()
    }

    /// Works out what a Service offers now and brings tables and indices in line.
    fn offer_again(&mut self, key: &ServiceKey) -> Changes {
        let Some(mut service) = self.services.remove(key) else {
            return Changes::default();
        };
        let before = service.renew(&self.policy);
        let mut changes = Changes::default();
        if before != service.offer {
            changes.services.insert(key.clone());
            let (before, after) = (before.as_ref().ok(), service.offer.as_ref().ok());
            self.change_cluster_routes(key, before, after, &mut changes);
            self.change_local_routes(key, before, after, &mut changes);
        }
        if !service.is_empty() {
            self.services.insert(key.clone(), service);
        }
        changes
    }

    fn change_cluster_routes(
        &mut self,
        key: &ServiceKey,
        before: Option<&Offer>,
        after: Option<&Offer>,
        changes: &mut Changes,
    ) {
        for (ads, group) in &mut self.route_groups {
            let before = cluster_routes(&self.policy, before, ads);
            let after = cluster_routes(&self.policy, after, ads);
            let change = group.table.replace(key, &before, &after);
            if !change.changed {
                continue;
            }
            group.finished.clear();
            changes.services.extend(change.sharers);
            for member in &group.members {
                changes.nodes.insert(Arc::clone(member));
                let Some(node) = self.nodes.get_mut(member).filter(|node| !node.local.is_empty()) else {
                    continue;
                };
                node.own = None;
                let sharers = change
                    .prefixes
                    .iter()
                    .flat_map(|prefix| node.local.services(prefix));
                changes.services.extend(sharers.cloned());
            }
        }
    }

    fn change_local_routes(
        &mut self,
        key: &ServiceKey,
        before: Option<&Offer>,
        after: Option<&Offer>,
        changes: &mut Changes,
    ) {
        let (old_nodes, new_nodes) = (local_nodes(before), local_nodes(after));
        for name in old_nodes.difference(&new_nodes) {
            if let Some(services) = self.local.get_mut(*name) {
                services.remove(key);
                if services.is_empty() {
                    self.local.remove(*name);
                }
            }
        }
        for name in new_nodes.difference(&old_nodes) {
            self.local
                .entry(Arc::clone(name))
                .or_default()
                .insert(key.clone());
        }
        for name in old_nodes.union(&new_nodes) {
            let Some(node) = self.nodes.get_mut(*name) else {
                continue;
            };
            let before = local_routes(&self.policy, before, name, &node.ads);
            let after = local_routes(&self.policy, after, name, &node.ads);
            let change = node.local.replace(key, &before, &after);
            if !change.changed {
                continue;
            }
            node.own = None;
            changes.nodes.insert(Arc::clone(name));
            changes.services.extend(change.sharers);
            if let Some(group) = self.route_groups.get(&node.ads) {
                let sharers = change
                    .prefixes
                    .iter()
                    .flat_map(|prefix| group.table.services(prefix));
                changes.services.extend(sharers.cloned());
            }
        }
    }

    fn current(&mut self, name: &NodeName) -> Option<NodePlan> {
        let node = self.nodes.get_mut(name).filter(|node| node.used)?;
        let group = self.route_groups.get_mut(&node.ads)?;
        let sessions = &self.session_groups.get(&node.peers)?.sessions;
        let last = node.last.as_ref().map(|plan| &plan.bgp);
        let policy = &self.policy;
        let make = |local: &RouteTable| {
            let made = render(policy, sessions, [&group.table, local]);
            // An equal result is the same result, also for those who compare pointers.
            last.filter(|last| ***last == made)
                .map_or_else(|| Arc::new(made), Arc::clone)
        };
        let bgp = if node.local.is_empty() {
            let finished = group
                .finished
                .get(&node.peers)
                .map_or_else(|| make(&node.local), Arc::clone);
            Arc::clone(group.finished.entry(Arc::clone(&node.peers)).or_insert(finished))
        } else {
            let own = node.own.take().unwrap_or_else(|| make(&node.local));
            Arc::clone(node.own.insert(own))
        };
        Some(NodePlan {
            node: Arc::clone(name),
            hostname: hostname(name, &node.view).into(),
            bgp,
        })
    }
}

fn hostname<'a>(name: &'a str, view: &'a NodeView) -> &'a str {
    view.labels.get(HOSTNAME_LABEL).map_or(name, String::as_str)
}
