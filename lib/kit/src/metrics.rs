//! The Prometheus registry of a process.

use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;

/// A registry that already reports the process itself (CPU, memory, open files, start time). Metric names are
/// registered in full: a prefix on the registry would also change the names of the process metrics.
pub fn registry() -> Registry {
    let registry = Registry::new();
    if let Err(error) = registry.register(Box::new(ProcessCollector::for_self())) {
        tracing::warn!(error = %error, "process metrics are missing");
    }
    registry
}
