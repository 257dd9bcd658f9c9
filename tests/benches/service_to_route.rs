//! How long it takes from an address in a Service's status to the route in a router's kernel, on the idle lab.
//!
//! Prints every run, the median and the 99th percentile, for the address and for its withdrawal. Run it with
//! `make bench`, which brings the lab up and installs what it needs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use xtask::cluster::Cluster;
use xtask::command;
use xtask::lab::Lab;
use xtask::lab::addresses::EBGP;
use xtask::progress::Progress;
use xtask::{checks, install, objects};

const RUNS: usize = 30;
const NAME: &str = "bench";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    prepare()?;
    let client = metallb_kit::client::connect("metallb-bench").await?;
    let services: Api<Service> = Api::namespaced(client, objects::WEB_NAMESPACE);
    let routes = Routes::follow()?;
    let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        let (up, down) = measure(&services, &routes).await?;
        println!(
            "run {run:2}: announced after {:6.1} ms, withdrawn after {:6.1} ms",
            millis(up),
            millis(down)
        );
        announced.push(up);
        withdrawn.push(down);
    }
    report(
        "address in Service.status -> route in the router's kernel",
        &mut announced,
    );
    report(
        "Service deleted           -> no route in the router's kernel",
        &mut withdrawn,
    );
    Ok(())
}

fn prepare() -> anyhow::Result<()> {
    let (cluster, progress) = (Cluster::new(Lab::open()?), Progress::new());
    install::operator(&cluster, &progress)?;
    install::metallb(&cluster, &progress)?;
    for objects in [
        objects::pools(),
        objects::peers(),
        objects::advertisements(),
        objects::web(2),
    ] {
        cluster.apply(&objects)?;
    }
    let words = format!(
        "-n {} rollout status deployment/web --timeout=120s",
        objects::WEB_NAMESPACE
    );
    cluster.kubectl(&words)?;
    checks::bfd_up(&xtask::lab::router::ROUTERS[0], &cluster.lab().nodes())
}

/// One Service, from its address to its route, and from its deletion to the route's end.
async fn measure(services: &Api<Service>, routes: &Routes) -> anyhow::Result<(Duration, Duration)> {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut changes = watcher(services.clone(), config).applied_objects().boxed();
    let service: Service = serde_json::from_value(objects::service(NAME, objects::BGP_POOL_NAME))?;
    services
        .patch(NAME, &PatchParams::apply("bench"), &Patch::Apply(&service))
        .await?;
    let (address, assigned) = loop {
        let service = changes.try_next().await?.expect("a watch does not end");
        if let Some(address) = address(&service) {
            break (address, Instant::now());
        }
    };
    let announced = routes.wait(|line| !line.starts_with("Deleted") && line.contains(&address));
    let up = announced.saturating_duration_since(assigned);
    let deleted = Instant::now();
    services.delete(NAME, &DeleteParams::default()).await?;
    let withdrawn = routes.wait(|line| line.starts_with("Deleted") && line.contains(&address));
    Ok((up, withdrawn.saturating_duration_since(deleted)))
}

fn address(service: &Service) -> Option<String> {
    service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?
        .first()?
        .ip
        .clone()
}

/// Changes of the eBGP router's routing table, as the kernel reports them.
struct Routes {
    monitor: Child,
    lines: Receiver<(Instant, String)>,
}

impl Routes {
    fn follow() -> anyhow::Result<Self> {
        let mut ip = command::in_namespace(EBGP.namespace, "ip");
        let mut monitor = ip
            .args(["-4", "monitor", "route"])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = monitor.stdout.take().expect("standard output is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { monitor, lines })
    }

    /// When the first line that fits was seen.
    fn wait(&self, fits: impl Fn(&str) -> bool) -> Instant {
        loop {
            let (at, line) = self
                .lines
                .recv_timeout(Duration::from_secs(60))
                .expect("the route changes");
            if fits(&line) {
                return at;
            }
        }
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| millis(times[(times.len() * share).div_ceil(100) - 1]);
    println!(
        "{what}: median {:.1} ms, p99 {:.1} ms, {} runs",
        at(50),
        at(99),
        times.len()
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
