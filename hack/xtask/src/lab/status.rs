//! What runs and what does not.

use anyhow::Result;

use super::daemon::Record;
use super::{Lab, network};
use crate::command;

/// Prints processes, namespaces, nodes and pods.
///
/// # Errors
/// The lab's folder cannot be read.
pub fn print(lab: &Lab) -> Result<()> {
    let directory = lab.directory();
    if !directory.exists() {
        println!(
            "There is no lab in {}. `make lab-up` makes one.",
            directory.root().display()
        );
        return Ok(());
    }
    if directory.is_stale()? {
        println!(
            "The lab in {} is from before the last boot. `make lab-up` makes it anew.",
            directory.root().display()
        );
        return Ok(());
    }
    println!("folder      {}", directory.root().display());
    for record in Record::all(directory) {
        let state = if record.is_alive() { "running" } else { "DEAD" };
        println!("{state:<8}    {} (pid {})", record.name, record.pid);
    }
    for namespace in network::namespaces(&directory.nodes()) {
        let state = if network::namespace_exists(&namespace) {
            "present"
        } else {
            "MISSING"
        };
        println!("{state:<8}    namespace {namespace}");
    }
    for what in [["get", "nodes", "-o", "wide"], ["get", "pods", "-A", "-owide"]] {
        println!();
        let mut kubectl = lab.command("kubectl");
        let text = command::output(kubectl.arg("--request-timeout=5s").args(what));
        println!(
            "{}",
            text.unwrap_or_else(|error| format!("no answer from the API server: {error:#}"))
                .trim_end()
        );
    }
    Ok(())
}

/// How to reach the lab without cargo.
pub fn print_hints(lab: &Lab) {
    let root = lab.directory().root().display();
    println!("kubectl:    {root}/kubectl get pods -A        (or: make kubectl ARGS=\"get pods -A\")");
    println!("any program inside, with KUBECONFIG set:  {root}/exec CMD ...");
    println!("a router:   {root}/vtysh ebgp -c 'show bgp summary'   (ebgp, ibgp, mhop)");
    println!("a client:   nsenter --net=/run/netns/lab-bgpclient curl http://ADDRESS/");
}
