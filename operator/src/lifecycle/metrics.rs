//! What the lifecycle reconciler says about itself to Prometheus.

use std::time::Duration;

use metallb_crds::metallb::MetalLBStatus;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::object::Key;

/// The metrics of the reconciler. Clones are handles to the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    reconciles: IntCounterVec,
    duration: Histogram,
    drift: IntCounterVec,
    condition: IntGaugeVec,
    backend: IntGaugeVec,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            reconciles: IntCounterVec::new(
                Opts::new(
                    "metallb_operator_reconcile_total",
                    "Reconciliations of MetalLB objects, by result: ok, or a word for what went wrong.",
                ),
                &["result"],
            )?,
            duration: Histogram::with_opts(HistogramOpts::new(
                "metallb_operator_reconcile_duration_seconds",
                "How long a reconciliation took.",
            ))?,
            drift: IntCounterVec::new(
                Opts::new(
                    "metallb_operator_managed_object_drift_total",
                    "Deployed objects that somebody else changed or deleted and that were repaired.",
                ),
                &["kind", "name"],
            )?,
            condition: IntGaugeVec::new(
                Opts::new(
                    "metallb_operator_condition",
                    "Conditions of the MetalLB object: 1 for the status it has, 0 for the other.",
                ),
                &["type", "status"],
            )?,
            backend: IntGaugeVec::new(
                Opts::new(
                    "metallb_operator_desired_backend_info",
                    "The BGP backend in use, as a label; always 1.",
                ),
                &["backend"],
            )?,
        };
        let build = IntGaugeVec::new(
            Opts::new(
                "metallb_operator_build_info",
                "The version of the operator, as a label; always 1.",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.drift.clone()))?;
        registry.register(Box::new(metrics.condition.clone()))?;
        registry.register(Box::new(metrics.backend.clone()))?;
        registry.register(Box::new(build))?;
        Ok(metrics)
    }

    /// One reconciliation ended.
    pub(crate) fn reconciled(&self, result: &str, took: Duration) {
        self.reconciles.with_label_values(&[result]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// An object was repaired.
    pub(crate) fn repaired(&self, key: &Key) {
        self.drift
            .with_label_values(&[&key.kind.to_string(), &key.name])
            .inc();
    }

    /// The status of the MetalLB object is now `status`.
    pub(crate) fn status(&self, status: &MetalLBStatus) {
        for condition in &status.conditions {
            for value in ["True", "False"] {
                let gauge = self
                    .condition
                    .with_label_values(&[condition.type_.as_str(), value]);
                gauge.set(i64::from(condition.status == value));
            }
        }
        self.backend.reset();
        if let Some(backend) = &status.backend {
            self.backend.with_label_values(&[backend]).set(1);
        }
    }

    /// There is no MetalLB object.
    pub(crate) fn removed(&self) {
        self.condition.reset();
        self.backend.reset();
    }
}
