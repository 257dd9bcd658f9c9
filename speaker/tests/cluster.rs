//! Three speakers, as the real program, with a real API server and real packets. Needs root.
//!
//! All of it is in one network namespace. A bridge `lan` is the segment; each speaker has one interface on it and is
//! told to keep off the others, which makes it a node of its own as far as ARP and NDP are concerned.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster {
    pub(crate) mod world;
}

use std::net::Ipv4Addr;
use std::time::Duration;

use cluster::world::{World, in_namespace};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use metallb_crds::metallb::{ConfigurationResult, ConfigurationState};
use metallb_wire::arp::Operation;
use serde_json::json;

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// The life of a Service: announced by one node, taken over, withdrawn.
#[test]
fn one_node_announces_and_another_takes_over() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let speakers = world.speakers(&["n1", "n2", "n3"]).await;

        // For this address the order is n2, n3, n1.
        world.wait_for_answer(A, "n2").await;
        world.ask(FOREIGN).await;
        world.ask(A).await;
        assert_eq!(
            world.lan.answer().await.sender_ip,
            A,
            "foreign addresses are not answered"
        );
        world.wait_for_statuses("a", &["n2"]).await;
        let metrics = speakers[1].metrics().await;
        let series = "metallb_speaker_announced{ip=\"192.0.2.10\",node=\"n2\",protocol=\"layer2\",service=\"default/a\"} 1";
        assert!(metrics.contains(series), "{metrics}");
        let events = world
            .api::<Event>("default")
            .list(&ListParams::default())
            .await
            .unwrap();
        let assigned: Vec<_> = events
            .items
            .iter()
            .filter(|event| event.reason.as_deref() == Some("nodeAssigned"))
            .collect();
        assert_eq!(assigned.len(), 1, "one event for one transition: {assigned:?}");
        assert!(assigned[0].message.as_ref().unwrap().contains("\"n2\""));

        // The speaker of n2 is about to be replaced: n3 takes over and tells everybody.
        world.set_speaker_ready("n2", false).await;
        let mac = world.mac("n3");
        loop {
            let frame = world.lan.next_arp().await;
            if frame.sender_mac == mac && frame.operation == Operation::Request {
                assert_eq!((frame.sender_ip, frame.target_ip), (A, A), "gratuitous");
                break;
            }
        }
        world.wait_for_statuses("a", &["n3"]).await;
        world.wait_for_answer(A, "n3").await;
        assert!(!speakers[1].metrics().await.contains("192.0.2.10"));

        world.set_speaker_ready("n2", true).await;
        world.wait_for_statuses("a", &["n2"]).await;

        // Only n1 could serve it itself.
        world
            .patch_service("a", json!({"spec": {"externalTrafficPolicy": "Local"}}))
            .await;
        world.wait_for_statuses("a", &["n1"]).await;
        world.wait_for_answer(A, "n1").await;

        world.delete_service("a").await;
        world.wait_for_statuses("a", &[]).await;
        world.service("b", "192.0.2.11").await;
        world.endpoint("b", "n1", true).await;
        world.wait_for_statuses("b", &["n1"]).await;
        world.ask(A).await;
        world.ask(B).await;
        assert_eq!(
            world.lan.answer().await.sender_ip,
            B,
            "the withdrawn address is silent"
        );
    });
}

/// What is announced stays announced without an API server; SIGTERM ends it.
#[test]
fn answers_go_on_without_an_api_server_and_end_with_the_process() {
    in_namespace(|| async {
        let mut world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let mut speakers = world.speakers(&["n2"]).await;
        world.wait_for_answer(A, "n2").await;

        world.stop_api_server();
        speakers[0].wait_until_the_api_server_is_missed().await;
        world.wait_for_answer(A, "n2").await;
        let status = speakers[0].terminate().await;
        assert!(status.success(), "{status}");
        world.ask(A).await;
        let silent = tokio::time::timeout(Duration::from_millis(500), world.lan.answer()).await;
        assert!(silent.is_err(), "{silent:?}");
    });
}

/// A bad object is named in the state; what is good stays in force.
#[test]
fn a_bad_pool_is_reported_and_harms_nobody() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let _speakers = world.speakers(&["n2"]).await;
        world.wait_for_statuses("a", &["n2"]).await;
        let state = || async {
            let state = world
                .api::<ConfigurationState>("metallb-system")
                .get_opt("speaker-n2")
                .await
                .unwrap();
            state.and_then(|state| state.status)
        };
        let until = async |result| loop {
            if let Some(status) = state().await
                && status.result == Some(result)
            {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(until(ConfigurationResult::Valid).await.error_summary, "");
        world.pool("broken", "192.0.2.0/33").await;
        let status = until(ConfigurationResult::Invalid).await;
        assert!(status.error_summary.contains("broken"), "{status:?}");
        assert_eq!(status.conditions[0].type_, "configReconcilerValid");
        world.wait_for_answer(A, "n2").await;
        world.delete_pool("broken").await;
        until(ConfigurationResult::Valid).await;
    });
}

