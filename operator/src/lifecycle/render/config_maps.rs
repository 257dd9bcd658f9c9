//! Files for the programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume};

use super::{Installation, frr_k8s_labels, labels};

/// The ConfigMap with the interfaces on which the speaker never answers.
pub(super) const EXCLUDED_INTERFACES: &str = "metallb-excludel2";
/// The ConfigMap with what FRR reads when it starts.
pub(super) const FRR_STARTUP: &str = "frr-startup";

/// Patterns of interface names that belong to containers, virtual machines or the loopback: an address answered for
/// there would be answered for inside the node only.
const EXCLUDED: [&str; 14] = [
    "^docker.*",
    "^cbr.*",
    "^dummy.*",
    "^virbr.*",
    "^lxcbr.*",
    "^veth.*",
    "^lo$",
    "^cali.*",
    "^tunl.*",
    "^flannel.*",
    "^kube-ipvs.*",
    "^cni.*",
    "^nodelocaldns.*",
    "^lxc.*",
];

/// Daemons of FRR that stay off: this project configures BGP and BFD only.
const OFF: [&str; 15] = [
    "ospfd", "ospf6d", "ripd", "ripngd", "isisd", "pimd", "pim6d", "ldpd", "nhrpd", "eigrpd", "babeld",
    "sharpd", "pbrd", "fabricd", "vrrpd",
];

/// The interfaces on which the speaker never answers.
pub(super) fn excluded_interfaces(installation: Installation<'_>) -> ConfigMap {
    let mut text = String::from("announcedInterfacesToExclude:\n");
    for pattern in EXCLUDED {
        text.push_str("- ");
        text.push_str(pattern);
        text.push('\n');
    }
    ConfigMap {
        metadata: installation.namespaced(EXCLUDED_INTERFACES, labels([("app", "metallb")])),
        data: Some(BTreeMap::from([("excludel2.yaml".to_owned(), text)])),
        ..ConfigMap::default()
    }
}

/// Which daemons FRR starts, and an empty configuration: the agent fills it at run time.
pub(super) fn frr_startup(installation: Installation<'_>) -> ConfigMap {
    let data = [
        ("daemons", daemons()),
        ("vtysh.conf", "service integrated-vtysh-config\n".to_owned()),
        (
            "frr.conf",
            "log stdout informational
"
            .to_owned(),
        ),
    ];
    ConfigMap {
        metadata: installation.namespaced(FRR_STARTUP, frr_k8s_labels()),
        data: Some(data.map(|(name, text)| (name.to_owned(), text)).into()),
        ..ConfigMap::default()
    }
}

/// bgpd opens no port (`-p 0`): sessions are only ever started from the node. zebra keeps routes for two minutes when
/// bgpd restarts (`-K`), and has a netlink buffer for large routing tables (`-s`). Nothing listens for telnet (`-P 0`): it
/// would be on the node's own loopback.
fn daemons() -> String {
    let mut text = String::from("bgpd=yes\nbfdd=yes\n");
    for daemon in OFF {
        text.push_str(daemon);
        text.push_str("=no\n");
    }
    text.push_str("vtysh_enable=yes\n");
    for (daemon, options) in [
        ("zebra", "-P 0 -s 90000000 -K 120"),
        ("mgmtd", "-P 0"),
        ("staticd", "-P 0"),
        ("bgpd", "-P 0 -p 0"),
        ("bfdd", "-P 0"),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{daemon}_options=\"{options} --limit-fds 100000\"");
    }
    text
}

/// A volume of the same name as its ConfigMap.
pub(super) fn volume(config_map: &str) -> Volume {
    Volume {
        name: config_map.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}
