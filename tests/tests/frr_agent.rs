//! The agent between a real API server and a real FRRouting with a real peer.

#[cfg(test)]
#[path = "frr_agent/lab.rs"]
mod lab;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node as KubernetesNode, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use metallb_crds::frrk8s::{BGPSessionState, FRRK8sConfiguration};
use metallb_frr::daemon::Daemon;
use metallb_kit::tasks::Tasks;
use metallb_tests::frr::{Release, wait_for};
use serde_json::{Value, json};

use lab::{Lab, NAMESPACE, NODE, args, deadline, free_port};

/// A router that tells the peer of `prefixes`; `neighbor` holds further fields of the neighbor.
fn router(prefixes: &[&str], neighbor: &Value) -> Value {
    let mut peer = json!({
        "address": "198.51.100.2", "asn": 64601, "connectTime": "1s",
        "toAdvertise": { "allowed": { "mode": "all" } },
    });
    for (field, value) in neighbor.as_object().into_iter().flatten() {
        peer[field] = value.clone();
    }
    json!({ "bgp": { "routers": [{ "asn": 64500, "prefixes": prefixes, "neighbors": [peer] }] } })
}

#[tokio::test]
async fn an_frr_configuration_becomes_routes_at_the_peer() {
    for release in Release::all() {
        let mut lab = Lab::new(&release).await;
        lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
        lab.wait_for_routes(&["10.70.1.0/24"]).await;
        lab.wait_for_sessions(&[("198.51.100.2", "Established")]).await;
        lab.wait_for_state("the running configuration", |state| {
            state.last_conversion_result == "success"
                && state.last_reload_result == "success"
                && state.running_config.contains("router bgp 64500")
        })
        .await;
        assert!(lab.get("/readyz").await.starts_with("HTTP/1.1 200"));

        lab.apply("a", router(&["10.70.1.0/24", "10.70.2.0/24"], &json!({})))
            .await;
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]).await;
        let metrics = lab.get("/metrics").await;
        assert!(
            metrics.contains("frrk8s_bgp_session_up{peer=\"198.51.100.2\",vrf=\"default\"} 1"),
            "{metrics}"
        );
        assert!(
            metrics.contains("frrk8s_k8s_client_config_stale_bool 0"),
            "{metrics}"
        );

        // Only objects that select the node count, and only its own labelled ones.
        lab.apply(
            "b",
            json!({
                "nodeSelector": { "matchLabels": { "zone": "west" } },
                "bgp": { "routers": [{ "asn": 64501 }] },
            }),
        )
        .await;
        lab.wait_for_state("no refusal", |state| state.last_conversion_result == "success")
            .await;

        lab.configurations()
            .delete("a", &DeleteParams::default())
            .await
            .unwrap();
        lab.wait_for_routes(&[]).await;
        lab.wait_for_sessions(&[]).await;
    }
}

#[tokio::test]
async fn a_restarted_daemon_gets_its_configuration_again() {
    for release in Release::all() {
        let mut lab = Lab::new(&release).await;
        lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
        lab.wait_for_routes(&["10.70.1.0/24"]).await;
        lab.frr.kill_daemon(Daemon::Bgpd);
        lab.wait_for_routes(&[]).await;
        lab.frr.start_daemon(Daemon::Bgpd);
        lab.wait_for_routes(&["10.70.1.0/24"]).await;
        lab.wait_for_state("success", |state| state.last_reload_result == "success")
            .await;
    }
}

#[tokio::test]
async fn what_somebody_else_changed_in_frr_is_put_right() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
    lab.frr.configure(Daemon::Bgpd, &["no router bgp 64500"]);
    lab.wait_for_routes(&[]).await;
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
}

#[tokio::test]
async fn an_agent_that_ends_leaves_frr_alone() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
    let before = lab.frr.show("running-config");
    lab.stop_agent();
    lab.configurations()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.frr.show("running-config"), before);
}

#[tokio::test]
async fn one_bad_object_takes_nothing_down() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
    lab.wait_for_routes(&["10.70.1.0/24"]).await;

    // Another AS number: it contradicts `a`, which is in force.
    lab.apply("0", json!({ "bgp": { "routers": [{ "asn": 64999 }] } }))
        .await;
    lab.wait_for_state("the refused object", |state| {
        state.last_conversion_result.starts_with("failed: ")
            && state.last_conversion_result.contains("metallb-system/0")
    })
    .await;
    // An object in force that is broken by a change stays in force as it was.
    lab.apply("a", router(&["10.70.1.0/24", "nonsense"], &json!({})))
        .await;
    lab.wait_for_state("the broken object", |state| {
        state.last_conversion_result.contains("metallb-system/a")
    })
    .await;
    lab.configurations()
        .delete("0", &DeleteParams::default())
        .await
        .unwrap();
    lab.wait_for_state("one refusal less", |state| {
        !state.last_conversion_result.contains("metallb-system/0")
    })
    .await;
    assert_eq!(lab.routes(), ["10.70.1.0/24"]);

    lab.apply("a", router(&["10.70.3.0/24"], &json!({}))).await;
    lab.wait_for_routes(&["10.70.3.0/24"]).await;
    lab.wait_for_state("success", |state| state.last_conversion_result == "success")
        .await;
}

