mod interpreter;
mod models;

use std::collections::BTreeSet;

use interpreter::Interpreter;
use proptest::prelude::*;

use super::*;
use crate::model::{Model, Vrf};
use crate::render::{self, NodeSettings};

const VERSIONS: [Version; 2] = [Version { major: 8, minor: 4 }, Version { major: 10, minor: 3 }];

fn rendered(model: &Model) -> Config {
    let node = NodeSettings {
        hostname: "worker-a".to_owned(),
        log_level: metallb_crds::frrk8s::LogLevel::Info,
        always_block: vec!["10.80.8.0/24".parse().unwrap()],
        router_id: None,
    };
    render::config(model, &node)
}

fn lines(plan: &Plan) -> Vec<&str> {
    plan.batches
        .iter()
        .flat_map(|batch| batch.lines.iter().map(String::as_str))
        .collect()
}

fn is_replaced(from: &Model, to: &Model, vrf: &str) -> bool {
    let changes = |vrf: Vrf| {
        let asn = |model: &Model| model.routers.get(&vrf).map(|router| router.asn);
        asn(from).zip(asn(to)).is_some_and(|(from, to)| from != to)
    };
    changes(vrf.parse().unwrap()) || changes(Vrf::Default)
}

/// An FRRouting that was told this configuration.
fn told(config: &Config) -> Interpreter {
    let mut frr = Interpreter::default();
    for line in config.text().lines() {
        frr.execute(line.trim());
    }
    frr
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_is_done_when_nothing_changes(model in models::model()) {
        let config = rendered(&model);
        for version in VERSIONS {
            prop_assert_eq!(plan(&config, &config, version).batches, vec![]);
        }
    }

    #[test]
    fn a_configuration_survives_being_written_and_read(model in models::model()) {
        let config = rendered(&model);
        let read = Config::parse(&config.text());
        prop_assert_eq!(read.text(), config.text());
        prop_assert!(read == config);
        prop_assert_eq!(plan(&read, &config, VERSIONS[0]).batches, vec![]);
    }

    /// Whatever the way: it ends where it shall, and at each step every route is either as it was or as it will be.
    /// Only an instance that gets another AS number loses its sessions, and with them all routes, and with the default
    /// instance those that depend on it.
    #[test]
    fn the_way_leads_to_the_wanted_configuration(from in models::model(), to in models::model()) {
        let (old, wanted) = (rendered(&from), rendered(&to));
        for version in VERSIONS {
            let plan = plan(&old, &wanted, version);
            let mut frr = told(&old);
            let before = frr.routes();
            let after = told(&wanted).routes();
            for line in lines(&plan) {
                frr.execute(line);
                let now = frr.routes();
                for key in now.keys().chain(before.keys()).chain(after.keys()) {
                    if is_replaced(&from, &to, &key.0) {
                        continue;
                    }
                    let (now, before, after) = (now.get(key), before.get(key), after.get(key));
                    prop_assert!(now == before || now == after, "{key:?} is {now:?} after {line}, {before:?} -> {after:?}");
                }
            }
            prop_assert_eq!(frr.state(), told(&plan.result).state());
            prop_assert_eq!(frr.routes(), after);
            prop_assert_eq!(super::plan(&plan.result, &wanted, version).batches, vec![]);
        }
    }

    #[test]
    fn neighbors_that_stay_the_same_are_not_mentioned(from in models::model(), to in models::model()) {
        let (old, wanted) = (rendered(&from), rendered(&to));
        let plan = plan(&old, &wanted, VERSIONS[0]);
        let mut vrf = String::new();
        for line in lines(&plan) {
            if line.starts_with("router bgp ") {
                vrf = line.to_owned();
            }
            let Some(peer) = line.trim_start_matches("no ").strip_prefix("neighbor ") else { continue };
            let peer = peer.split(' ').next().unwrap();
            let session = |config: &Config| -> BTreeSet<String> { told(config).session(&vrf, peer) };
            prop_assert_ne!(session(&old), session(&wanted), "{}", line);
        }
    }
}

/// One more or less of something among many is a matter of a few lines.
#[test]
fn a_plan_is_as_long_as_the_change() {
    let base = models::many_prefixes(5000, 10);
    let mut more = base.clone();
    models::add_prefix(&mut more, "9.0.0.0/24", None);
    let (old, wanted) = (rendered(&base), rendered(&more));
    let there = plan(&old, &wanted, VERSIONS[0]);
    let count = |plan: &Plan| {
        lines(plan)
            .iter()
            .filter(|line| line.contains("9.0.0.0/24"))
            .count()
    };
    assert_eq!(count(&there), 1);
    assert_eq!(lines(&there).len(), 5, "{:?}", there.batches);
    assert_eq!(lines(&plan(&there.result, &old, VERSIONS[0])).len(), 5);

    let mut marked = base.clone();
    models::add_prefix(&mut marked, "9.0.0.0/24", Some(200));
    let there = plan(&old, &rendered(&marked), VERSIONS[0]);
    assert!(
        lines(&there).len() < 10 * 6 + 15,
        "one clause per neighbor: {:?}",
        there.batches
    );
}

