//! Metrics of the controller.

use metallb_domain::allocator::PoolCounters;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    total: IntGaugeVec,
    total_v4: IntGaugeVec,
    total_v6: IntGaugeVec,
    in_use: IntGaugeVec,
    in_use_v4: IntGaugeVec,
    in_use_v6: IntGaugeVec,
    services: IntGaugeVec,
    /// Services and configurations looked at.
    pub(crate) updates: IntCounter,
    /// Of which failed.
    pub(crate) update_errors: IntCounter,
    /// 1 once a configuration is in force.
    pub(crate) config_loaded: IntGauge,
    /// 1 while some configuration object is not in force as it stands.
    pub(crate) config_stale: IntGauge,
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let per_pool = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(format!("metallb_allocator_{name}"), help), &["pool"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("metallb_k8s_client_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("metallb_k8s_client_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            total: per_pool("addresses_total", "Usable addresses of the pool")?,
            total_v4: per_pool("ipv4_addresses_total", "Usable IPv4 addresses of the pool")?,
            total_v6: per_pool("ipv6_addresses_total", "Usable IPv6 addresses of the pool")?,
            in_use: per_pool("addresses_in_use_total", "Distinct addresses of the pool in use")?,
            in_use_v4: per_pool(
                "ipv4_addresses_in_use_total",
                "Distinct IPv4 addresses of the pool in use",
            )?,
            in_use_v6: per_pool(
                "ipv6_addresses_in_use_total",
                "Distinct IPv6 addresses of the pool in use",
            )?,
            services: per_pool("services_allocated_total", "Services with an address of the pool")?,
            updates: counter("updates_total", "Services and configurations looked at")?,
            update_errors: counter("update_errors_total", "Services and configurations that failed")?,
            config_loaded: gauge("config_loaded_bool", "1 once a configuration is in force")?,
            config_stale: gauge(
                "config_stale_bool",
                "1 while a configuration object is not in force as it stands",
            )?,
        })
    }

    /// Sets the gauges of a pool, or removes them when it is gone.
    pub(crate) fn set_pool(&self, pool: &str, counters: Option<PoolCounters>) {
        let values = counters.map(|counters| {
            [
                counters.capacity_v4.saturating_add(counters.capacity_v6),
                counters.capacity_v4,
                counters.capacity_v6,
                counters.assigned_v4.saturating_add(counters.assigned_v6),
                counters.assigned_v4,
                counters.assigned_v6,
                counters.services,
            ]
        });
        let gauges = [
            &self.total,
            &self.total_v4,
            &self.total_v6,
            &self.in_use,
            &self.in_use_v4,
            &self.in_use_v6,
            &self.services,
        ];
        for (index, gauge) in gauges.into_iter().enumerate() {
            match values.as_ref().and_then(|values| values.get(index)) {
                Some(value) => gauge.with_label_values(&[pool]).set(*value),
                // A series that is not there is fine.
                None => {
                    let _ = gauge.remove_label_values(&[pool]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    fn text(registry: &Registry) -> String {
        let mut body = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn the_series_of_a_pool_come_and_go_with_it() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let counters = PoolCounters {
            assigned_v4: 3,
            capacity_v4: 4,
            capacity_v6: i64::MAX,
            ..Default::default()
        };
        metrics.set_pool("a", Some(counters));
        let shown = text(&registry);
        assert!(
            shown.contains("metallb_allocator_addresses_in_use_total{pool=\"a\"} 3"),
            "{shown}"
        );
        assert!(
            shown.contains("metallb_allocator_addresses_total{pool=\"a\"} 92233720368547"),
            "{shown}"
        );
        metrics.set_pool("a", None);
        assert!(!text(&registry).contains("pool=\"a\""));
    }
}
