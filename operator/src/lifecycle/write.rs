//! Writes to the MetalLB object itself: its finalizer and its status. Both by server-side apply, and none of them can
//! bring a deleted object back, because each names the uid of the object it is about.

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use metallb_crds::metallb::{MetalLB, MetalLBStatus};
use metallb_kit::Error;
use metallb_kit::apply::within;
use serde_json::json;

use super::render::MANAGER;

/// Keeps a MetalLB object until everything deployed for it is gone.
pub(crate) const FINALIZER: &str = "metallb.io/operator-cleanup";

/// Whether the operator's finalizer is on the object.
pub(crate) fn has_finalizer(metallb: &MetalLB) -> bool {
    metallb
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

/// Puts the finalizer on the object, or takes it off. Returns the stored object.
pub(crate) async fn set_finalizer(
    client: &Client,
    metallb: &MetalLB,
    present: bool,
) -> Result<MetalLB, Error> {
    let mut desired = reference(metallb);
    desired.metadata.finalizers = present.then(|| vec![FINALIZER.to_owned()]);
    let call = format!("apply finalizer of MetalLB {}", metallb.name_any());
    let params = PatchParams::apply(MANAGER).force();
    within(
        &call,
        api(client, metallb).patch(&metallb.name_any(), &params, &Patch::Apply(&desired)),
    )
    .await
}

/// Replaces the status. Returns the stored object.
pub(crate) async fn set_status(
    client: &Client,
    metallb: &MetalLB,
    status: &MetalLBStatus,
) -> Result<MetalLB, Error> {
    let desired = reference(metallb).data(json!({ "status": status }));
    let call = format!("apply status of MetalLB {}", metallb.name_any());
    let params = PatchParams::apply(MANAGER).force();
    within(
        &call,
        api(client, metallb).patch_status(&metallb.name_any(), &params, &Patch::Apply(&desired)),
    )
    .await
}

/// The MetalLB object as it is stored now; `None` when it is gone.
pub(crate) async fn fetch(client: &Client, namespace: &str, name: &str) -> Result<Option<MetalLB>, Error> {
    let api: Api<MetalLB> = Api::namespaced(client.clone(), namespace);
    within(&format!("get MetalLB {name}"), api.get_opt(name)).await
}

fn api(client: &Client, metallb: &MetalLB) -> Api<MetalLB> {
    Api::namespaced(client.clone(), &metallb.namespace().unwrap_or_default())
}

/// Says which object is meant, and nothing about its content.
fn reference(metallb: &MetalLB) -> DynamicObject {
    let mut object = DynamicObject::new(&metallb.name_any(), &ApiResource::erase::<MetalLB>(&()))
        .within(&metallb.namespace().unwrap_or_default());
    object.metadata.uid = metallb.uid();
    object
}
