//! Taking everything back when the installation is removed.

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, Resource};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_crds::metallb::{ConfigurationState, ServiceBGPStatus};
use metallb_kit::Error;
use metallb_kit::apply::{delete, within};
use serde::de::DeserializeOwned;

use super::configuration_state;
use super::published::Published;

/// Deletes what was published and reported for an installation. Failures are logged: nobody could do more about them
/// than delete the objects by hand.
pub(super) async fn everything(client: &Client, namespace: &str, frr_namespace: &str) {
    frr_configurations(client, frr_namespace).await;
    let statuses = Api::<ServiceBGPStatus>::namespaced(client.clone(), namespace);
    let all = within("delete all ServiceBGPStatus", async {
        statuses
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .map(drop)
    });
    warn("ServiceBGPStatus", all.await);
    let states = Api::<ConfigurationState>::namespaced(client.clone(), namespace);
    warn(
        "ConfigurationState",
        delete(&states, configuration_state::NAME).await,
    );
}

/// Deletes the FRRConfigurations that the operator, or MetalLB's speaker before it, wrote into `namespace`.
pub(super) async fn frr_configurations(client: &Client, namespace: &str) {
    let published = Api::<Published>::namespaced(client.clone(), namespace);
    let api = Api::<FRRConfiguration>::namespaced(client.clone(), namespace);
    match list(&published).await {
        Ok(objects) => {
            for object in objects.iter().filter(|object| object.is_ours()) {
                warn("FRRConfiguration", delete(&api, &object.name_any()).await);
            }
        }
        Err(error) => warn("FRRConfiguration", Err(error)),
    }
}

async fn list<K>(api: &Api<K>) -> Result<Vec<K>, Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    Ok(within("list FRRConfigurations", api.list(&ListParams::default()))
        .await?
        .items)
}

fn warn(kind: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::warn!(kind, error, "objects of the removed installation may be left");
    }
}
