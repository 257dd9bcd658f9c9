//! Flags and environment of the controller.

use std::net::SocketAddr;

use metallb_kit::args::Observability;

/// Gives addresses of the configured pools to Services of type LoadBalancer.
#[derive(Clone, Debug, clap::Parser)]
#[command(version, about)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) observability: Observability,
    /// The namespace whose configuration objects count.
    #[arg(long, env = "METALLB_NAMESPACE", default_value_t = metallb_kit::client::namespace())]
    pub(crate) namespace: String,
    /// Serve only Services with this loadBalancerClass; when empty, only Services without one.
    #[arg(long, default_value = "")]
    lb_class: String,
    /// Secret with the key of the speakers' gossip, created when it does not exist; empty: none is created.
    #[arg(long, env = "METALLB_ML_SECRET_NAME", default_value = "")]
    ml_secret_name: String,
    /// Deployment that owns the objects this program creates, so that they go when it goes.
    #[arg(long, env = "METALLB_DEPLOYMENT", default_value = "")]
    pub(crate) deployment: String,
    /// Name of the pod this runs in: identity for the Lease and owner of the ConfigurationState.
    #[arg(long, env = "METALLB_POD_NAME", default_value = "")]
    pod_name: String,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

/// Flags of the reference implementation for duties that another program of this project has, accepted so that
/// existing manifests start. Each use is logged.
#[derive(Clone, Debug, clap::Args)]
struct Elsewhere {
    /// The controller serves no webhooks.
    #[arg(long, hide = true)]
    webhook_mode: Option<String>,
    #[arg(long, hide = true)]
    webhook_secret: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    webhook_http2: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    disable_cert_rotation: Option<String>,
    #[arg(long, hide = true)]
    cert_dir: Option<String>,
    #[arg(long, hide = true)]
    cert_service_name: Option<String>,
    /// Health is served beside the metrics.
    #[arg(long, hide = true)]
    health_probe_port: Option<String>,
    #[arg(long, hide = true)]
    pprof_bind_address: Option<String>,
}

impl Elsewhere {
    /// Names of the flags that were given.
    fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("webhook-mode", &self.webhook_mode),
            ("webhook-secret", &self.webhook_secret),
            ("webhook-http2", &self.webhook_http2),
            ("disable-cert-rotation", &self.disable_cert_rotation),
            ("cert-dir", &self.cert_dir),
            ("cert-service-name", &self.cert_service_name),
            ("health-probe-port", &self.health_probe_port),
            ("pprof-bind-address", &self.pprof_bind_address),
        ];
        flags
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name)
            .collect()
    }
}

impl Args {
    /// Refuses what would be dangerous to ignore, and logs what is ignored.
    ///
    /// # Errors
    /// `--webhook-mode=onlywebhook`: a process that was not meant to allocate must not do so.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.elsewhere.webhook_mode.as_deref() != Some("onlywebhook"),
            "--webhook-mode=onlywebhook: webhooks are served by the operator; remove this Deployment"
        );
        for flag in self.elsewhere.given() {
            tracing::warn!(
                flag,
                "flag has no effect: this is the duty of the operator, or served on --port"
            );
        }
        Ok(())
    }

    /// The load balancer class served.
    pub(crate) fn class(&self) -> Option<String> {
        non_empty(&self.lb_class).map(str::to_owned)
    }

    /// Name of the Secret to create.
    pub(crate) fn memberlist_secret(&self) -> Option<&str> {
        non_empty(&self.ml_secret_name)
    }

    /// Name of the pod, when known.
    pub(crate) fn pod(&self) -> Option<&str> {
        non_empty(&self.pod_name)
    }

    /// What tells this replica from others: the pod's name, else that of the host with the process id.
    pub(crate) fn identity(&self) -> String {
        self.pod().map_or_else(
            || {
                let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "controller".to_owned());
                format!("{host}-{}", std::process::id())
            },
            str::to_owned,
        )
    }

    /// Where metrics and health are served; `--port=0` turns that off.
    pub(crate) fn listen_on(&self, default_port: u16) -> Option<SocketAddr> {
        Some(self.observability.address(default_port)).filter(|address| address.port() != 0)
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Args;

    fn parse(flags: &[&str]) -> Args {
        Args::try_parse_from(std::iter::once("controller").chain(flags.iter().copied())).unwrap()
    }

    #[test]
    fn no_class_and_no_secret_unless_asked_for() {
        let args = parse(&["--namespace=n"]);
        assert_eq!(
            (args.class(), args.memberlist_secret(), args.pod()),
            (None, None, None)
        );
        let args = parse(&[
            "--lb-class=example.com/x",
            "--ml-secret-name=memberlist",
            "--pod-name=p",
        ]);
        assert_eq!(args.class().as_deref(), Some("example.com/x"));
        assert_eq!(
            (args.memberlist_secret(), args.identity().as_str()),
            (Some("memberlist"), "p")
        );
    }

    #[test]
    fn flags_for_duties_of_others_are_known_but_onlywebhook_is_refused() {
        let args = parse(&[
            "--webhook-mode=enabled",
            "--disable-cert-rotation",
            "--webhook-http2=true",
        ]);
        assert_eq!(
            args.elsewhere.given(),
            ["webhook-mode", "webhook-http2", "disable-cert-rotation"]
        );
        assert!(args.check().is_ok());
        assert!(parse(&["--webhook-mode=onlywebhook"]).check().is_err());
    }

    #[test]
    fn port_zero_turns_the_endpoint_off() {
        assert_eq!(parse(&["--port=0"]).listen_on(9120), None);
        assert_eq!(
            parse(&[]).listen_on(9120).map(|address| address.port()),
            Some(9120)
        );
        assert_eq!(
            parse(&["--host=127.0.0.1", "--metrics-port=1"]).listen_on(9120),
            "127.0.0.1:1".parse().ok()
        );
    }
}
