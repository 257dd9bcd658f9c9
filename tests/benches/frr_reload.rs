//! How long it takes to tell FRRouting of a change: by this project's plan over the vty sockets, and by `frr-reload.py`
//! of the same FRRouting with the same configuration.
//!
//! Both have an FRRouting of their own on one network, and one peer hears both. Measured is the time until everything has
//! been told; before the next change the peer must have heard it. Per kind of change the median and the 99th percentile
//! are printed, and what the peer lost on the way: sessions, and routes that nobody wanted withdrawn.
//!
//! Needs root and FRRouting with `frr-reload.py`; with `METALLB_FRR_ROOT` another release, too. 2000 prefixes, with
//! `BENCH_FULL=1` also 5000.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metallb_frr::daemon::Daemon;
use metallb_frr::merge::Merged;
use metallb_tests::frr::{Instance, Network, Node, Release, merge_yaml, wait_for};

/// How often each change is made by each way. `frr-reload.py` takes seconds.
const RUNS: [usize; 2] = [20, 3];

/// Time for one `frr-reload.py`; a way that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(60);

/// Time for all of `frr-reload.py` with one release and number of prefixes; what is left out is said.
const BUDGET: Duration = Duration::from_secs(100);

fn main() {
    let full = std::env::var_os("BENCH_FULL").is_some_and(|value| value == "1");
    for release in Release::all() {
        for count in [2000, 5000].into_iter().take(if full { 2 } else { 1 }) {
            Bench::new(&release, count).run();
        }
    }
}

/// A change of the configuration, there and back.
struct Change {
    name: [&'static str; 2],
    from: Wanted,
    to: Wanted,
}

/// What is to be announced.
#[derive(Clone, Copy, Default)]
struct Wanted {
    count: u32,
    /// The number of one prefix more.
    extra: Option<u32>,
    has_second_neighbor: bool,
    community: u32,
}

impl Wanted {
    fn len(self) -> u64 {
        u64::from(self.count) + u64::from(self.extra.is_some())
    }

