//! Counters per announced address.

use std::net::IpAddr;

use prometheus::{IntCounterVec, Opts, Registry};

/// What happened on the wire, per address. The series of an address end when it is no longer announced.
#[derive(Clone, Debug)]
pub struct Layer2Metrics {
    requests: IntCounterVec,
    responses: IntCounterVec,
    gratuitous: IntCounterVec,
}

impl Layer2Metrics {
    /// Creates the counters and registers them.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &["ip"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            requests: counter(
                "metallb_layer2_requests_received",
                "ARP requests and neighbor solicitations received for announced addresses",
            )?,
            responses: counter(
                "metallb_layer2_responses_sent",
                "ARP replies and solicited neighbor advertisements sent for announced addresses",
            )?,
            gratuitous: counter(
                "metallb_layer2_gratuitous_sent",
                "Gratuitous ARP packets and unsolicited neighbor advertisements sent for announced addresses",
            )?,
        })
    }

    pub(super) fn request(&self, address: IpAddr) {
        self.requests.with_label_values(&[&address.to_string()]).inc();
    }

    pub(super) fn response(&self, address: IpAddr) {
        self.responses.with_label_values(&[&address.to_string()]).inc();
    }

    pub(super) fn gratuitous(&self, address: IpAddr) {
        self.gratuitous.with_label_values(&[&address.to_string()]).inc();
    }

    pub(super) fn forget(&self, address: IpAddr) {
        for counter in [&self.requests, &self.responses, &self.gratuitous] {
            // An error means that there is no such series, which is what is wanted.
            let _ = counter.remove_label_values(&[&address.to_string()]);
        }
    }
}
