//! The behaviour of allocation as the owner of a Service sees it, on a small cluster in memory.

mod dual_stack;
mod lifecycle;
mod pools;
mod requests;
mod sharing;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{Verdict, converge, seed};
use crate::allocator::Allocator;
use crate::config::{Config, Objects, Problem};
use crate::service::{ALLOCATED_FROM_POOL, ServiceKey, ServiceRequest};

/// Services with their status, the configuration, and what was told and written.
#[derive(Default)]
struct Cluster {
    objects: Objects,
    config: Config,
    allocator: Allocator,
    services: BTreeMap<String, Value>,
    told: Vec<(String, &'static str)>,
    writes: usize,
}

impl Cluster {
    /// A cluster with these pools: name and spec.
    fn with(pools: &[(&str, Value)]) -> Self {
        let mut cluster = Self::default();
        cluster.pools(pools);
        cluster
    }

    /// Replaces all pools.
    fn pools(&mut self, pools: &[(&str, Value)]) -> Vec<Problem> {
        let pool = |(name, spec): &(&str, Value)| {
            std::sync::Arc::new(serde_json::from_value(json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": name}, "spec": spec})).unwrap())
        };
        self.objects.pools = pools.iter().map(pool).collect();
        self.configure()
    }

    fn configure(&mut self) -> Vec<Problem> {
        let (config, problems) = Config::build(&self.objects, Some(&self.config));
        let again = self.allocator.set_pools(&config.pools);
        self.config = config;
        again.iter().for_each(|key| self.look_at(&key.name));
        self.wake();
        problems
    }

    /// Creates or changes a Service: `change` is merged into it. Unless said otherwise it is a load balancer with an
    /// IPv4 cluster IP and the port TCP 80.
    fn service(&mut self, name: &str, change: Value) {
        let object = self.services.entry(name.to_owned()).or_insert_with(|| {
            json!({
                "metadata": {"namespace": "n1", "name": name},
                "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
            })
        });
        merge(object, change);
        self.look_at(name);
        self.wake();
    }

    fn delete(&mut self, name: &str) {
        self.services.remove(name);
        self.allocator.release(&key(name));
        self.wake();
    }

    /// A new process: all that is left is what is stored.
    fn restart(&mut self) {
        self.allocator = Allocator::new();
        self.config = Config::build(&self.objects, None).0;
        self.allocator.set_pools(&self.config.pools);
        let mut names: Vec<String> = self.services.keys().cloned().collect();
        for name in &names {
            let request = self.request(name);
            seed(&mut self.allocator, &request);
        }
        names.sort_by_key(|name| std::cmp::Reverse(self.request(name).ingress.len()));
        names.iter().for_each(|name| self.look_at(name));
        self.wake();
    }

    fn wake(&mut self) {
        while let Some(key) = self.allocator.next_woken() {
            self.look_at(&key.name);
        }
    }

    fn request(&self, name: &str) -> ServiceRequest {
        let service: Service = serde_json::from_value(self.services[name].clone()).unwrap();
        ServiceRequest::of(&service)
    }

    fn look_at(&mut self, name: &str) {
        if !self.services.contains_key(name) {
            return;
        }
        let request = self.request(name);
        let outcome = converge(&mut self.allocator, &request, &self.config.pools_left_out);
        self.told.extend(
            outcome
                .notices
                .iter()
                .map(|notice| (name.to_owned(), notice.reason)),
        );
        let object = self.services.get_mut(name).unwrap();
        let before = object.clone();
        match outcome.verdict {
            Verdict::Unchanged => {}
            Verdict::Cleared => {
                object["status"]["loadBalancer"] = json!({});
                if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
                    annotations.remove(ALLOCATED_FROM_POOL);
                }
            }
            Verdict::Assigned { addresses, pool } => {
                let ingress: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
                object["status"]["loadBalancer"]["ingress"] = json!(ingress);
                object["metadata"]["annotations"][ALLOCATED_FROM_POOL] = json!(pool);
            }
        }
        self.writes += usize::from(*object != before);
    }

    /// Addresses in the status, joined by commas; empty when pending.
    fn ip(&self, name: &str) -> String {
        self.request(name).ingress.join(",")
    }

    /// The pool in the annotation.
    fn pool(&self, name: &str) -> Option<String> {
        self.request(name).allocated_from
    }

    /// Reasons of the Events of a Service since the last call.
    fn told(&mut self, name: &str) -> Vec<&'static str> {
        let (of_name, others) = std::mem::take(&mut self.told)
            .into_iter()
            .partition(|(of, _)| of == name);
        self.told = others;
        of_name.into_iter().map(|(_, reason)| reason).collect()
    }

