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
}

impl Args {
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
