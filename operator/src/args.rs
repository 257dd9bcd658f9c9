//! Flags. The images and ports of what is deployed come from the environment, see [`crate::lifecycle::environment`].

use metallb_kit::args::Observability;

/// Where metrics and health are served without `--port`.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// Installs MetalLB as the MetalLB object says, keeps it running, and plans BGP for all nodes.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub observability: Observability,

    /// Work only while holding the Lease, as is needed with more than one replica.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub enable_leader_election: bool,

    /// Name of this replica for the Lease: the name of the pod.
    #[arg(long, env = "POD_NAME", default_value = "metallb-operator")]
    pub pod_name: String,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Args;

    #[test]
    fn leader_election_is_switched_as_in_go() {
        let args = |flags: &[&str]| Args::try_parse_from([&["operator"], flags].concat()).unwrap();
        assert!(!args(&[]).enable_leader_election);
        assert!(args(&["--enable-leader-election"]).enable_leader_election);
        assert!(args(&["--enable-leader-election=true"]).enable_leader_election);
        assert!(!args(&["--enable-leader-election=false"]).enable_leader_election);
    }
}
