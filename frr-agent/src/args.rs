//! Flags and environment.

use std::path::PathBuf;

use ipnet::IpNet;
use metallb_crds::duration::Duration;
use metallb_kit::args::Observability;

/// Where metrics and health are served without `--port`.
pub const DEFAULT_PORT: u16 = 9140;

/// Makes FRRouting on this node behave as the FRRConfigurations that select the node say.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    pub observability: Observability,

    /// Name of the Node this agent runs on.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,

    /// Namespace whose FRRConfigurations and Secrets count; by default the one of this pod.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of this pod. BGPSessionStates go away together with it.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Directory with the vty sockets of the FRRouting daemons.
    #[arg(long, default_value = "/var/run/frr")]
    pub frr_socket_dir: PathBuf,

    /// Prefixes, separated by commas, that no peer may announce to us, nor any part of them.
    #[arg(long, value_delimiter = ',', value_parser = prefix)]
    pub always_block: Vec<IpNet>,

    /// How often the BGP and BFD sessions are looked at, such as `1s`.
    #[arg(long, default_value = "1s", value_parser = interval)]
    pub poll_interval: std::time::Duration,
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a prefix such as 10.0.0.0/8"))?;
    Ok(net.trunc())
}

fn interval(text: &str) -> Result<std::time::Duration, String> {
    let interval: Duration = text.parse().map_err(|error| format!("{error}"))?;
    interval
        .as_std()
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| format!("{text:?} must be longer than nothing"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn blocked_prefixes_lose_spaces_and_host_bits() {
        let args = [
            "frr-agent",
            "--node-name=a",
            "--always-block=10.1.2.3/8, 2001:db8::1/32",
        ];
        let args = Args::try_parse_from(args).unwrap();
        assert_eq!(
            args.always_block,
            [
                "10.0.0.0/8".parse::<IpNet>().unwrap(),
                "2001:db8::/32".parse().unwrap()
            ]
        );
        assert_eq!(
            args.observability.address(DEFAULT_PORT),
            "0.0.0.0:9140".parse().unwrap()
        );
    }

    #[test]
    fn a_bad_prefix_is_named() {
        let error =
            Args::try_parse_from(["frr-agent", "--node-name=a", "--always-block=10.1.2.3/33"]).unwrap_err();
        assert!(error.to_string().contains("10.1.2.3/33"), "{error}");
    }

    #[test]
    fn an_interval_of_nothing_is_refused() {
        assert!(Args::try_parse_from(["frr-agent", "--node-name=a", "--poll-interval=0s"]).is_err());
    }
}
