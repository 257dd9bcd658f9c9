//! Makes addresses reachable in the local network by answering ARP and NDP for them.
//!
//! ```text
//!  agent ──set──► Registry (shared) ◄──answers?── one task per interface and protocol ◄──► network
//!                    │ effects                                  ▲ starts, ends
//!                    ▼                                          │
//!                 Dirty ──────────────► Layer2::run ────────────┘  ── gratuitous bursts ──► network
//!                 netlink: interface changed ──►│
//! ```
//!
//! No address is ever configured on an interface. What to announce is decided elsewhere; nothing here reads
//! Kubernetes, so answers go on when the API server is away.

mod burst;
mod link;
mod metrics;
mod registry;
mod responder;
mod selection;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use metallb_domain::service::ServiceKey;
use metallb_kit::dirty::Dirty;
use metallb_wire::{Interface, InterfaceEvents, ndp, sys};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use burst::{Bursts, Subject};
use link::Link;
pub use metrics::Layer2Metrics;
pub use registry::{Effect, Links, Registry};
pub use selection::{ExclusionError, Exclusions};

/// How soon an interface whose sockets could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the announcer, the responders and the loop share.
#[derive(Debug)]
struct Shared {
    registry: RwLock<Registry>,
    metrics: Layer2Metrics,
}

impl Shared {
    fn answers(&self, address: IpAddr, interface: &str) -> bool {
        self.registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .answers(address, interface)
    }

    fn links(&self, address: IpAddr) -> Option<Links> {
        self.registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .links(address)
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .addresses()
            .collect()
    }
}

/// Says which addresses to answer for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Announcer {
    shared: Arc<Shared>,
    effects: Dirty<Effect>,
}

impl Announcer {
    /// Replaces what is announced for a Service, effective at once; an empty map withdraws it. Neighbors are told
    /// about addresses that are new here, and only about those. Returns whether anything changed.
    pub fn set(&self, service: &ServiceKey, addresses: BTreeMap<IpAddr, Links>) -> bool {
        let mut registry = self
            .shared
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let effects = registry.set(service, addresses);
        drop(registry);
        let changed = !effects.is_empty();
        for effect in effects {
            self.effects.mark(effect);
        }
        changed
    }

    /// Where an address is announced at the moment; `None` if it is not.
    pub fn links(&self, address: IpAddr) -> Option<Links> {
        self.shared.links(address)
    }
}

/// Owns the interfaces in use.
#[derive(Debug)]
pub struct Layer2 {
    exclusions: Exclusions,
    shared: Arc<Shared>,
    effects: Dirty<Effect>,
    events: InterfaceEvents,
    links: HashMap<u32, Link>,
    /// Solicited-node groups, each with the addresses that need it.
    groups: HashMap<Ipv6Addr, BTreeSet<Ipv6Addr>>,
    bursts: Bursts,
    responders: JoinSet<()>,
    names: watch::Sender<BTreeSet<String>>,
    /// When to look at the interfaces again because something failed.
    retry: Option<Instant>,
}

impl Layer2 {
    /// Opens sockets on the interfaces there are. Nothing is answered before [`Layer2::run`] is polled and an
    /// [`Announcer`] was told what to announce.
    ///
    /// # Errors
    /// When the interfaces cannot be listed or watched.
    pub fn start(exclusions: Exclusions, metrics: Layer2Metrics) -> anyhow::Result<Self> {
        let mut layer2 = Self {
            exclusions,
            shared: Arc::new(Shared {
                registry: RwLock::default(),
                metrics,
            }),
            effects: Dirty::new(),
            // Before the first listing, or a change between the two would be missed.
            events: InterfaceEvents::subscribe().context("cannot watch network interfaces")?,
            links: HashMap::new(),
            groups: HashMap::new(),
            bursts: Bursts::default(),
            responders: JoinSet::new(),
            names: watch::Sender::default(),
            retry: None,
        };
        layer2.scan().context("cannot list network interfaces")?;
        Ok(layer2)
    }

    /// The handle for saying what to announce.
    pub fn announcer(&self) -> Announcer {
        Announcer {
            shared: Arc::clone(&self.shared),
            effects: self.effects.clone(),
        }
    }

    /// Names of the interfaces of this host, excluded ones left out, whatever their state.
    pub fn names(&self) -> watch::Receiver<BTreeSet<String>> {
        self.names.subscribe()
    }