    /// Looks at everything again, several times; nothing may change.
    #[track_caller]
    fn assert_settled(&mut self) {
        let before = (self.services.clone(), self.writes);
        for _ in 0..3 {
            let names: Vec<String> = self.services.keys().cloned().collect();
            names.iter().for_each(|name| self.look_at(name));
            self.wake();
        }
        assert_eq!(
            (self.services.clone(), self.writes),
            before,
            "looking again changed something"
        );
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey {
        namespace: "n1".into(),
        name: name.into(),
    }
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(&key);
                } else {
                    merge(&mut target[&key], value);
                }
            }
        }
        other => *target = other,
    }
}

fn pool(addresses: &[&str]) -> Value {
    json!({"addresses": addresses, "autoAssign": true, "avoidBuggyIPs": false})
}

/// A pool with `serviceAllocation`.
fn pinned(addresses: &[&str], allocation: Value) -> Value {
    let mut pool = pool(addresses);
    pool["serviceAllocation"] = allocation;
    pool
}

fn manual(addresses: &[&str]) -> Value {
    let mut pool = pool(addresses);
    pool["autoAssign"] = json!(false);
    pool
}

fn annotated(suffix: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {format!("metallb.io/{suffix}"): value}}})
}

fn asking_for_pool(name: &str) -> Value {
    annotated("address-pool", name)
}

fn asking_for(addresses: &str) -> Value {
    annotated("loadBalancerIPs", addresses)
}

fn dual(policy: &str) -> Value {
    json!({"spec": {"clusterIPs": ["10.96.0.1", "fd00:96::1"], "ipFamilyPolicy": policy}})
}

#[test]
fn other_types_are_left_alone() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service(
        "s",
        json!({"spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}}),
    );
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.writes, cluster.told("s").len()),
        ("", 0, 0)
    );
}

#[test]
fn the_first_address_of_the_pool_is_given_once() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s", json!({}));
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.pool("s").as_deref()),
        ("192.0.2.0", Some("a"))
    );
    assert_eq!(cluster.told("s"), ["IPAllocated"]);
    cluster.assert_settled();
}

#[test]
fn without_pools_a_service_is_pending_in_silence_and_served_once_there_is_one() {
    let mut cluster = Cluster::default();
    cluster.service(
        "s",
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}),
    );
    assert_eq!((cluster.ip("s"), cluster.told("s").len()), (String::new(), 0));
    cluster.pools(&[("a", pool(&["192.0.2.0/30"]))]);
    assert_eq!(cluster.ip("s"), "192.0.2.0");
}

#[test]
fn a_service_that_stops_being_a_load_balancer_makes_room() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    cluster.service("s", json!({}));
    cluster.service("t", json!({}));
    cluster.service("s", json!({"spec": {"type": "NodePort"}}));
    assert_eq!((cluster.ip("s"), cluster.pool("s")), (String::new(), None));
    assert_eq!(cluster.ip("t"), "192.0.2.0");
}

#[test]
fn without_cluster_ip_there_is_nothing_to_say() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s", json!({"spec": {"clusterIPs": [], "clusterIP": ""}}));
    assert_eq!((cluster.ip("s"), cluster.told("s").len()), (String::new(), 0));
}

#[test]
fn an_unreadable_cluster_ip_does_not_cost_the_address() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s", json!({}));
    cluster.told("s");
    cluster.service("s", json!({"spec": {"clusterIPs": ["None"]}}));
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.told("s")),
        ("192.0.2.0", vec!["noclusterIPsIPFamily"])
    );
}

#[test]
fn illegal_status_is_replaced() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    let foreign = json!([{"hostname": "x.example"}, {"ip": "203.0.113.9"}]);
    cluster.service("s", json!({"status": {"loadBalancer": {"ingress": foreign}}}));
    assert_eq!(cluster.ip("s"), "192.0.2.0");
    let three = json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}, {"ip": "192.0.2.3"}]);
    cluster.service("t", json!({"status": {"loadBalancer": {"ingress": three}}}));
    assert_eq!(cluster.ip("t"), "192.0.2.1");
    assert_eq!(cluster.told("t"), ["nolbIPsIPFamily", "IPAllocated"]);
}
