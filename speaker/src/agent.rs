//! The loop that turns changes into announcements.
//!
//! ```text
//!  watches ─┐
//!  members ─┼─► Dirty<Input> ──► Agent ──► View::decide (pure) ──► what changed ──┬─► Announcer (ARP, NDP)
//!  netlink ─┘                      │ owns View and Ledger                         ├─► StatusBoard ──► API
//!                                  └ only Services a change can touch             ├─► Events ───────► API
//!                                                                                 └─► metrics
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use kube::Resource;
use metallb_domain::config::Config;
use metallb_domain::endpoints::UsableEndpoints;
use metallb_domain::service::ServiceKey;
use metallb_kit::dirty::Dirty;
use metallb_kit::events::EventType;
use metallb_kit::http::Gate;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::decision::{Announcement, Decision, Reason};
use crate::inputs::{Input, Inputs};
use crate::layer2::Announcer;
use crate::members::Members;
use crate::metrics::{Metrics, PROTOCOL};
use crate::notices::{Notice, Notices};
use crate::status::StatusBoard;
use crate::view::{NodeFacts, Settings, View};

/// Where the agent's decisions go.
#[derive(Debug)]
pub struct Outputs {
    /// Answers on the wire.
    pub announcer: Announcer,
    /// Status objects.
    pub statuses: StatusBoard,
    /// Events on Services.
    pub notices: Notices,
    /// Gauges and counters.
    pub metrics: Metrics,
    /// Opened when the first decisions are in effect.
    pub ready: Gate,
}

/// Decides which Services this node announces, and sees to it.
#[derive(Debug)]
pub struct Agent {
    node: String,
    view: View,
    ledger: crate::ledger::Ledger,
    inputs: Inputs,
    members: Members,
    interfaces: watch::Receiver<BTreeSet<String>>,
    outputs: Outputs,
    /// Number of errors in the configuration.
    problems: usize,
    /// Services that are still announced though the configuration has no pool for their addresses any more.
    held: HashSet<ServiceKey>,
}

impl Agent {
    /// Has decided nothing yet.
    pub fn new(
        settings: Settings,
        inputs: Inputs,
        members: Members,
        interfaces: watch::Receiver<BTreeSet<String>>,
        outputs: Outputs,
    ) -> Self {
        Self {
            node: settings.node.clone(),
            view: View::new(settings),
            ledger: crate::ledger::Ledger::default(),
            inputs,
            members,
            interfaces,
            outputs,
            problems: 0,
            held: HashSet::new(),
        }
    }

