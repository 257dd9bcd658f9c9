//! The loop that turns changes of inputs into changes of plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use metallb_domain::bgp::{Changes, NodeName, NodeView, Planner, Policy, SecretHandling, ServiceKey};
use metallb_domain::config::{Config, Problem};
use metallb_domain::endpoints::UsableEndpoints;

use super::inputs::{Inputs, Key};
use super::metrics::Metrics;
use super::publish::Publisher;
use super::published::{SharedBgp, Wanted};
use super::report::Reporter;

/// The planner and what it works with.
pub(super) struct Engine {
    pub(super) inputs: Inputs,
    pub(super) planner: Planner,
    /// The configuration in force, of which bad objects keep their last good version.
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
    pub(super) secrets: SecretHandling,
    /// Where FRRConfigurations go.
    pub(super) namespace: String,
    pub(super) publisher: Publisher,
    pub(super) reporter: Reporter,
    pub(super) metrics: Metrics,
}

impl Engine {
    /// Plans everything once, when all inputs are known; nothing is published before.
    pub(super) async fn start(&mut self) {
        self.inputs.complete().await;
        let keys = self.inputs.changed().await;
        let changes = self.plan(keys);
        self.publish(&changes.nodes).await;
        self.reporter.begin(&self.planner, &self.inputs, &changes);
        self.report_configuration();
    }

    /// Follows the changes for ever. The first one is acted on at once; those that come meanwhile are taken together.
    pub(super) async fn run(mut self) {
        loop {
            let keys = self.inputs.changed().await;
            let changes = self.plan(keys);
            self.publish(&changes.nodes).await;
            self.reporter.report(&self.planner, &self.inputs, &changes);
            self.report_configuration();
        }
    }

    /// Brings the planner up to date. The configuration comes last: it looks at everything anyway.
    fn plan(&mut self, keys: Vec<Key>) -> Changes {
        let started = Instant::now();
        let count = keys.len();
        let mut changes = Changes::default();
        let mut reconfigure = false;
        for key in keys {
            match key {
                Key::Service(key) => changes.merge(self.plan_service(&key)),
                Key::Node(name) => changes.merge(self.plan_node(&name)),
                Key::Config => reconfigure = true,
            }
        }
        if reconfigure {
            changes.merge(self.configure());
        }
        self.metrics.planned(count, started.elapsed());
        changes
    }

    fn plan_service(&mut self, key: &ServiceKey) -> Changes {
        let (view, endpoints) = match self.inputs.service(key) {
            Some((view, endpoints)) => (Some(view), endpoints),
            None => (None, UsableEndpoints::default()),
        };
        let mut changes = self.planner.set_endpoints(key, endpoints);
        changes.merge(self.planner.set_service(key, view));
        changes
    }

    fn plan_node(&mut self, name: &NodeName) -> Changes {
        let mut changes = match self.inputs.node(name) {
            Some(node) => self.planner.set_node(name, NodeView::of(&node)),
            None => self.planner.remove_node(name),
        };
        // The plan may be the same, and its owner another Node of that name.
        changes.nodes.insert(Arc::clone(name));
        changes
    }

    fn configure(&mut self) -> Changes {
        let (config, problems) = Config::build(&self.inputs.objects(), Some(&self.config));
        let changes = self.planner.set_config(Policy::new(&config, self.secrets));
        (self.config, self.problems) = (config, problems);
        changes
    }

    /// Hands the plans of `nodes` to the publisher. What nodes share is serialised once. O(nodes + sizes of distinct
    /// results).
    async fn publish(&mut self, nodes: &BTreeSet<NodeName>) {
        let mut shared = BTreeMap::<usize, Arc<SharedBgp>>::new();
        for name in nodes {
            let wanted = self.planner.plan(name).and_then(|plan| {
                let node = self.inputs.node(name)?;
                // As long as the planner holds the result, its place in memory tells it from others.
                let place = Arc::as_ptr(&plan.bgp).addr();
                let bgp = match shared.get(&place) {
                    Some(bgp) => Arc::clone(bgp),
                    None => Arc::new(SharedBgp::new(&plan.bgp).ok()?),
                };
                shared.insert(place, Arc::clone(&bgp));
                Some(Wanted::new(&plan, bgp, &self.namespace, &node))
            });
            self.publisher.want(&format!("metallb-{name}"), wanted);
            // A large result takes a while; other tasks want to run meanwhile.
            tokio::task::yield_now().await;
        }
    }

    /// Names the objects that are not in force, and what the API server refuses.
    fn report_configuration(&self) {
        let problems = self.problems.iter().cloned().chain(self.planner.problems());
        let problems: Vec<_> = problems.map(|problem| problem.to_string()).collect();
        self.metrics.configured(!problems.is_empty());
        let refused = self.publisher.refused();
        self.reporter.configuration(problems, &refused);
    }
}
