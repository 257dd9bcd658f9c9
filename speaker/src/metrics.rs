//! Metrics about what is announced and about the configuration.

use std::net::IpAddr;

use metallb_domain::service::ServiceKey;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

/// The protocol label of everything announced here.
pub const PROTOCOL: &str = "layer2";

/// Metrics of the agent.
#[derive(Clone, Debug)]
pub struct Metrics {
    node: String,
    announced: IntGaugeVec,
    /// How often something was looked at again.
    pub updates: IntCounter,
    /// How often the configuration had an error.
    pub update_errors: IntCounter,
    /// 1 once a configuration is in force.
    pub config_loaded: IntGauge,
    /// 1 while what is in force is not what the objects say.
    pub config_stale: IntGauge,
}

impl Metrics {
    /// Creates the metrics of this node and registers them.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn new(registry: &Registry, node: &str) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            node: node.to_owned(),
            announced: IntGaugeVec::new(
                Opts::new(
                    "metallb_speaker_announced",
                    "Addresses of Services announced from this node",
                ),
                &["service", "protocol", "node", "ip"],
            )?,
            updates: IntCounter::new(
                "metallb_k8s_client_updates_total",
                "Changes of Kubernetes objects that were processed",
            )?,
            update_errors: IntCounter::new(
                "metallb_k8s_client_update_errors_total",
                "Changes of Kubernetes objects that could not be processed without an error",
            )?,
            config_loaded: IntGauge::new(
                "metallb_k8s_client_config_loaded_bool",
                "1 once a configuration was loaded",
            )?,
            config_stale: IntGauge::new(
                "metallb_k8s_client_config_stale_bool",
                "1 while an object of the configuration is not in force as it stands",
            )?,
        };
        registry.register(Box::new(metrics.announced.clone()))?;
        for counter in [&metrics.updates, &metrics.update_errors] {
            registry.register(Box::new(counter.clone()))?;
        }
        for gauge in [&metrics.config_loaded, &metrics.config_stale] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }

    /// An address of a Service is announced.
    pub fn announce(&self, service: &ServiceKey, address: IpAddr) {
        let (service, address) = (service.to_string(), address.to_string());
        self.announced
            .with_label_values(&[service.as_str(), PROTOCOL, &self.node, &address])
            .set(1);
    }

    /// An address of a Service is no longer announced.
    pub fn withdraw(&self, service: &ServiceKey, address: IpAddr) {
        let (service, address) = (service.to_string(), address.to_string());
        // An error means that there is no such series, which is what is wanted.
        let _ = self
            .announced
            .remove_label_values(&[service.as_str(), PROTOCOL, &self.node, &address]);
    }
}