    /// Works on what is marked in `dirty` until shutdown. Decides nothing before everything was listed once: a speaker
    /// that does not know the others yet would take itself for the owner of all.
    ///
    /// # Errors
    /// When the watches have ended.
    pub async fn run(mut self, dirty: Dirty<Input>, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ready = self.inputs.ready() => ready?,
        }
        dirty.mark(Input::Configuration);
        dirty.mark(Input::Interfaces);
        loop {
            let inputs = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                inputs = dirty.take() => inputs,
                changed = self.interfaces.changed() => {
                    changed?;
                    vec![Input::Interfaces]
                }
            };
            for service in self.absorb(inputs) {
                self.settle(&service);
            }
            let stale = self.problems > 0 || !self.held.is_empty();
            self.outputs.metrics.config_stale.set(i64::from(stale));
            self.outputs.statuses.complete();
            self.outputs.ready.open();
        }
    }

    /// Brings the view up to date and returns the Services that may be touched by what changed.
    fn absorb(&mut self, inputs: Vec<Input>) -> HashSet<ServiceKey> {
        let mut services = HashSet::new();
        for input in inputs {
            self.outputs.metrics.updates.inc();
            match input {
                Input::Service(service) => {
                    services.insert(service);
                }
                Input::Configuration => services.extend(self.configure()),
                Input::Node(name) => {
                    let facts = self.inputs.node(&name).map(|node| NodeFacts::of(&node));
                    if self.view.set_node(&name, facts) {
                        services.extend(self.touched_by_node(&name));
                    }
                }
                Input::Member(name) => services.extend(self.touched_by_node(&name)),
                Input::Interfaces => {
                    let names = self.interfaces.borrow_and_update().clone();
                    if self.view.set_interfaces(names) {
                        services.extend(self.ledger.of_interfaces());
                    }
                }
            }
        }
        services
    }

    fn touched_by_node(&self, name: &str) -> Vec<ServiceKey> {
        if name == self.node {
            self.ledger.all()
        } else {
            self.ledger.touched_by_node(name)
        }
    }

    /// Checks the configuration as it is stored now and puts in force what is good of it.
    fn configure(&mut self) -> Vec<ServiceKey> {
        let (config, problems) = Config::build(&self.inputs.configuration(), Some(self.view.config()));
        for problem in &problems {
            tracing::warn!(kind = problem.kind, name = problem.name, error = %problem, "configuration error");
        }
        let metrics = &self.outputs.metrics;
        metrics.config_loaded.set(1);
        metrics.update_errors.inc_by(u64::from(!problems.is_empty()));
        self.problems = problems.len();
        self.outputs
            .statuses
            .configuration(problems.iter().map(ToString::to_string).collect());
        let affected = self.view.set_config(config);
        self.ledger.of_pools(&affected.pools)
    }

    /// Decides about one Service and carries out what is different from before.
    fn settle(&mut self, key: &ServiceKey) {
        let service = self.inputs.service(key);
        let decision = match &service {
            Some(service) => self.decide(key, service),
            None => Decision::withhold(Reason::ServiceDeleted),
        };
        let before = self.ledger.put(key, decision.clone());
        let before = before.as_ref();
        if self.is_held(&decision) {
            self.held.insert(key.clone());
        } else {
            self.held.remove(key);
        }
        self.log(key, before, &decision);
        self.announce(
            key,
            before.and_then(Decision::announcement),
            decision.announcement(),
        );
        if let Some(service) = service {
            self.notify(&service, before, &decision);
        }
    }

    fn decide(&self, key: &ServiceKey, service: &Service) -> Decision {
        let announced = self
            .ledger
            .get(key)
            .filter(|decision| decision.announcement().is_some());
        let held = announced.and_then(|decision| decision.pool.as_ref());
        // Endpoints are looked up only for Services that could be announced.
        let spec = service.spec.as_ref();
        let relevant = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        let endpoints = if relevant {
            self.inputs.endpoints(key)
        } else {
            UsableEndpoints::default()
        };
        self.view
            .decide(service, &endpoints, held, |node| self.members.alive(node))
    }

    /// Announced by a pool that is no longer in force as it was.
    fn is_held(&self, decision: &Decision) -> bool {
        let pool = decision.announcement().and(decision.pool.as_ref());
        pool.is_some_and(|pool| self.view.config().pools.get(&pool.name) != Some(pool))
    }

    /// Carries out the difference between two announcements of a Service; none costs nothing.
    fn announce(&self, key: &ServiceKey, before: Option<&Announcement>, now: Option<&Announcement>) {
        if before == now {
            return;
        }
        let Outputs {
            announcer,
            statuses,
            metrics,
            ..
        } = &self.outputs;
        let addresses = now
            .into_iter()
            .flat_map(|now| now.addresses.iter().map(|address| (*address, now.links.clone())));
        announcer.set(key, addresses.collect::<BTreeMap<_, _>>());
        for address in before.into_iter().flat_map(|before| &before.addresses) {
            metrics.withdraw(key, *address);
        }
        for address in now.into_iter().flat_map(|now| &now.addresses) {
            metrics.announce(key, *address);
        }
        statuses.service(key, now.map(|now| &now.links));
    }

    /// Events on the Service, for transitions only.
    fn notify(&self, service: &Arc<Service>, before: Option<&Decision>, now: &Decision) {
        let announced = |decision: &Decision| decision.announcement().map(|now| now.addresses.clone());
        let (node, object) = (&self.node, || service.object_ref(&()));
        if let Some(addresses) = announced(now)
            && before.and_then(announced) != Some(addresses)
        {
            self.outputs.notices.send(Notice {
                object: object(),
                type_: EventType::Normal,
                reason: "nodeAssigned",
                note: format!("node \"{node}\" announces this Service with protocol \"{PROTOCOL}\""),
            });
        }
        let missing = |decision: &Decision| decision.reason() == Some(Reason::NoInterface);
        if missing(now) && !before.is_some_and(missing) {
            let ingress = service
                .status
                .as_ref()
                .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
            let addresses = ingress
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.ip.as_deref());
            self.outputs.notices.send(Notice {
                object: object(),
                type_: EventType::Warning,
                reason: "announceFailed",
                note: format!(
                    "cannot announce {} from node \"{node}\" with protocol \"{PROTOCOL}\": it has none of the \
                     interfaces that the L2Advertisements name; correct spec.interfaces or spec.nodeSelectors",
                    addresses.collect::<Vec<_>>().join(", ")
                ),
            });
        }
    }

    fn log(&self, key: &ServiceKey, before: Option<&Decision>, now: &Decision) {
        let was = before.and_then(Decision::announcement);
        match (was, now.announcement(), now.reason()) {
            (was, Some(now), _) if was != Some(now) => {
                tracing::info!(op = "announce", service = %key, ips = ?now.addresses, "service announced");
            }
            (Some(_), None, Some(reason)) => {
                tracing::info!(op = "withdraw", service = %key, %reason, "service withdrawn");
            }
            (None, None, Some(reason)) if before.and_then(Decision::reason) != Some(reason) => match reason {
                Reason::SharedIpWithServiceSelector | Reason::IpNotAllowed | Reason::InvalidIp => {
                    tracing::warn!(service = %key, %reason, "service not announced");
                }
                _ => tracing::debug!(service = %key, %reason, "service not announced"),
            },
            _ => {}
        }
    }
}
