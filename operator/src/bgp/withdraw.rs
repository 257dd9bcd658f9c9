//! Taking back what was published, when the installation is removed or publishes elsewhere.
//!
//! Only what the operator itself wrote is taken back: what MetalLB's speaker wrote before belongs to an installation
//! that may still be at work.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ListParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Client, Resource};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_crds::metallb::{ConfigurationState, ServiceBGPStatus};
use metallb_kit::Error;
use metallb_kit::apply::{delete, within};
use metallb_kit::backoff::Backoff;
use serde::de::DeserializeOwned;

use super::published::{MANAGED_BY, MANAGER};
use super::{configuration_state, service_status};

/// Deletions under way at the same time.
const IN_FLIGHT: usize = 16;
/// First and longest wait before what could not be taken back is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Deletes the operator's FRRConfigurations in `frr_namespaces` and, with `reports_in`, its reports in that namespace.
/// Goes on until nothing is left: routes to an installation that is gone must not stay.
pub(super) async fn withdraw(client: &Client, frr_namespaces: &BTreeSet<String>, reports_in: Option<&str>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    while let Err(error) = withdraw_once(client, frr_namespaces, reports_in).await {
        let wait = backoff.failed(&());
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::warn!(error, again_in = ?wait, "not everything published could be withdrawn");
        tokio::time::sleep(wait).await;
    }
}

/// Tries everything, and returns the first error.
async fn withdraw_once(
    client: &Client,
    frr_namespaces: &BTreeSet<String>,
    reports_in: Option<&str>,
) -> Result<(), Error> {
    let mut result = Ok(());
    for namespace in frr_namespaces {
        let api = Api::<FRRConfiguration>::namespaced(client.clone(), namespace);
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        result = result.and(delete_all(&api, &ours, |_| true).await);
    }
    if let Some(namespace) = reports_in {
        let statuses = Api::<ServiceBGPStatus>::namespaced(client.clone(), namespace);
        result = result.and(delete_all(&statuses, &ListParams::default(), service_status::is_name).await);
        let states = Api::<ConfigurationState>::namespaced(client.clone(), namespace);
        result = result.and(delete(&states, configuration_state::NAME).await);
    }
    result
}

/// Deletes what `params` list and `which` picks by name, until there is no more: a write that was under way when
/// publishing ended may come after the first list. Without the kind or the namespace there is nothing.
async fn delete_all<K>(api: &Api<K>, params: &ListParams, which: fn(&str) -> bool) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    loop {
        let names = match within(&format!("list {}", K::kind(&())), api.list_metadata(params)).await {
            Ok(list) => surplus(&list.items, which),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if names.is_empty() {
            return Ok(());
        }
        let deletions = futures::stream::iter(names).map(|name| {
            let api = api.clone();
            async move { delete(&api, &name).await }
        });
        let results: Vec<_> = deletions.buffer_unordered(IN_FLIGHT).collect().await;
        results.into_iter().collect::<Result<(), _>>()?;
    }
}

/// The names to delete: those picked that are not on their way out already.
fn surplus<K>(list: &[PartialObjectMeta<K>], which: fn(&str) -> bool) -> Vec<String> {
    let there = |metadata: &ObjectMeta| metadata.deletion_timestamp.is_none();
    list.iter()
        .filter(|object| there(&object.metadata))
        .map(|object| object.metadata.name.clone().unwrap_or_default())
        .filter(|name| which(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_on_its_way_out_is_not_deleted_for_ever() {
        let object = |name: &str, deleting: bool| -> PartialObjectMeta<FRRConfiguration> {
            let mut object = json!({"metadata": {"name": name}});
            if deleting {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            serde_json::from_value(object).unwrap()
        };
        let list = [object("a", false), object("b", true), object("c", false)];
        assert_eq!(surplus(&list, |name| name != "c"), ["a"]);
    }
}
