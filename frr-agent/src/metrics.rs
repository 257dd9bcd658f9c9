//! Prometheus metrics: how the agent fares, and what FRRouting counts per session.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use metallb_frr::json::Neighbor;

use crate::sessions::{BfdSession, Sessions};

/// Counters and gauges about the agent itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// How often a change was looked at.
    pub updates: IntCounter,
    /// How often an object was refused, or FRRouting did not take its configuration.
    pub update_errors: IntCounter,
    /// 1 as soon as FRRouting has once been configured.
    pub config_loaded: IntGauge,
    /// 1 while FRRouting does not run with the newest configuration.
    pub config_stale: IntGauge,
}

impl Metrics {
    /// Registers everything, the metrics of `sessions` included.
    pub fn register(registry: &Registry, sessions: Shared) -> prometheus::Result<Self> {
        let metrics = Self {
            updates: IntCounter::new(
                "frrk8s_k8s_client_updates_total",
                "Number of times the configuration of this node was looked at after a change.",
            )?,
            update_errors: IntCounter::new(
                "frrk8s_k8s_client_update_errors_total",
                "Number of times a configuration was refused, by the agent or by FRRouting.",
            )?,
            config_loaded: IntGauge::new(
                "frrk8s_k8s_client_config_loaded_bool",
                "1 once FRRouting has been configured.",
            )?,
            config_stale: IntGauge::new(
                "frrk8s_k8s_client_config_stale_bool",
                "1 while FRRouting does not run with the newest configuration.",
            )?,
        };
        registry.register(Box::new(metrics.updates.clone()))?;
        registry.register(Box::new(metrics.update_errors.clone()))?;
        registry.register(Box::new(metrics.config_loaded.clone()))?;
        registry.register(Box::new(metrics.config_stale.clone()))?;
        registry.register(Box::new(SessionCollector::new(sessions)?))?;
        Ok(metrics)
    }
}

/// The sessions as they were last seen, shared between who looks at them and who shows them.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Arc<Sessions>>>);

impl Shared {
    /// Replaces what is shown.
    pub fn set(&self, sessions: Arc<Sessions>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sessions;
    }

    /// What was last seen.
    pub fn get(&self) -> Arc<Sessions> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a metric comes about from a session.
type Of<S> = fn(&S) -> u64;

/// Name, help, whether it only grows, and its value. The names are those that dashboards know, even where `_total`
/// belongs to a gauge.
type Definition<S> = (&'static str, &'static str, bool, Of<S>);

const BGP: &[Definition<Neighbor>] = &[
    (
        "frrk8s_bgp_session_up",
        "1 while the BGP session is established.",
        false,
        |s| u64::from(s.is_established()),
    ),
    (
        "frrk8s_bgp_announced_prefixes_total",
        "Number of prefixes the peer is told of.",
        false,
        |s| s.prefixes_sent,
    ),
    (
        "frrk8s_bgp_received_prefixes_total",
        "Number of prefixes accepted from the peer.",
        false,
        |s| s.prefixes_accepted,
    ),
    (
        "frrk8s_bgp_opens_sent",
        "Number of BGP OPEN messages sent.",
        true,
        |s| s.messages.opens_sent,
    ),
    (
        "frrk8s_bgp_opens_received",
        "Number of BGP OPEN messages received.",
        true,
        |s| s.messages.opens_received,
    ),
    (
        "frrk8s_bgp_notifications_sent",
        "Number of BGP NOTIFICATION messages sent.",
        true,
        |s| s.messages.notifications_sent,
    ),
    (
        "frrk8s_bgp_updates_total",
        "Number of BGP UPDATE messages sent.",
        true,
        |s| s.messages.updates_sent,
    ),
    (
        "frrk8s_bgp_updates_total_received",
        "Number of BGP UPDATE messages received.",
        true,
        |s| s.messages.updates_received,
    ),
    (
        "frrk8s_bgp_keepalives_sent",
        "Number of BGP KEEPALIVE messages sent.",
        true,
        |s| s.messages.keepalives_sent,
    ),
    (
        "frrk8s_bgp_keepalives_received",
        "Number of BGP KEEPALIVE messages received.",
        true,
        |s| s.messages.keepalives_received,
    ),
    (
        "frrk8s_bgp_route_refresh_sent",
        "Number of BGP ROUTE-REFRESH messages sent.",
        true,
        |s| s.messages.route_refresh_sent,
    ),
    (
        "frrk8s_bgp_total_sent",
        "Number of BGP messages sent.",
        true,
        |s| s.messages.total_sent,
    ),
    (
        "frrk8s_bgp_total_received",
        "Number of BGP messages received.",
        true,
        |s| s.messages.total_received,
    ),
];

const BFD: &[Definition<BfdSession>] = &[
    (
        "frrk8s_bfd_session_up",
        "1 while the BFD session is up.",
        false,
        |s| u64::from(s.peer.is_up()),
    ),
    (
        "frrk8s_bfd_control_packet_input",
        "Number of BFD control packets received.",
        true,
        |s| s.counters.control_packet_input,
    ),
    (
        "frrk8s_bfd_control_packet_output",
        "Number of BFD control packets sent.",
        true,
        |s| s.counters.control_packet_output,
    ),
    (
        "frrk8s_bfd_echo_packet_input",
        "Number of BFD echo packets received.",
        true,
        |s| s.counters.echo_packet_input,
    ),
    (
        "frrk8s_bfd_echo_packet_output",
        "Number of BFD echo packets sent.",
        true,
        |s| s.counters.echo_packet_output,
    ),
    (
        "frrk8s_bfd_session_up_events",
        "Number of times the BFD session came up.",
        true,
        |s| s.counters.session_up,
    ),
    (
        "frrk8s_bfd_session_down_events",
        "Number of times the BFD session went down.",
        true,
        |s| s.counters.session_down,
    ),
    (
        "frrk8s_bfd_zebra_notifications",
        "Number of notifications from zebra about the BFD session.",
        true,
        |s| s.counters.zebra_notifications,
    ),
];

const LABELS: &[&str] = &["peer", "vrf"];

/// Shows the sessions that exist, and no others: nothing is left behind when a peer goes.
#[derive(Debug)]
struct SessionCollector {
    sessions: Shared,
    descriptions: Vec<Desc>,
}

impl SessionCollector {
    fn new(sessions: Shared) -> prometheus::Result<Self> {
        let bgp = BGP.iter().map(|(name, help, ..)| (*name, *help));
        let bfd = BFD.iter().map(|(name, help, ..)| (*name, *help));
        let labels = || LABELS.iter().map(|label| (*label).to_owned()).collect();
        let descriptions: prometheus::Result<_> = bgp
            .chain(bfd)
            .map(|(name, help)| Desc::new(name.to_owned(), help.to_owned(), labels(), Default::default()))
            .collect();
        Ok(Self {
            sessions,
            descriptions: descriptions?,
        })
    }
}

impl Collector for SessionCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sessions = self.sessions.get();
        let bgp = BGP
            .iter()
            .map(|definition| family(definition, &sessions.bgp, |s| (&s.peer, &s.vrf)));
        let bfd = BFD
            .iter()
            .map(|definition| family(definition, &sessions.bfd, |s| (&s.peer.peer, &s.peer.vrf)));
        let families: prometheus::Result<Vec<Vec<_>>> = bgp.chain(bfd).collect();
        families
            .map(|families| families.into_iter().flatten().collect())
            .unwrap_or_else(|error| {
                tracing::error!(error = %error, "session metrics cannot be shown");
                Vec::new()
            })
    }
}

