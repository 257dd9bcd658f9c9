//! The connection to the Kubernetes API server.

use std::path::Path;
use std::time::Duration;

use kube::{Client, Config};

use crate::Error;

const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Connects with the credentials of the pod, or with `KUBECONFIG` outside a cluster. `user_agent` names the program
/// in the API server's audit log.
///
/// There is no overall read time-out, because watches live long; other calls go through [`crate::apply::within`].
pub async fn connect(user_agent: &str) -> Result<Client, Error> {
    // A second installation attempt fails harmlessly: the provider in place is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = Config::infer()
        .await
        .map_err(|error| Error::Config(error.to_string()))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(10));
    let agent = user_agent
        .parse()
        .map_err(|_| Error::Config(format!("user agent {user_agent:?} is not a valid header value")))?;
    config.headers.push((axum::http::header::USER_AGENT, agent));
    Client::try_from(config).map_err(|error| Error::Config(error.to_string()))
}

/// The namespace this process runs in: `POD_NAMESPACE` or `OPERATOR_NAMESPACE` when set, else what the service
/// account says, else `metallb-system`.
pub fn namespace() -> String {
    let from_environment = ["POD_NAMESPACE", "OPERATOR_NAMESPACE"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    from_environment
        .or_else(|| {
            std::fs::read_to_string(Path::new(NAMESPACE_FILE))
                .ok()
                .map(|text| text.trim().to_owned())
        })
        .unwrap_or_else(|| "metallb-system".to_owned())
}