/// How long it takes is printed (`--nocapture`), not asserted: machines differ.
#[tokio::test]
async fn one_prefix_more_among_five_thousand_is_announced_and_then_shown() {
    for release in Release::all() {
        let mut lab = Lab::new(&release).await;
        let prefixes: Vec<String> = (1..=5000)
            .map(|n| format!("10.80.{}.{}/32", n / 256, n % 256))
            .collect();
        let mut prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        lab.apply("a", router(&prefixes, &json!({}))).await;
        let heard = |lab: &mut Lab| {
            let summary = lab.peer.json("bgp ipv4 unicast summary");
            summary["peers"]["198.51.100.1"]["pfxRcd"].as_u64()
        };
        let deadline = deadline();
        while heard(&mut lab) != Some(5000) {
            assert!(Instant::now() < deadline, "{:?} prefixes", heard(&mut lab));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for (number, more) in ["10.79.0.1/32", "10.80.8.0/31", "10.99.0.1/32"]
            .into_iter()
            .enumerate()
        {
            prefixes.push(more);
            let start = Instant::now();
            lab.apply("a", router(&prefixes, &json!({}))).await;
            let applied = start.elapsed();
            while heard(&mut lab) != Some(5001 + number as u64) {
                assert!(Instant::now() < deadline, "{more} is not heard of");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            println!(
                "{}: {more} applied in {applied:?}, heard after {:?}",
                release.version,
                start.elapsed()
            );
        }
        lab.wait_for_state("the last one in the running configuration", |state| {
            state.last_reload_result == "success" && state.running_config.contains("network 10.99.0.1/32")
        })
        .await;
    }
}

#[tokio::test]
async fn a_line_that_frr_refuses_is_named_and_the_rest_is_done() {
    for release in Release::all() {
        let mut lab = Lab::new(&release).await;
        lab.apply(
            "raw",
            json!({ "raw": { "rawConfig": "there is no such command\n" } }),
        )
        .await;
        lab.apply("z", router(&["10.70.1.0/24"], &json!({}))).await;
        lab.wait_for_routes(&["10.70.1.0/24"]).await;
        lab.wait_for_state("the refused line", |state| {
            state.last_reload_result.contains("ERROR")
                && state.last_reload_result.contains("there is no such command")
        })
        .await;
        assert!(
            lab.get("/metrics")
                .await
                .contains("frrk8s_k8s_client_config_stale_bool 1")
        );
        lab.configurations()
            .delete("raw", &DeleteParams::default())
            .await
            .unwrap();
        lab.wait_for_state("success", |state| state.last_reload_result == "success")
            .await;
    }
}

#[tokio::test]
async fn a_password_from_a_secret_is_used_and_not_shown() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.peer.configure(
        Daemon::Bgpd,
        &["router bgp 64601", "neighbor 198.51.100.1 password s3cr3t!"],
    );
    lab.apply(
        "a",
        router(&["10.70.1.0/24"], &json!({ "passwordSecret": { "name": "bgp" } })),
    )
    .await;
    lab.wait_for_state("the missing Secret", |state| {
        state.last_conversion_result.contains("secret bgp not found")
    })
    .await;

    let secret = json!({
        "metadata": { "name": "bgp" }, "type": "kubernetes.io/basic-auth", "stringData": { "password": "s3cr3t!" },
    });
    let secrets: Api<Secret> = Api::namespaced(lab.client.clone(), NAMESPACE);
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret).unwrap())
        .await
        .unwrap();
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
    lab.wait_for_state("the running configuration", |state| {
        state.last_conversion_result == "success" && state.running_config.contains(" password ")
    })
    .await;
    assert!(!lab.state().await.running_config.contains("s3cr3t"));

    // The session does not depend on the Secret being there for ever.
    secrets.delete("bgp", &DeleteParams::default()).await.unwrap();
    lab.wait_for_state("the missing Secret", |state| {
        state.last_conversion_result.contains("secret bgp not found")
    })
    .await;
    assert_eq!(lab.routes(), ["10.70.1.0/24"]);
}