    /// Follows interfaces and the registry until shutdown, then stops answering.
    ///
    /// # Errors
    /// When interfaces can no longer be watched or a responder panicked.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    self.responders.shutdown().await;
                    return Ok(());
                }
                changed = self.events.changed() => {
                    changed.context("cannot watch network interfaces")?;
                    self.rescan();
                }
                () = sleep_until(self.retry) => self.rescan(),
                effects = self.effects.take() => self.follow(effects),
                () = sleep_until(self.bursts.next()) => self.announce_due().await,
                Some(ended) = self.responders.join_next() => match ended {
                    Err(error) if error.is_panic() => bail!("a responder panicked"),
                    _ => {} // ended with its interface
                },
            }
        }
    }

    /// Lists the interfaces again; if that fails the present ones stay in use until the next attempt.
    fn rescan(&mut self) {
        if let Err(error) = self.scan() {
            tracing::warn!(error = %error, "network interfaces not listed, keeping those in use");
            self.retry = Some(Instant::now() + RETRY);
        }
    }

    fn scan(&mut self) -> io::Result<()> {
        let mut interfaces = sys::interfaces()?;
        interfaces.retain(|interface| !self.exclusions.exclude(&interface.name));
        self.retry = None;
        let uses: HashMap<u32, selection::Use> = interfaces
            .iter()
            .filter_map(|interface| Some((interface.index, selection::use_of(interface)?)))
            .collect();
        self.links.retain(|index, link| {
            let keep = uses.get(index) == Some(&link.usage);
            if !keep {
                tracing::info!(
                    interface = link.usage.name,
                    "no longer answering on interface as it was"
                );
            }
            keep
        });
        for interface in &interfaces {
            if let Some(usage) = uses.get(&interface.index) {
                self.keep_link(interface, usage);
            }
        }
        let names: BTreeSet<String> = interfaces.into_iter().map(|interface| interface.name).collect();
        self.names.send_if_modified(|known| {
            let changed = *known != names;
            *known = names;
            changed
        });
        Ok(())
    }

    /// Opens the interface if it is new or its sockets are gone; tells its neighbors when it (re)appears.
    fn keep_link(&mut self, interface: &Interface, usage: &selection::Use) {
        let appeared = match self.links.get_mut(&interface.index) {
            Some(link) => !std::mem::replace(&mut link.running, interface.running) && interface.running,
            None => self.open_link(interface, usage.clone()),
        };
        if appeared {
            let now = Instant::now();
            for address in self.shared.addresses() {
                self.bursts.start((address, Some(interface.index)), now);
            }
        }
    }

    fn open_link(&mut self, interface: &Interface, usage: selection::Use) -> bool {
        let opened = Link::open(
            interface.index,
            usage,
            interface.running,
            &self.shared,
            &mut self.responders,
        );
        match opened {
            Ok(mut link) => {
                for group in self.groups.keys() {
                    link.join(*group);
                }
                tracing::info!(
                    interface = interface.name,
                    mac = %link.usage.mac,
                    arp = link.usage.arp,
                    ndp = link.usage.ndp.is_some(),
                    "answering on interface"
                );
                self.links.insert(interface.index, link);
                true
            }
            Err(error) => {
                tracing::warn!(interface = interface.name, error = %error, "cannot answer on interface, retrying");
                self.retry = Some(Instant::now() + RETRY);
                false
            }
        }
    }

    /// Brings groups and bursts in line with what the registry says now about the addresses that changed.
    fn follow(&mut self, effects: Vec<Effect>) {
        let now = Instant::now();
        for effect in effects {
            match effect {
                Effect::Gained(address) if self.shared.links(address).is_some() => {
                    self.join(address);
                    self.bursts.start((address, None), now);
                }
                Effect::Lost(address) if self.shared.links(address).is_none() => {
                    self.leave(address);
                    self.bursts.stop(address);
                    self.shared.metrics.forget(address);
                }
                // Overtaken by a later change, whose effect follows.
                _ => {}
            }
        }
    }

    fn join(&mut self, address: IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let group = ndp::solicited_node(address);
        let users = self.groups.entry(group).or_default();
        users.insert(address);
        for link in self.links.values_mut() {
            link.join(group);
        }
    }

    fn leave(&mut self, address: IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let group = ndp::solicited_node(address);
        let Some(users) = self.groups.get_mut(&group) else {
            return;
        };
        users.remove(&address);
        if users.is_empty() {
            self.groups.remove(&group);
            for link in self.links.values_mut() {
                link.leave(group);
            }
        }
    }

    async fn announce_due(&mut self) {
        // An interface that takes no frame is left out until the next round.
        let mut stuck = HashSet::new();
        for subject in self.bursts.due(Instant::now()) {
            self.announce(subject, &mut stuck).await;
        }
    }

    async fn announce(&self, (address, only): Subject, stuck: &mut HashSet<u32>) {
        let Some(rule) = self.shared.links(address) else {
            return;
        };
        for (index, link) in &self.links {
            let is_meant = only.is_none_or(|only| only == *index) && rule.allow(&link.usage.name);
            if is_meant && !stuck.contains(index) && !link.announce(address, &self.shared).await {
                stuck.insert(*index);
            }
        }
    }
}

/// Waits for a point in time, or for ever if there is none.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