/// Others do not hear again what they know when a neighbor comes or goes.
#[test]
fn marks_outlive_neighbors() {
    let (few, more) = (
        rendered(&models::many_prefixes(500, 3)),
        rendered(&models::many_prefixes(500, 4)),
    );
    let there = plan(&few, &more, VERSIONS[0]);
    let back = plan(&there.result, &few, VERSIONS[0]);
    for plan in [&there, &back] {
        let lines = lines(plan);
        assert!(!lines.iter().any(|line| line.contains("network")), "{lines:?}");
        assert!(
            lines
                .iter()
                .all(|line| !line.contains("route-map 198.51.100.1-out")),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.contains("198.51.100.4")),
            "{lines:?}"
        );
    }
    assert!(back.result == few);
    let other = rendered(&models::many_prefixes(500, 4));
    assert_eq!(plan(&there.result, &other, VERSIONS[0]).batches, []);
}

const TWO_FAMILIES: &str = "\
router bgp 64500
 neighbor 198.51.100.2 remote-as 64601
 neighbor 198.51.100.2 password x
 address-family ipv4 unicast
  neighbor 198.51.100.2 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 198.51.100.2 activate
 exit-address-family
exit
";

/// The second family would reset a session that the first one has begun.
#[test]
fn a_new_neighbor_is_let_go_when_all_its_families_are_active() {
    let plan = plan(&Config::default(), &Config::parse(TWO_FAMILIES), VERSIONS[0]);
    let lines = lines(&plan);
    let position = |wanted: &str| lines.iter().position(|line| *line == wanted).unwrap();
    assert_eq!(
        position("neighbor 198.51.100.2 shutdown"),
        position("neighbor 198.51.100.2 remote-as 64601") + 1
    );
    assert_eq!(
        lines[lines.len() - 3..],
        ["exit-address-family", "no neighbor 198.51.100.2 shutdown", "exit"]
    );
}

#[rstest::rstest]
#[case::of_one_family(&TWO_FAMILIES.replace("ipv6", "ipv4"), "")]
#[case::that_was_there(TWO_FAMILIES, &TWO_FAMILIES.replace(" address-family ipv6 unicast\n  neighbor 198.51.100.2 activate\n", ""))]
#[case::of_another_as(TWO_FAMILIES, &TWO_FAMILIES.replace("64601", "64602"))]
#[case::of_a_group_that_was_there(
    &TWO_FAMILIES.replace("198.51.100.2", "GROUP"),
    &TWO_FAMILIES.replace("198.51.100.2", "GROUP").replace("remote-as 64601", "peer-group"),
)]
fn a_neighbor_is_not_shut_down(#[case] wanted: &str, #[case] running: &str) {
    let plan = plan(&Config::parse(running), &Config::parse(wanted), VERSIONS[0]);
    assert!(
        !plan.batches.is_empty() && !lines(&plan).iter().any(|line| line.contains("shutdown")),
        "{plan:?}"
    );
}

/// Text of a user, or what an agent that was killed has left behind.
#[test]
fn bfd_watches_a_new_neighbor_only_when_its_families_are_active() {
    let wanted = Config::parse(
        "router bgp 64500\n neighbor 192.0.2.1 remote-as 64501\n neighbor 192.0.2.1 bfd\n neighbor 192.0.2.1 bfd profile fast\n \
         address-family ipv4 unicast\n  neighbor 192.0.2.1 activate\n exit-address-family\nexit\n",
    );
    for version in VERSIONS {
        let plan = plan(&Config::default(), &wanted, version);
        let lines = lines(&plan);
        let at = |wanted: &str| lines.iter().position(|line| line.trim() == wanted).unwrap();
        assert!(at("neighbor 192.0.2.1 activate") < at("neighbor 192.0.2.1 bfd"));
        assert!(at("neighbor 192.0.2.1 bfd") < at("neighbor 192.0.2.1 bfd profile fast"));
    }
}

#[test]
fn a_neighbor_is_shut_down_as_long_as_it_shall_be() {
    let (open, shut) = (
        Config::parse(TWO_FAMILIES),
        TWO_FAMILIES.replace("password x", "shutdown"),
    );
    let shut = Config::parse(&shut);
    let there = plan(&Config::default(), &shut, VERSIONS[0]);
    assert!(
        !lines(&there).contains(&"no neighbor 198.51.100.2 shutdown"),
        "{there:?}"
    );
    let back = plan(&shut, &open, VERSIONS[0]);
    assert!(
        lines(&back).contains(&"no neighbor 198.51.100.2 shutdown"),
        "{back:?}"
    );
}

#[test]
fn passwords_do_not_show_in_a_plan() {
    let mut model = models::many_prefixes(1, 1);
    models::set_password(&mut model, "s3cr3t!");
    let config = rendered(&model);
    let plan = plan(&Config::default(), &config, VERSIONS[0]);
    assert!(lines(&plan).iter().any(|line| line.ends_with("password s3cr3t!")));
    assert!(config.text().contains("password s3cr3t!\n"));
    for shown in [
        format!("{plan:?}"),
        format!("{config:?}"),
        config.redacted(),
        format!("{model:?}"),
    ] {
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    assert!(config.redacted().contains("password <hidden>\n"));
}