    /// As seen by host `host`, whose prefixes are its own.
    fn merged(self, host: u8) -> Merged {
        // Even numbers, so that there is room in the middle.
        let numbers = (1..=self.count).map(|number| 2 * number).chain(self.extra);
        let prefixes: Vec<String> = numbers
            .map(|n| format!("{}.{}.{}.{}/32", 10 + host, n >> 16, (n >> 8) & 255, n & 255))
            .collect();
        let first = prefixes.first().map(String::as_str).unwrap_or_default();
        let neighbor = |address: &str, asn: u32| {
            let community = format!("{{community: '64500:{}', prefixes: [{first}]}}", self.community);
            let communities = if first.is_empty() {
                String::new()
            } else {
                community
            };
            format!(
                "{{address: {address}, asn: {asn}, connectTime: 1s, toAdvertise: {{allowed: {{mode: all}}, withCommunity: \
                 [{communities}]}}}}"
            )
        };
        let mut neighbors = vec![neighbor(PEER, 64601)];
        neighbors.extend(
            self.has_second_neighbor
                .then(|| neighbor("198.51.100.250", 64602)),
        );
        merge_yaml(&[&format!(
            "bgp: {{routers: [{{asn: 64500, prefixes: [{}], neighbors: [{}]}}]}}",
            prefixes.join(", "),
            neighbors.join(", ")
        )])
    }
}

const PEER: &str = "198.51.100.3";

/// The hosts 1 and 2 of the network, by the way they are configured.
const WAYS: [&str; 2] = ["plan + vty", "frr-reload"];

struct Bench {
    count: u32,
    nodes: [Node; 2],
    /// Host 3.
    peer: Instance,
    withdrawals: Withdrawals,
    /// By kind of change, in the order of the first.
    times: BTreeMap<(usize, &'static str), [Vec<Duration>; 2]>,
    /// Withdrawals that were wanted, per way.
    removed: [usize; 2],
    /// Time that `frr-reload.py` has left.
    budget: Duration,
    _network: Network,
}

impl Bench {
    fn new(release: &Release, count: u32) -> Self {
        let network = Network::new(3);
        let nodes = [1, 2].map(|host| Node::start(release, &network.host(host)));
        let mut peer = Instance::start(&Release::installed(), &network.host(3));
        let mut lines = vec![
            "router bgp 64601".to_owned(),
            "no bgp ebgp-requires-policy".to_owned(),
        ];
        for host in [1, 2] {
            lines.push(format!("neighbor 198.51.100.{host} remote-as 64500"));
            lines.push(format!("neighbor 198.51.100.{host} timers connect 1"));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        peer.configure(Daemon::Bgpd, &lines);
        println!("\nFRRouting {}, {count} prefixes", release.version);
        let can_reload = release.can_reload();
        if !can_reload {
            println!("this FRRouting has no frr-reload.py, of Debian in the package frr-pythontools");
        }
        Self {
            count,
            withdrawals: Withdrawals::follow(&network.host(3)),
            nodes,
            peer,
            times: BTreeMap::new(),
            removed: [0; 2],
            budget: if can_reload { BUDGET } else { Duration::ZERO },
            _network: network,
        }
    }

    fn run(mut self) {
        let all = Wanted {
            count: self.count,
            community: 1,
            ..Wanted::default()
        };
        for (way, runs) in RUNS.into_iter().enumerate() {
            self.go(way, None, Wanted::default());
            self.go(way, Some((0, "all prefixes")), all);
            for (place, change) in changes(all).iter().enumerate() {
                for _ in 0..runs {
                    self.go(way, Some((2 * place + 1, change.name[0])), change.to);
                    self.go(way, Some((2 * place + 2, change.name[1])), change.from);
                }
            }
        }
        self.report();
    }

    /// Configures a node, and waits until the peer has heard all.
    fn go(&mut self, way: usize, change: Option<(usize, &'static str)>, wanted: Wanted) {
        let merged = wanted.merged(HOSTS[way]);
        let Some(took) = self.tell(way, &merged) else {
            return;
        };
        let address = format!("198.51.100.{}", HOSTS[way]);
        let peer = &mut self.peer;
        let mut heard = 0;
        wait_for("all routes at the peer", || {
            let summary = peer.json("bgp ipv4 unicast summary");
            let known = &summary["peers"][&address];
            heard = known["pfxRcd"].as_u64().unwrap_or_default();
            known["state"] == "Established" && heard == wanted.len()
        });
        if let Some(change) = change {
            self.removed[way] += usize::from(change.1.starts_with("one prefix less"));
            self.times.entry(change).or_default()[way].push(took);
        }
    }

    /// `None` if there is no time for it.
    fn tell(&mut self, way: usize, merged: &Merged) -> Option<Duration> {
        let node = &mut self.nodes[way];
        if way == 0 {
            let start = Instant::now();
            let plan = node.plan(merged);
            node.carry_out(&plan);
            let took = start.elapsed();
            node.running = plan.result;
            return Some(took);
        }
        if self.budget.is_zero() {
            return None;
        }
        // The same configuration, marks of routes that are kept included.
        node.running = node.plan(merged).result;
        let text = node.running.text();
        let start = Instant::now();
        let is_done = node
            .frr
            .reload(&text, LIMIT.min(self.budget + Duration::from_secs(1)));
        let took = start.elapsed();
        self.budget = if is_done {
            self.budget.saturating_sub(took)
        } else {
            Duration::ZERO
        };
        is_done.then_some(took)
    }

    fn report(mut self) {
        println!(
            "{:28}{:>12} {:>11} {:>5}{:>15} {:>11} {:>5}{:>8}",
            "", "plan + vty", "p99", "runs", "frr-reload", "p99", "runs", "ratio"
        );
        for ((_, name), times) in &mut self.times {
            let [ours, theirs] = times;
            let ratio = match (median(ours), median(theirs)) {
                (Some(ours), Some(theirs)) => format!("{:.0}x", theirs.as_secs_f64() / ours.as_secs_f64()),
                _ => "-".to_owned(),
            };
            println!("{name:28}{}{}{ratio:>8}", columns(ours, 12), columns(theirs, 15));
        }
        let neighbors = self.peer.json("bgp neighbors");
        for (way, name) in WAYS.iter().enumerate() {
            let resets = &neighbors[format!("198.51.100.{}", HOSTS[way])]["connectionsDropped"];
            let withdrawn = self.withdrawals.count(HOSTS[way]);
            println!(
                "{name}: sessions reset {resets}, routes withdrawn without need {}",
                withdrawn.saturating_sub(self.removed[way])
            );
        }
        if self.budget.is_zero() {
            println!("frr-reload: out of time, the rest was left out");
        }
    }
}

const HOSTS: [u8; 2] = [1, 2];

fn changes(all: Wanted) -> [Change; 5] {
    let one_more = |number| Wanted {
        extra: Some(number),
        ..all
    };
    let change = |name, to| Change { name, from: all, to };
    [
        change(["one prefix more, first", "one prefix less, first"], one_more(1)),
        change(
            ["one prefix more, middle", "one prefix less, middle"],
            one_more(all.count + 1),
        ),
        change(
            ["one prefix more, last", "one prefix less, last"],
            one_more(2 * all.count + 2),
        ),
        change(
            ["one neighbor more", "one neighbor less"],
            Wanted {
                has_second_neighbor: true,
                ..all
            },
        ),
        change(
            ["another community", "the first community again"],
            Wanted { community: 2, ..all },
        ),
    ]
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    percentile(times, 50)
}

fn percentile(times: &mut [Duration], percent: usize) -> Option<Duration> {
    times.sort();
    times
        .get((times.len() * percent).div_ceil(100).checked_sub(1)?)
        .copied()
}

fn columns(times: &mut [Duration], width: usize) -> String {
    let millis = |time: Option<Duration>| {
        time.map_or_else(
            || "-".to_owned(),
            |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        )
    };
    let (middle, most) = (millis(median(times)), millis(percentile(times, 99)));
    format!("{middle:>width$} {most:>11} {:>5}", times.len())
}

/// Routes that the peer's kernel lost.
struct Withdrawals {
    monitor: Child,
    counts: [Arc<AtomicUsize>; 2],
}

impl Withdrawals {
    fn follow(namespace: &str) -> Self {
        let mut monitor = Command::new("ip")
            .args(["-n", namespace, "-4", "monitor", "route"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip exists");
        let output = monitor.stdout.take().expect("standard output is piped");
        let counts: [Arc<AtomicUsize>; 2] = Default::default();
        let counters = counts.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                for (host, counter) in HOSTS.iter().zip(&counters) {
                    if line.starts_with(&format!("Deleted {}.", 10 + host)) {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Self { monitor, counts }
    }

    fn count(&self, host: u8) -> usize {
        let way = HOSTS
            .iter()
            .position(|known| *known == host)
            .expect("one of the hosts");
        self.counts[way].load(Ordering::Relaxed)
    }
}

impl Drop for Withdrawals {
    fn drop(&mut self) {
        // It may have ended already, with its namespace.
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}