#[tokio::test]
async fn a_label_of_the_node_selects_other_objects() {
    let mut lab = Lab::new(&Release::installed()).await;
    for (zone, prefix) in [("east", "10.70.1.0/24"), ("west", "10.70.2.0/24")] {
        let mut spec = router(&[prefix], &json!({}));
        spec["nodeSelector"] = json!({ "matchLabels": { "zone": zone } });
        lab.apply(zone, spec).await;
    }
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
    // FRRouting 8.4 can lose the withdrawal of a route right after the session came up.
    wait_for("a settled session", || {
        let neighbor = &lab.peer.json("bgp neighbors 198.51.100.1")["198.51.100.1"];
        neighbor["bgpTimerUpMsec"].as_u64() >= Some(3000)
    });
    let nodes: Api<KubernetesNode> = Api::all(lab.client.clone());
    let patch = json!({ "metadata": { "labels": { "zone": "west" } } });
    let node = nodes
        .patch(NODE, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    assert_eq!(node.labels().get("zone").map(String::as_str), Some("west"));
    lab.wait_for_routes(&["10.70.2.0/24"]).await;
}

#[tokio::test]
async fn an_agent_that_starts_takes_over_a_running_frr_without_a_stir() {
    for release in Release::all() {
        let mut lab = Lab::new(&release).await;
        let prefixes: Vec<String> = (0..20).map(|number| format!("10.70.{number}.0/24")).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        lab.apply(
            "a",
            router(
                &prefixes,
                &json!({ "ebgpMultiHop": true, "holdTime": "90s", "keepaliveTime": "30s" }),
            ),
        )
        .await;
        lab.wait_for_state("success", |state| state.running_config.contains("10.70.19.0/24"))
            .await;
        lab.wait_for_sessions(&[("198.51.100.2", "Established")]).await;
        let table = |lab: &mut Lab| {
            lab.peer.json("bgp neighbors 198.51.100.1")["198.51.100.1"]["connectionsDropped"].clone()
        };
        let (dropped, sent) = (table(&mut lab), lab.frr.show("running-config"));

        lab.restart_agent(&release);
        lab.apply(
            "b",
            router(
                &["10.71.0.0/24"],
                &json!({ "ebgpMultiHop": true, "holdTime": "90s", "keepaliveTime": "30s" }),
            ),
        )
        .await;
        let deadline = deadline();
        while !lab.routes().contains(&"10.71.0.0/24".to_owned()) {
            assert!(
                Instant::now() < deadline,
                "the new agent does nothing: {:?}",
                lab.state().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(table(&mut lab), dropped, "the session was reset");
        let after = lab.frr.show("running-config");
        let kept: Vec<_> = sent.lines().filter(|line| !after.contains(*line)).collect();
        assert_eq!(kept, [""; 0], "lines were changed without need");
    }
}

#[tokio::test]
async fn without_an_api_server_frr_keeps_and_regains_its_configuration() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
    lab.api = None;
    lab.frr.kill_daemon(Daemon::Bgpd);
    wait_for("the end of the session", || {
        lab.peer.json("bgp ipv4 unicast")["routes"]["10.70.1.0/24"].is_null()
    });
    lab.frr.start_daemon(Daemon::Bgpd);
    let deadline = deadline();
    while lab.routes() != ["10.70.1.0/24"] {
        assert!(
            Instant::now() < deadline,
            "bgpd stays unconfigured: {}",
            lab.frr.show("running-config")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_log_level_can_be_changed_at_run_time() {
    let mut lab = Lab::new(&Release::installed()).await;
    lab.wait_for_state("success", |state| {
        state.running_config.contains("log stdout informational")
    })
    .await;
    let api: Api<FRRK8sConfiguration> = Api::namespaced(lab.client.clone(), NAMESPACE);
    for name in ["other", "config"] {
        let object = json!({ "metadata": { "name": name }, "spec": { "logLevel": "debug" } });
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
    }
    lab.wait_for_state("the debug level", |state| {
        state.last_reload_result == "success" && state.running_config.contains("debug bgp keepalives")
    })
    .await;
    let shown = lab.frr.show("running-config");
    // The level `debugging` is not shown, because it is the default of the command.
    assert!(
        shown.contains("debug bgp keepalives") && !shown.contains("log stdout informational"),
        "{shown}"
    );
    api.delete("config", &DeleteParams::default()).await.unwrap();
    lab.wait_for_state("the level of the flag", |state| {
        state.running_config.contains("log stdout informational")
            && !state.running_config.contains("debug bgp")
    })
    .await;
}

#[tokio::test]
async fn session_states_go_away_with_the_pod() {
    let mut lab = Lab::new(&Release::installed()).await;
    let pod = json!({
        "metadata": { "name": "agent-1" },
        "spec": { "containers": [{ "name": "agent", "image": "agent" }] },
    });
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), NAMESPACE);
    let pod = pods
        .create(&PostParams::default(), &serde_json::from_value(pod).unwrap())
        .await
        .unwrap();
    lab.stop_agent();
    let release = Release::installed();
    let mut args = args(&release, &lab.network.host(1), free_port());
    args.pod_name = Some(pod.name_any());
    lab.tasks = Tasks::new();
    frr_agent::start(&lab.tasks, &lab.client, args).unwrap();

    lab.apply("a", router(&["10.70.1.0/24"], &json!({}))).await;
    lab.wait_for_sessions(&[("198.51.100.2", "Established")]).await;
    let api: Api<BGPSessionState> = Api::namespaced(lab.client.clone(), NAMESPACE);
    let state = api.list(&ListParams::default()).await.unwrap().items.remove(0);
    let owners: Vec<_> = state
        .owner_references()
        .iter()
        .map(|owner| Some(owner.uid.clone()))
        .collect();
    assert_eq!(owners, [pod.uid()]);
    assert_eq!(
        state.labels().get("frrk8s.metallb.io/node").map(String::as_str),
        Some(NODE)
    );
    lab.wait_for_routes(&["10.70.1.0/24"]).await;
}
