use std::collections::BTreeMap;

use metallb_crds::frrk8s::{FRRConfigurationSpec, LogLevel};
use metallb_frr::config::Config;
use metallb_frr::daemon::Daemon;
use metallb_frr::diff::{self, Plan};
use metallb_frr::merge::{self, Merged, Named, Secrets};
use metallb_frr::render::{self, NodeSettings};
use metallb_frr::vty::{Reply, Status};

use super::{Instance, Release, wait_for};

/// An FRRouting that is configured by FRRConfigurations, as its agent does it.
#[derive(Debug)]
pub struct Node {
    pub frr: Instance,
    pub settings: NodeSettings,
    /// What FRRouting was told last.
    pub running: Config,
}

impl Node {
    /// Starts FRRouting in a namespace, with an empty configuration.
    pub fn start(release: &Release, namespace: &str) -> Self {
        let settings = NodeSettings {
            hostname: "worker-a".to_owned(),
            log_level: LogLevel::Info,
            always_block: Vec::new(),
            router_id: None,
        };
        Self {
            frr: Instance::start(release, namespace),
            settings,
            running: Config::default(),
        }
    }

    /// Configures FRRouting with these FRRConfigurations, given as YAML, which all must be good. Returns what was done.
    #[track_caller]
    pub fn apply(&mut self, objects: &[&str]) -> Plan {
        let merged = merge_yaml(objects);
        assert!(merged.refused.is_empty(), "{:?}", merged.refused);
        let plan = self.plan(&merged);
        self.carry_out(&plan);
        self.running = plan.result.clone();
        plan
    }

    /// What would have to be done.
    pub fn plan(&self, merged: &Merged) -> Plan {
        let wanted = render::config(&merged.model, &self.settings);
        diff::plan(&self.running, &wanted, self.frr.version())
    }

    /// Carries out a plan, which must succeed.
    #[track_caller]
    pub fn carry_out(&mut self, plan: &Plan) {
        self.attempt(plan).expect("FRRouting takes it");
    }

    /// Sends the commands of a plan until one fails.
    pub fn attempt(&mut self, plan: &Plan) -> Result<(), Failure> {
        for batch in &plan.batches {
            let mut taken = vec![false; batch.lines.len()];
            for daemon in &batch.daemons {
                self.frr.configure(*daemon, &[]);
                for (line, taken) in batch.lines.iter().zip(&mut taken) {
                    let reply = self.tell(*daemon, line);
                    match reply.status {
                        Status::Success => *taken = true,
                        Status::Unknown => {}
                        status => {
                            return Err(Failure {
                                line: line.clone(),
                                status,
                                text: reply.text,
                            });
                        }
                    }
                }
            }
            if let Some((line, _)) = batch.lines.iter().zip(taken).find(|(_, taken)| !taken) {
                return Err(Failure {
                    line: line.clone(),
                    status: Status::Unknown,
                    text: String::new(),
                });
            }
        }
        Ok(())
    }

    /// Sends one line. FRR 10's management daemon takes none while it still commits an earlier one; the agent comes back
    /// then, and so does this.
    fn tell(&mut self, daemon: Daemon, line: &str) -> Reply {
        let mut reply = self.frr.command(daemon, line);
        wait_for("FRRouting's datastore", || {
            let is_locked = reply.text.contains("could not lock running DS");
            if is_locked {
                reply = self.frr.command(daemon, line);
            }
            !is_locked
        });
        reply
    }

    /// What would have to be done to bring FRRouting, as it shows itself, to where it was told to be.
    pub fn difference(&mut self) -> Plan {
        let shown = self.shown();
        diff::plan(&shown, &self.running, self.frr.version())
    }

    /// What FRRouting says its configuration is.
    pub fn shown(&mut self) -> Config {
        let texts = self.frr.running();
        Config::running(
            texts.iter().map(|(daemon, text)| (*daemon, text.as_str())),
            self.frr.version(),
        )
    }
}

/// A command that FRRouting did not take.
#[derive(Debug)]
pub struct Failure {
    pub line: String,
    pub status: Status,
    pub text: String,
}

/// Merges FRRConfigurations that are given as the YAML of their specs, for a node without labels.
pub fn merge_yaml(objects: &[&str]) -> Merged {
    let parse = |yaml: &&str| serde_saphyr::from_str::<FRRConfigurationSpec>(yaml).expect("a valid spec");
    let specs: Vec<FRRConfigurationSpec> = objects.iter().map(parse).collect();
    let names: Vec<String> = (1..=specs.len())
        .map(|number| format!("object-{number}"))
        .collect();
    let named: Vec<Named<'_>> = specs
        .iter()
        .zip(&names)
        .map(|(spec, name)| Named {
            namespace: "metallb-system",
            name,
            spec,
        })
        .collect();
    merge::merge(&BTreeMap::new(), &named, &Secrets::Ignored)
}
