//! Flags and environment.

use std::path::PathBuf;

use anyhow::bail;
use metallb_kit::args::Observability;

use crate::view::Settings;

/// Port of the observability endpoint unless another one is given.
pub const DEFAULT_PORT: u16 = 9120;

/// Makes the addresses of Services reachable from this node's local networks.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "speaker", version)]
pub struct Args {
    /// Flags every program has.
    #[command(flatten)]
    pub observability: Observability,

    /// Name of the Node this runs on [env: METALLB_NODE_NAME or NODE_NAME]
    #[arg(long)]
    pub node_name: Option<String>,

    /// Name of the Pod this runs in; it becomes the owner of status objects [env: METALLB_POD_NAME or POD_NAME]
    #[arg(long)]
    pub pod_name: Option<String>,

    /// MetalLB's own namespace [env: METALLB_NAMESPACE, POD_NAMESPACE or that of the service account]
    #[arg(long)]
    pub namespace: Option<String>,

    /// Labels of the speaker Pods of this installation
    #[arg(
        long,
        env = "METALLB_ML_LABELS",
        default_value = "app=metallb,component=speaker"
    )]
    pub ml_labels: String,

    /// Serve Services with this spec.loadBalancerClass instead of those without a class
    #[arg(long, default_value = "")]
    pub lb_class: String,

    /// Announce also from nodes with the label node.kubernetes.io/exclude-from-external-load-balancers
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub ignore_exclude_lb: bool,

    /// YAML file that lists the interfaces never to answer on
    #[arg(long, default_value = "/etc/metallb/excludel2.yaml")]
    pub excluded_interfaces_file: PathBuf,
}

/// The first variable that is set and not empty.
fn env(names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

impl Args {
    /// Fills in from the environment what was not given as a flag.
    ///
    /// # Errors
    /// When the name of the node is not known.
    pub fn complete(mut self) -> anyhow::Result<Self> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        self.node_name = given(self.node_name).or_else(|| env(&["METALLB_NODE_NAME", "NODE_NAME"]));
        self.pod_name = given(self.pod_name).or_else(|| env(&["METALLB_POD_NAME", "POD_NAME"]));
        self.namespace = given(self.namespace).or_else(|| env(&["METALLB_NAMESPACE"]));
        if self.node_name.is_none() {
            bail!("the name of the node is not known: give --node-name or set METALLB_NODE_NAME");
        }
        Ok(self)
    }

    /// MetalLB's own namespace.
    pub fn namespace(&self) -> String {
        self.namespace
            .clone()
            .unwrap_or_else(metallb_kit::client::namespace)
    }

    /// What decisions depend on.
    pub fn settings(&self) -> Settings {
        Settings {
            node: self.node_name.clone().unwrap_or_default(),
            class: Some(self.lb_class.clone()).filter(|class| !class.is_empty()),
            ignore_exclude_label: self.ignore_exclude_lb,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], None, false)]
    #[case(&["--ignore-exclude-lb"], None, true)]
    #[case(&["--ignore-exclude-lb=true", "--lb-class=example.com/lb"], Some("example.com/lb"), true)]
    #[case(&["--ignore-exclude-lb=false", "--lb-class="], None, false)]
    fn flags_become_settings(#[case] flags: &[&str], #[case] class: Option<&str>, #[case] ignore: bool) {
        let args = Args::try_parse_from(["speaker", "--node-name=n1"].iter().chain(flags)).unwrap();
        let settings = args.complete().unwrap().settings();
        assert_eq!((settings.node.as_str(), settings.class.as_deref()), ("n1", class));
        assert_eq!(settings.ignore_exclude_label, ignore);
    }
}
