//! The state of what was deployed, with a look at the pods of a workload that is not ready.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use metallb_kit::apply::within;
use tokio::time::Instant;

use super::{PODS_AGAIN, Reconciler};
use crate::lifecycle::apply::explain;
use crate::lifecycle::object::Desired;
use crate::lifecycle::readiness::{Component, Problem, component, problem};

impl Reconciler {
    /// The state of every workload, with the reasons of pods that are not ready.
    pub(super) async fn components(&mut self, desired: &[Desired]) -> Vec<Component> {
        let mut components = Vec::new();
        for object in desired {
            let live = self.observed.deployed(&object.key);
            let Some(mut component) = component(object, live.as_deref()) else {
                continue;
            };
            if component.is_ready() {
                self.pods.remove(&component.status.name);
            } else {
                component.problems = self.problems(&component).await;
            }
            components.push(component);
        }
        components
    }

    /// Why the pods of `component` are not ready: asked for at most every [`PODS_AGAIN`], more rarely when there are
    /// very many pods. O(pods of the component) when asked.
    async fn problems(&mut self, component: &Component) -> Vec<Problem> {
        let name = &component.status.name;
        let pods = u32::try_from(component.status.desired).unwrap_or_default();
        let fresh = PODS_AGAIN * 9 / 10 + Duration::from_millis(10) * pods;
        if let Some((asked, problems)) = self.pods.get(name)
            && asked.elapsed() < fresh
        {
            return problems.clone();
        }
        let problems = match self.list_pods(&component.selector).await {
            Ok(pods) => {
                let mut problems: Vec<_> = pods.iter().filter_map(problem).collect();
                problems.sort();
                problems
            }
            Err(error) => {
                tracing::warn!(component = name, error = explain(&error), "pods cannot be listed");
                Vec::new()
            }
        };
        self.pods.insert(name.clone(), (Instant::now(), problems.clone()));
        problems
    }

    pub(super) async fn list_pods(
        &self,
        selector: &BTreeMap<String, String>,
    ) -> Result<Vec<Pod>, metallb_kit::Error> {
        let labels: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.environment.namespace);
        // Served from the API server's cache.
        let params = ListParams::default().labels(&labels.join(",")).match_any();
        Ok(within("list pods", api.list(&params)).await?.items)
    }
}
