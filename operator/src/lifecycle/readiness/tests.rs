use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::lifecycle::object::Key;

fn desired(kind: Kind) -> Desired {
    let object = json!({
        "apiVersion": "apps/v1", "kind": kind.to_string(), "metadata": {"name": "x"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"spec": {"containers": [{"name": "main", "image": "i:1"}, {"name": "side", "image": "s"}]}},
        },
    });
    Desired {
        key: Key {
            kind,
            name: "x".to_owned(),
        },
        object: serde_json::from_value(object).unwrap(),
    }
}

fn live(kind: Kind, replicas: Option<i32>, status: &Value) -> DynamicObject {
    let mut object = serde_json::to_value(desired(kind).object).unwrap();
    object["metadata"]["generation"] = json!(2);
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object["status"] = status.clone();
    serde_json::from_value(object).unwrap()
}

#[rstest]
#[case::ready(json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2, "numberReady": 2, "numberMisscheduled": 0}), None)]
#[case::no_node_matches(json!({"observedGeneration": 2, "desiredNumberScheduled": 0, "currentNumberScheduled": 0,
    "numberReady": 0, "numberMisscheduled": 0}), None)]
#[case::not_seen(json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2, "numberReady": 2, "numberMisscheduled": 0}), Some("waiting for the cluster to act on it"))]
#[case::new(json!({"desiredNumberScheduled": 0, "currentNumberScheduled": 0, "numberReady": 0,
    "numberMisscheduled": 0}), Some("waiting for the cluster to act on it"))]
#[case::not_created(json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 1,
    "updatedNumberScheduled": 1, "numberReady": 1, "numberMisscheduled": 0}), Some("1 of 2 pods created"))]
#[case::rolling(json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
    "updatedNumberScheduled": 1, "numberReady": 2, "numberMisscheduled": 0}), Some("1 of 2 pods updated"))]
#[case::not_ready(json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
    "updatedNumberScheduled": 2, "numberReady": 1, "numberMisscheduled": 0}), Some("1 of 2 pods ready"))]
fn a_daemon_set_says_what_it_waits_for(#[case] status: Value, #[case] waiting: Option<&str>) {
    let live = live(Kind::DaemonSet, None, &status);
    let component = component(&desired(Kind::DaemonSet), Some(&live)).unwrap();
    assert_eq!(component.waiting.as_deref(), waiting);
    assert_eq!(component.status.image, "i:1");
    assert_eq!(component.selector["app"], "a");
}

#[rstest]
#[case::one_by_default(None, json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}), None)]
#[case::scaled_to_zero(Some(0), json!({"observedGeneration": 2}), None)]
#[case::not_ready(Some(2), json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}),
    Some("1 of 2 pods ready"))]
#[case::old_pod_left(Some(1), json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}),
    Some("1 old pods to go"))]
#[case::quota(Some(1), json!({"observedGeneration": 2, "conditions": [
    {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}), Some("0 of 1 pods created: exceeded quota"))]
fn a_deployment_says_what_it_waits_for(
    #[case] replicas: Option<i32>,
    #[case] status: Value,
    #[case] waiting: Option<&str>,
) {
    let live = live(Kind::Deployment, replicas, &status);
    let component = component(&desired(Kind::Deployment), Some(&live)).unwrap();
    assert_eq!(component.waiting.as_deref(), waiting);
}

#[test]
fn what_does_not_exist_is_not_ready() {
    let component = component(&desired(Kind::DaemonSet), None).unwrap();
    assert_eq!(component.message(), "does not exist yet");
}

#[test]
fn what_is_no_workload_is_no_component() {
    let mut config_map = desired(Kind::DaemonSet);
    config_map.key.kind = Kind::ConfigMap;
    assert_eq!(component(&config_map, None), None);
}

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"nodeName": "n2", "containers": []}, "status": status,
    }))
    .unwrap()
}

fn container(state: &Value) -> Value {
    let mut container =
        json!({"name": "c", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0});
    for (key, value) in state.as_object().unwrap() {
        container[key] = value.clone();
    }
    json!({"containerStatuses": [container]})
}

#[rstest]
#[case(json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}}), true, "container c image i:1 cannot be pulled")]
#[case(json!({"state": {"waiting": {"reason": "ErrImagePull"}}}), true, "container c image i:1 cannot be pulled")]
#[case(
    json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "message": "no such flag\n"}}}),
    true,
    "container c keeps ending with exit code 1: no such flag"
)]
#[case(
    json!({"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"s\" not found"}}}),
    true,
    "container c cannot be started (CreateContainerConfigError): secret \"s\" not found"
)]
#[case(json!({"state": {"waiting": {"reason": "ContainerCreating"}}}), false, "container c is starting")]
#[case(json!({"state": {"running": {}}}), false, "container c is not ready")]
#[case(
    json!({"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137}}}),
    false,
    "container c is not ready; it was restarted after it ended with exit code 137"
)]
fn a_pod_says_why_it_is_not_ready(#[case] state: Value, #[case] lasting: bool, #[case] cause: &str) {
    let problem = problem(&pod(&container(&state))).unwrap();
    assert_eq!(
        (problem.lasting, problem.place.as_str(), problem.cause.as_str()),
        (lasting, "node n2", cause)
    );
}

#[test]
fn a_pod_without_a_node_is_named_itself() {
    let mut pod = pod(&json!({"conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}));
    pod.spec = None;
    let problem = problem(&pod).unwrap();
    assert_eq!(problem.place, "pod p");
    assert_eq!(problem.cause, "cannot be scheduled: 0/2 nodes are available");
}

#[rstest]
#[case(json!({"conditions": [{"type": "Ready", "status": "True"}]}))]
fn a_ready_pod_has_no_problem(#[case] status: Value) {
    assert_eq!(problem(&pod(&status)), None);
}

#[test]
fn the_container_that_will_not_recover_is_named_before_one_that_starts() {
    let status = json!({"containerStatuses": [
        {"name": "a", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull"}}},
        {"name": "b", "image": "j", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}},
    ]});
    assert_eq!(
        problem(&pod(&status)).unwrap().cause,
        "container a image i cannot be pulled"
    );
}

#[test]
fn a_message_names_some_pods_and_counts_the_rest() {
    let mut component = component(&desired(Kind::DaemonSet), None).unwrap();
    component.waiting = Some("0 of 5 pods ready".to_owned());
    component.problems = (1..=5)
        .map(|number| Problem {
            lasting: number == 5,
            place: format!("node {number}"),
            cause: "broken".to_owned(),
        })
        .collect();
    assert_eq!(
        component.message(),
        "0 of 5 pods ready; node 5: broken; node 1: broken; node 2: broken; and 2 more"
    );
}