fn family<S>(
    (name, help, grows, value): &Definition<S>,
    sessions: &[S],
    labels: impl Fn(&S) -> (&String, &String),
) -> prometheus::Result<Vec<MetricFamily>> {
    let options = Opts::new(*name, *help);
    if *grows {
        let counters = IntCounterVec::new(options, LABELS)?;
        for session in sessions {
            let (peer, vrf) = labels(session);
            counters.with_label_values(&[peer, vrf]).inc_by(value(session));
        }
        return Ok(counters.collect());
    }
    let gauges = IntGaugeVec::new(options, LABELS)?;
    for session in sessions {
        let (peer, vrf) = labels(session);
        gauges
            .with_label_values(&[peer, vrf])
            .set(i64::try_from(value(session)).unwrap_or(i64::MAX));
    }
    Ok(gauges.collect())
}

#[cfg(test)]
mod tests {
    use metallb_frr::json::{BfdPeer, MessageStats};
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn sessions_are_shown_as_long_as_they_exist() {
        let registry = Registry::new();
        let shared = Shared::default();
        Metrics::register(&registry, shared.clone()).unwrap();
        let bgp = Neighbor {
            peer: "198.51.100.11".into(),
            vrf: "default".into(),
            state: "Established".into(),
            prefixes_sent: 2,
            messages: MessageStats {
                opens_sent: 3,
                ..MessageStats::default()
            },
            ..Neighbor::default()
        };
        let peer = BfdPeer {
            peer: "198.51.100.11".into(),
            vrf: "blue".into(),
            status: "up".into(),
            ..BfdPeer::default()
        };
        let bfd = BfdSession {
            peer,
            ..BfdSession::default()
        };
        shared.set(Arc::new(Sessions {
            bgp: vec![bgp],
            bfd: vec![bfd],
        }));
        let shown = text(&registry);
        for line in [
            "frrk8s_bgp_session_up{peer=\"198.51.100.11\",vrf=\"default\"} 1",
            "frrk8s_bgp_announced_prefixes_total{peer=\"198.51.100.11\",vrf=\"default\"} 2",
            "frrk8s_bgp_opens_sent{peer=\"198.51.100.11\",vrf=\"default\"} 3",
            "frrk8s_bfd_session_up{peer=\"198.51.100.11\",vrf=\"blue\"} 1",
            "frrk8s_k8s_client_config_loaded_bool 0",
        ] {
            assert!(shown.contains(line), "{line} is missing in\n{shown}");
        }
        shared.set(Arc::default());
        assert!(!text(&registry).contains("198.51.100.11"));
    }
}
