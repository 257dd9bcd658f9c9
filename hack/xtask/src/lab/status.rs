//! What runs and what does not.

use std::fmt::Write as _;

use anyhow::Result;

use super::daemon::Record;
use super::{Lab, network};
use crate::command;

/// Processes, namespaces, nodes and pods, as text.
///
/// # Errors
/// The lab's folder cannot be read.
pub fn describe(lab: &Lab) -> Result<String> {
    let directory = lab.directory();
    let root = directory.root().display();
    if !directory.exists() {
        return Ok(format!("There is no lab in {root}. `make lab-up` makes one.\n"));
    }
    if directory.is_stale()? {
        return Ok(format!(
            "The lab in {root} is from before the last boot. `make lab-up` makes it anew.\n"
        ));
    }
    let mut text = format!("folder    {root}\n");
    for record in Record::all(directory) {
        let state = if record.is_alive() { "running" } else { "DEAD" };
        writeln!(text, "{state:<8}  {} (pid {})", record.name, record.pid)?;
    }
    for namespace in network::namespaces(&directory.nodes()) {
        let state = if network::namespace_exists(&namespace) {
            "present"
        } else {
            "MISSING"
        };
        writeln!(text, "{state:<8}  namespace {namespace}")?;
    }
    for what in [["get", "nodes", "-o", "wide"], ["get", "pods", "-A", "-owide"]] {
        let answer = command::output(lab.command("kubectl").arg("--request-timeout=5s").args(what));
        let answer = answer.unwrap_or_else(|error| format!("no answer from the API server: {error:#}"));
        writeln!(text, "\n{}", answer.trim_end())?;
    }
    Ok(text)
}

/// Prints how to reach the lab without cargo.
pub fn print_hints(lab: &Lab) {
    print!("{}", hints(lab));
}

fn hints(lab: &Lab) -> String {
    let root = lab.directory().root().display();
    format!(
        "kubectl       {root}/kubectl get pods -A    (or: make kubectl ARGS=\"get pods -A\")
any command   {root}/exec CMD ...           (in lab-control, with KUBECONFIG set)
a router      {root}/vtysh ebgp -c 'show bgp summary'    (ebgp, ibgp, mhop)
a client      nsenter --net=/run/netns/lab-bgpclient curl http://ADDRESS/
"
    )
}
