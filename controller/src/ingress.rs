//! The part of a Service this program writes: `status.loadBalancer.ingress` and one annotation.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus};
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use metallb_domain::convergence::Verdict;
use metallb_domain::ip_range::parse_address;
use metallb_domain::service::ALLOCATED_FROM_POOL;
use metallb_kit::apply::{apply_status, within};
use serde_json::json;

use crate::MANAGER;

/// True when the Service says already what `verdict` wants. Only the list of addresses and the annotation count: what
/// the API server or others add to an entry (`ipMode`, `ports`) is theirs.
pub(crate) fn is_settled(service: &Service, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Unchanged => true,
        Verdict::Cleared => entries(service).is_empty() && pool(service).is_none(),
        Verdict::Assigned {
            addresses,
            pool: from,
        } => {
            let present = entries(service)
                .iter()
                .map(|entry| entry.ip.as_deref().and_then(parse_address));
            present.eq(addresses.iter().map(|address| Some(*address))) && pool(service) == Some(from)
        }
    }
}

/// Writes what `verdict` wants, by server-side apply on the status subresource, where the API server also takes
/// annotations from. Returns the stored Service.
pub(crate) async fn write(
    api: &Api<Service>,
    service: &Service,
    verdict: &Verdict,
) -> Result<Service, metallb_kit::Error> {
    let stored = apply_status(api, MANAGER, &desired(service, verdict)).await?;
    if is_settled(&stored, verdict) {
        return Ok(stored);
    }
    // What another manager has set does not go away when we stop applying it: an installation taken over from the
    // reference implementation, say.
    let absent = json!({
        "metadata": {"annotations": {ALLOCATED_FROM_POOL: null}},
        "status": {"loadBalancer": {"ingress": null}},
    });
    let what = format!(
        "clear status of Service {}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    );
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    within(
        &what,
        api.patch_status(&service.name_any(), &params, &Patch::Merge(&absent)),
    )
    .await
}

fn desired(service: &Service, verdict: &Verdict) -> Service {
    let (addresses, annotations) = match verdict {
        Verdict::Assigned { addresses, pool } => (
            addresses.as_slice(),
            Some([(ALLOCATED_FROM_POOL.to_owned(), pool.clone())].into()),
        ),
        Verdict::Cleared | Verdict::Unchanged => (&[][..], None),
    };
    let ingress: Vec<_> = addresses.iter().map(|address| entry(service, *address)).collect();
    let ingress = (!ingress.is_empty()).then_some(ingress);
    Service {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            // Not meant for a Service of the same name that was created since.
            uid: service.metadata.uid.clone(),
            annotations,
            ..ObjectMeta::default()
        },
        status: Some(ServiceStatus {
            load_balancer: Some(LoadBalancerStatus { ingress }),
            conditions: None,
        }),
        spec: None,
    }
}

/// The entry for `address`: as it is, when there is one.
fn entry(service: &Service, address: IpAddr) -> LoadBalancerIngress {
    let present = entries(service)
        .iter()
        .find(|entry| entry.ip.as_deref().and_then(parse_address) == Some(address));
    present.cloned().unwrap_or_else(|| LoadBalancerIngress {
        ip: Some(address.to_string()),
        ..Default::default()
    })
}

fn entries(service: &Service) -> &[LoadBalancerIngress] {
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    balancer
        .and_then(|balancer| balancer.ingress.as_deref())
        .unwrap_or_default()
}

fn pool(service: &Service) -> Option<&String> {
    service
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(ALLOCATED_FROM_POOL))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(annotations: &Value, ingress: &Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "s", "annotations": annotations},
            "status": {"loadBalancer": {"ingress": ingress}},
        }))
        .unwrap()
    }

    fn assigned(addresses: &[&str]) -> Verdict {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Verdict::Assigned {
            addresses,
            pool: "a".into(),
        }
    }

    #[test]
    fn what_others_add_to_an_entry_is_kept_and_no_reason_to_write() {
        let ports = json!([{"port": 80, "protocol": "TCP"}]);
        let stored = service(
            &json!({ALLOCATED_FROM_POOL: "a"}),
            &json!([{"ip": "192.0.2.1", "ipMode": "VIP", "ports": ports}]),
        );
        assert!(is_settled(&stored, &assigned(&["192.0.2.1"])));
        assert!(!is_settled(&stored, &assigned(&["192.0.2.2"])));
        let wanted = desired(&stored, &assigned(&["192.0.2.1", "2001:db8::1"]));
        let wanted = serde_json::to_value(entries(&wanted)).unwrap();
        let expected = json!([{"ip": "192.0.2.1", "ipMode": "VIP", "ports": ports}, {"ip": "2001:db8::1"}]);
        assert_eq!(wanted, expected);
    }

    #[test]
    fn order_annotation_and_foreign_entries_are_reasons_to_write() {
        let both = json!([{"ip": "2001:db8::1"}, {"ip": "192.0.2.1"}]);
        let stored = service(&json!({ALLOCATED_FROM_POOL: "a"}), &both);
        assert!(is_settled(&stored, &assigned(&["2001:db8::1", "192.0.2.1"])));
        assert!(!is_settled(&stored, &assigned(&["192.0.2.1", "2001:db8::1"])));
        assert!(!is_settled(
            &service(&json!({}), &both),
            &assigned(&["2001:db8::1", "192.0.2.1"])
        ));
        let named = json!([{"hostname": "x.example"}, {"ip": "192.0.2.1"}]);
        assert!(!is_settled(
            &service(&json!({ALLOCATED_FROM_POOL: "a"}), &named),
            &assigned(&["192.0.2.1"])
        ));
    }

    #[test]
    fn cleared_means_no_entry_and_no_annotation() {
        assert!(is_settled(
            &service(&json!({"other": "x"}), &json!([])),
            &Verdict::Cleared
        ));
        assert!(!is_settled(
            &service(&json!({ALLOCATED_FROM_POOL: "a"}), &json!([])),
            &Verdict::Cleared
        ));
        assert!(!is_settled(
            &service(&json!({}), &json!([{"ip": "192.0.2.1"}])),
            &Verdict::Cleared
        ));
    }
}
