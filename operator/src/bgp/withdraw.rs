//! Taking everything back when the installation is removed.

use std::fmt::Debug;

use futures::StreamExt;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_crds::metallb::{ConfigurationState, ServiceBGPStatus};
use metallb_kit::Error;
use metallb_kit::apply::{delete, within};
use serde::de::DeserializeOwned;

use super::configuration_state;
use super::published::Published;

/// Deletions under way at the same time.
const IN_FLIGHT: usize = 16;

/// Deletes what was published and reported for an installation. Failures are logged: nobody could do more about them
/// than delete the objects by hand.
pub(super) async fn everything(client: &Client, namespace: &str, frr_namespace: &str) {
    frr_configurations(client, frr_namespace).await;
    let statuses = Api::<ServiceBGPStatus>::namespaced(client.clone(), namespace);
    let names = names(&statuses, |_| true).await;
    delete_all(&statuses, names).await;
    let states = Api::<ConfigurationState>::namespaced(client.clone(), namespace);
    warn(
        "ConfigurationState",
        delete(&states, configuration_state::NAME).await,
    );
}

/// Deletes the FRRConfigurations that the operator, or MetalLB's speaker before it, wrote into `namespace`.
pub(super) async fn frr_configurations(client: &Client, namespace: &str) {
    let published = Api::<Published>::namespaced(client.clone(), namespace);
    let names = names(&published, Published::is_ours).await;
    delete_all(
        &Api::<FRRConfiguration>::namespaced(client.clone(), namespace),
        names,
    )
    .await;
}

async fn names<K>(api: &Api<K>, which: impl Fn(&K) -> bool) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let params = ListParams::default();
    match within(&format!("list {}", K::kind(&())), api.list(&params)).await {
        Ok(list) => list
            .iter()
            .filter(|object| which(object))
            .map(ResourceExt::name_any)
            .collect(),
        Err(error) => {
            warn(&K::kind(&()), Err(error));
            Vec::new()
        }
    }
}

async fn delete_all<K>(api: &Api<K>, names: Vec<String>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let deletions = futures::stream::iter(names);
    deletions
        .for_each_concurrent(IN_FLIGHT, |name| async move {
            warn(&K::kind(&()), delete(api, &name).await);
        })
        .await;
}

fn warn(kind: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::warn!(kind, error, "objects of the removed installation may be left");
    }
}
