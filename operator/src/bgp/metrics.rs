//! What the BGP part of the operator says about itself to Prometheus.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics. Clones are handles to the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    updates: IntCounter,
    update_errors: IntCounter,
    config_loaded: IntGauge,
    config_stale: IntGauge,
    plan: Histogram,
    writes: IntCounterVec,
    pending: IntGauge,
    statuses_full: IntGauge,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            updates: IntCounter::new(
                "metallb_k8s_client_updates_total",
                "Changes of Services, nodes and configuration that were looked at.",
            )?,
            update_errors: IntCounter::new(
                "metallb_k8s_client_update_errors_total",
                "Writes to the API server that failed.",
            )?,
            config_loaded: IntGauge::new(
                "metallb_k8s_client_config_loaded_bool",
                "1 once a configuration has been in force.",
            )?,
            config_stale: IntGauge::new(
                "metallb_k8s_client_config_stale_bool",
                "1 while an object of the configuration is not in force as it stands.",
            )?,
            plan: Histogram::with_opts(
                HistogramOpts::new(
                    "metallb_operator_bgp_plan_duration_seconds",
                    "How long it took to plan what a batch of changes calls for.",
                )
                .buckets(vec![0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]),
            )?,
            writes: IntCounterVec::new(
                Opts::new(
                    "metallb_operator_frrconfiguration_writes_total",
                    "Writes of FRRConfigurations, by verb and result: ok, or a word for what went wrong.",
                ),
                &["verb", "result"],
            )?,
            pending: IntGauge::new(
                "metallb_operator_frrconfiguration_pending",
                "FRRConfigurations waiting to be written.",
            )?,
            statuses_full: IntGauge::new(
                "metallb_operator_servicebgpstatus_full_bool",
                "1 while Services are without a ServiceBGPStatus because there are too many.",
            )?,
        };
        registry.register(Box::new(metrics.updates.clone()))?;
        registry.register(Box::new(metrics.update_errors.clone()))?;
        registry.register(Box::new(metrics.config_loaded.clone()))?;
        registry.register(Box::new(metrics.config_stale.clone()))?;
        registry.register(Box::new(metrics.plan.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.statuses_full.clone()))?;
        Ok(metrics)
    }

    /// There is no installation, hence neither a configuration nor anything to write.
    pub(super) fn at_rest(&self) {
        for gauge in [
            &self.config_loaded,
            &self.config_stale,
            &self.pending,
            &self.statuses_full,
        ] {
            gauge.set(0);
        }
    }

    /// A batch of `keys` changes was planned.
    pub(super) fn planned(&self, keys: usize, took: Duration) {
        self.updates.inc_by(u64::try_from(keys).unwrap_or(u64::MAX));
        self.plan.observe(took.as_secs_f64());
    }

    /// A configuration is in force, with or without problems.
    pub(super) fn configured(&self, problems: bool) {
        self.config_loaded.set(1);
        self.config_stale.set(i64::from(problems));
    }

    /// An FRRConfiguration was written or could not be.
    pub(super) fn wrote(&self, verb: &str, result: &str) {
        self.writes.with_label_values(&[verb, result]).inc();
        if result != "ok" {
            self.update_errors.inc();
        }
    }

    /// So many FRRConfigurations wait.
    pub(super) fn pending(&self, count: usize) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether Services are without a ServiceBGPStatus because there are too many.
    pub(super) fn statuses_full(&self, full: bool) {
        self.statuses_full.set(i64::from(full));
    }
}
