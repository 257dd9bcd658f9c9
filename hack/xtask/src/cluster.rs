//! The lab's cluster as a user sees it: through kubectl.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::command;
use crate::lab::Lab;

/// Where MetalLB is installed.
pub const NAMESPACE: &str = "metallb-system";

/// kubectl, with JSON in and out.
#[derive(Clone, Debug)]
pub struct Cluster {
    lab: Lab,
}

impl Cluster {
    /// The cluster of this lab; touches nothing.
    pub fn new(lab: Lab) -> Self {
        Self { lab }
    }

    /// The lab under it.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Runs kubectl with these blank-separated words and returns what it prints.
    ///
    /// # Errors
    /// kubectl fails; its message is in the error.
    pub fn kubectl(&self, words: &str) -> Result<String> {
        let mut kubectl = self.lab.command("kubectl");
        command::output(
            kubectl
                .arg("--request-timeout=30s")
                .args(words.split_whitespace()),
        )
    }

    /// Applies objects server-side, with strict validation. The objects may be of kinds whose definition is only
    /// now becoming known to the API server, so a refusal is tried again for a short time.
    ///
    /// # Errors
    /// The API server refuses an object.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.apply_text(&list.to_string())
    }

    /// Applies the objects of a YAML text, as [`Cluster::apply`] does.
    ///
    /// # Errors
    /// The API server refuses an object.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        let mut kubectl = self.lab.command("kubectl");
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--validate=strict",
            "-f",
            "-",
        ]);
        command::with_input(&mut kubectl, text).map(drop)
    }

    /// Deletes objects and waits until they are gone; objects that are not there are gone already.
    ///
    /// # Errors
    /// The API server refuses, or an object stays for two minutes.
    pub fn delete(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let mut kubectl = self.lab.command("kubectl");
        kubectl.args(["delete", "--ignore-not-found", "--timeout=120s", "-f", "-"]);
        command::with_input(&mut kubectl, &list.to_string()).map(drop)
    }

    /// Reads with `kubectl get <words> -o json`.
    ///
    /// # Errors
    /// kubectl fails, for example because the object does not exist.
    pub fn get(&self, words: &str) -> Result<Value> {
        let text = self.kubectl(&format!("get {words} -o json"))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl get {words} printed no JSON"))
    }

    /// Reads a list with `kubectl get <words> -o json` and returns its items.
    ///
    /// # Errors
    /// As [`Cluster::get`].
    pub fn items(&self, words: &str) -> Result<Vec<Value>> {
        let mut list = self.get(words)?;
        let items = list["items"].as_array_mut().context("kubectl printed no list")?;
        Ok(std::mem::take(items))
    }

    /// Whether `kubectl get <words>` finds something.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn exists(&self, words: &str) -> Result<bool> {
        Ok(!self
            .kubectl(&format!("get {words} --ignore-not-found -o name"))?
            .trim()
            .is_empty())
    }

    /// The addresses in the status of a Service, in their order.
    ///
    /// # Errors
    /// The Service does not exist.
    pub fn addresses(&self, namespace: &str, service: &str) -> Result<Vec<String>> {
        let service = self.get(&format!("service -n {namespace} {service}"))?;
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
        let ip = |entry: &Value| entry["ip"].as_str().map(str::to_owned);
        Ok(ingress.into_iter().flatten().filter_map(ip).collect())
    }

    /// Waits until a Service has `count` addresses, and returns them.
    ///
    /// # Errors
    /// It does not get them within `limit`.
    pub fn wait_addresses(
        &self,
        namespace: &str,
        service: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        command::wait_until(
            &format!("{count} addresses for {namespace}/{service}"),
            limit,
            || {
                found = self.addresses(namespace, service)?;
                ensure!(found.len() == count, "it has {found:?}");
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// Status, reason and message of a condition of an object read with [`Cluster::get`]; `None` when it is absent.
    pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<(&'a str, &'a str, &'a str)> {
        let conditions = object["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|condition| condition["type"] == type_)?;
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Waits until a condition of an object has this status.
    ///
    /// # Errors
    /// It does not within `limit`; the last reason and message are in the error.
    pub fn wait_condition(&self, words: &str, type_: &str, status: &str, limit: Duration) -> Result<()> {
        command::wait_until(&format!("{words}: {type_} is {status}"), limit, || {
            let object = self.get(words)?;
            let (found, reason, message) =
                Self::condition(&object, type_).context("no such condition yet")?;
            ensure!(found == status, "it is {found}: {reason}: {message}");
            Ok(())
        })
    }

    /// Names of the pods that a label selector finds in MetalLB's namespace, with the node each runs on.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn pods(&self, selector: &str) -> Result<Vec<(String, String)>> {
        let pods = self.items(&format!("pods -n {NAMESPACE} -l {selector}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(pods
            .iter()
            .map(|pod| (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"])))
            .collect())
    }
}