/// News that change no decision cause no frame, no Event and no write.
#[test]
fn news_that_do_not_matter_cause_nothing() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let _speakers = world.speakers(&["n1", "n2", "n3"]).await;
        world.wait_for_statuses("a", &["n2"]).await;
        // The burst of five rounds.
        for _ in 0..10 {
            assert_eq!(world.lan.next_arp().await.sender_mac, world.mac("n2"));
        }
        world.wait_for_configuration_states(3).await;
        let before = world.written().await;

        world.label_node("n1", "color", "red").await;
        world.label_node("n2", "color", "blue").await;
        world.set_pool_status("pool").await;
        world.set_speaker_ready("n1", false).await;
        world.set_speaker_ready("n1", true).await;
        world.endpoint_on_another_node("a", "n3").await;
        world
            .patch_service("a", json!({"metadata": {"annotations": {"note": "x"}}}))
            .await;
        // Another Service shows that what came before was seen.
        world.service("b", "192.0.2.11").await;
        world.endpoint("b", "n1", true).await;
        world.wait_for_statuses("b", &["n1"]).await;
        assert_eq!(
            world.lan.next_arp().await.sender_ip,
            B,
            "nobody repeats what all know"
        );
        let mut after = world.written().await;
        after.retain(|name, _| !name.contains("default/b"));
        assert_eq!(after, before);
    });
}

/// An advertisement that names interfaces restricts the answers, shows in the status, and fails loudly when the node
/// has none of them.
#[test]
fn interfaces_of_an_advertisement() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let speakers = world.speakers(&["n1", "n2", "n3"]).await;
        world.wait_for_statuses("a", &["n2"]).await;

        world
            .patch_advertisement(json!({"spec": {"interfaces": ["n2", "spare"]}}))
            .await;
        world.wait_for_interfaces("a", &["n2", "spare"]).await;
        world.wait_for_answer(A, "n2").await;

        world
            .patch_advertisement(json!({"spec": {"interfaces": ["spare"]}}))
            .await;
        world.wait_for_statuses("a", &[]).await;
        let note = world.wait_for_event("announceFailed").await;
        assert!(
            note.contains("192.0.2.10") && note.contains("\"n2\"") && note.contains("layer2"),
            "{note}"
        );
        assert!(
            !speakers[1].metrics().await.contains("192.0.2.10"),
            "not counted as announced"
        );

        // The interface appears.
        world.add_interface("spare");
        world.wait_for_interfaces("a", &["spare"]).await;
    });
}

/// Status objects of others about a Service that this node took over, and those somebody deleted.
#[test]
fn statuses_are_kept_right() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        world.status_of_a_lost_node("a", "n9").await;
        let _speakers = world.speakers(&["n1", "n2", "n3"]).await;
        world.wait_for_statuses("a", &["n2"]).await;
        let object = world.status("a").await;
        assert!(object.metadata.name.as_ref().unwrap().starts_with("l2-"));
        let labels = object.metadata.labels.clone().unwrap();
        assert_eq!(labels["metallb.io/node"], "n2");
        assert_eq!(labels["metallb.io/service-name"], "a");
        assert_eq!(labels["metallb.io/service-namespace"], "default");
        let owners = object.metadata.owner_references.clone().unwrap();
        assert_eq!(
            (owners[0].kind.as_str(), owners[0].name.as_str()),
            ("Pod", "speaker-n2")
        );

        world.delete_status(&object).await;
        loop {
            world.wait_for_statuses("a", &["n2"]).await;
            if world.status("a").await.metadata.uid != object.metadata.uid {
                break;
            }
        }
    });
}

/// A speaker that starts does not take itself for the owner of what others announce.
#[test]
fn a_restart_moves_nothing() {
    in_namespace(|| async {
        let world = World::start().await;
        world.service("a", "192.0.2.10").await;
        world.endpoint("a", "n1", true).await;
        let mut speakers = world.speakers(&["n1", "n2", "n3"]).await;
        world.wait_for_statuses("a", &["n2"]).await;
        let before = world.status("a").await.metadata.resource_version;

        speakers.remove(0).kill();
        speakers.extend(world.speakers(&["n1"]).await);
        world.service("b", "192.0.2.11").await;
        world.endpoint("b", "n1", true).await;
        loop {
            let frame = world.lan.next_arp().await;
            if frame.sender_mac == world.mac("n1") {
                assert_eq!(
                    frame.sender_ip, B,
                    "the first that is heard of the restarted speaker"
                );
                break;
            }
        }
        world.wait_for_answer(A, "n2").await;
        assert_eq!(world.status("a").await.metadata.resource_version, before);
    });
}
