//! Writing to the API: server-side apply with a time-out, and the test that tells whether a write is needed at all.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// How long one call to the API server may take, retries of the client included.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Waits for one API call, at most [`CALL_LIMIT`]. `what` names the call in the error.
pub async fn within<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Api {
            what: what.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::TimedOut {
            what: what.to_owned(),
            limit: CALL_LIMIT,
        }),
    }
}

/// Applies `desired` (server-side, taking over the fields it sets) and returns the stored object.
///
/// `desired` must carry its name, and nothing that it does not mean to own.
pub async fn apply<K>(api: &Api<K>, manager: &str, desired: &K) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let params = PatchParams::apply(manager).force();
    let name = desired.name_any();
    within(
        &call::<K>("apply", desired),
        api.patch(&name, &params, &Patch::Apply(desired)),
    )
    .await
}

/// Applies the status of `desired` through the status subresource.
pub async fn apply_status<K>(api: &Api<K>, manager: &str, desired: &K) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let params = PatchParams::apply(manager).force();
    let name = desired.name_any();
    within(
        &call::<K>("apply status of", desired),
        api.patch_status(&name, &params, &Patch::Apply(desired)),
    )
    .await
}

/// Deletes an object in the background. An object that is not there counts as deleted.
pub async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let what = format!("delete {} {name}", K::kind(&()));
    match within(&what, api.delete(name, &DeleteParams::background())).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn call<K: Resource<DynamicType = ()>>(verb: &str, object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{verb} {} {namespace}/{}", K::kind(&()), object.name_any()),
        None => format!("{verb} {} {}", K::kind(&()), object.name_any()),
    }
}

/// True when every field that `desired` sets has that value in `current`; what `current` has beyond that (defaults
/// of the API server, fields of others) does not matter. Lists must have equal length and cover item by item.
///
/// This cannot see that `desired` *stopped* setting a field; whoever removes fields must also compare what was
/// applied before.
pub fn covers(current: &Value, desired: &Value) -> bool {
    match (current, desired) {
        (Value::Object(current), Value::Object(desired)) => desired.iter().all(|(key, value)| {
            current
                .get(key)
                .map_or(value.is_null(), |present| covers(present, value))
        }),
        (Value::Array(current), Value::Array(desired)) => {
            current.len() == desired.len()
                && current
                    .iter()
                    .zip(desired)
                    .all(|(current, desired)| covers(current, desired))
        }
        (current, desired) => current == desired,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;
    use serde_json::json;

    #[test]
    fn covers_ignores_what_the_other_side_added() {
        let live = json!({"spec": {"replicas": 1, "paused": false, "list": [{"a": 1, "b": 2}]}});
        assert!(covers(
            &live,
            &json!({"spec": {"replicas": 1, "list": [{"a": 1}]}})
        ));
        assert!(!covers(&live, &json!({"spec": {"replicas": 2}})));
        assert!(!covers(&live, &json!({"spec": {"list": [{"a": 1}, {"a": 2}]}})));
        assert!(!covers(&live, &json!({"spec": {"missing": 1}})));
    }
}
