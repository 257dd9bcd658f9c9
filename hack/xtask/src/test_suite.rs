//! What `make test` runs, in this order, until something fails.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::kubernetes_binaries::Binaries;
use crate::lab::Lab;
use crate::lab::addresses::CONTROL;
use crate::lint::cargo;
use crate::progress::Progress;
use crate::{command, generate, images, lint, packages};

/// Nodes of the lab in which the end-to-end tests run.
const NODES: u8 = 2;

/// Passed and failed tests, summed over everything that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    passed: u64,
    failed: u64,
}

/// Runs everything and prints `N passed, N failed` at the end, also after a failure.
///
/// # Errors
/// The first thing that fails.
pub fn run(progress: &Progress) -> Result<()> {
    let mut totals = Totals::default();
    let result = run_all(&mut totals, progress);
    println!("{} passed, {} failed", totals.passed, totals.failed);
    result
}

fn run_all(totals: &mut Totals, progress: &Progress) -> Result<()> {
    progress.step("Debian packages", packages::ensure)?;
    Binaries::ensure(progress)?;
    lint::run(progress)?;
    progress.step("generated files are up to date", || generate::run(true))?;
    let mut own = cargo();
    own.args(["test", "--workspace", "--exclude", "metallb-tests", "--tests"]);
    tests("tests of each crate", &mut own, totals, progress)?;
    tests(
        "tests with an API server",
        &mut integration("api_*")?,
        totals,
        progress,
    )?;
    let frr_10 = progress.step("unpack FRR 10 (once)", images::frr::unpacked)?;
    let mut frr = integration("frr_*")?;
    frr.env("METALLB_FRR_ROOT", frr_10);
    tests(
        "tests with FRR of this machine and FRR 10",
        &mut frr,
        totals,
        progress,
    )?;
    end_to_end(totals, progress)
}

/// Runs the end-to-end tests: brings the lab up with this checkout's images, and takes it down unless it was up before.
///
/// # Errors
/// The lab does not come up, or a test fails. The lab then stays up for a look.
pub fn run_end_to_end(progress: &Progress) -> Result<()> {
    let mut totals = Totals::default();
    let result = end_to_end(&mut totals, progress);
    println!("{} passed, {} failed", totals.passed, totals.failed);
    result
}

fn end_to_end(totals: &mut Totals, progress: &Progress) -> Result<()> {
    let lab = Lab::open()?;
    let was_up = lab.is_up();
    prepare_lab(&lab, progress)?;
    let mut command = integration("e2e*")?;
    inside(&lab, &mut command)?;
    command.args(["--", "--test-threads=1"]);
    let result = tests("end-to-end tests", &mut command, totals, progress);
    let for_a_look = result.is_err() && std::env::var_os("CI").is_none();
    if !was_up && !for_a_look {
        lab.down(progress)?;
    }
    result.context("the end-to-end tests; `make lab-status` tells whether the lab is still up for a look")
}

/// Runs the measurements: the BGP plan alone, FRR's changes against its own frr-reload.py, and the way from a Service's
/// address to its route in the lab, which stays up. Nothing is asserted.
///
/// # Errors
/// The lab does not come up, or a measurement cannot be made.
pub fn run_benchmarks(progress: &Progress) -> Result<()> {
    let lab = Lab::open()?;
    prepare_lab(&lab, progress)?;
    let mut route = bench("metallb-tests", "service_to_route");
    // What is measured runs in the lab's pods; the profile of the measuring program does not matter.
    route.args(["--profile", "dev"]);
    inside(&lab, &mut route)?;
    command::visibly(&mut route)?;
    let mut reload = bench("metallb-tests", "frr_reload");
    reload.env("METALLB_FRR_ROOT", images::frr::unpacked()?);
    command::visibly(&mut reload)?;
    command::visibly(&mut bench("metallb-domain", "bgp_plan"))
}

fn bench(package: &str, name: &str) -> Command {
    let mut cargo = cargo();
    cargo.args(["bench", "-p", package, "--bench", name]);
    cargo
}

fn prepare_lab(lab: &Lab, progress: &Progress) -> Result<()> {
    let images = images::ensure_all(progress)?;
    lab.up(NODES, progress)?;
    lab.load(&images, progress)
}

/// The integration tests whose names match, all of crate metallb-tests.
fn integration(pattern: &str) -> Result<Command> {
    let mut cargo = cargo();
    cargo.args(["test", "-p", "metallb-tests", "--test", pattern]);
    cargo.env("KUBE_BIN_DIR", Binaries::locate()?.dir());
    Ok(cargo)
}

/// Makes cargo run what it built in the control plane's namespace, with KUBECONFIG and the Kubernetes programs.
fn inside(lab: &Lab, cargo: &mut Command) -> Result<()> {
    let version = command::output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    let runner = format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_"));
    let mut path = vec![Binaries::locate()?.dir().clone()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    cargo
        .env(
            runner,
            format!("nsenter --net=/run/netns/{} --", CONTROL.namespace),
        )
        .env("KUBECONFIG", lab.directory().kubeconfig())
        .env("PATH", std::env::join_paths(path)?);
    Ok(())
}

/// Runs one cargo test command, shows what it prints, and adds its results to the totals.
fn tests(what: &str, command: &mut Command, totals: &mut Totals, progress: &Progress) -> Result<()> {
    progress.say(&format!("{what}:"));
    progress.step(what, || {
        println!();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let output = child.stdout.take().context("standard output is piped")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            totals.add(&line);
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("cargo test ended with {status}");
        }
        Ok(())
    })
}

impl Totals {
    /// Adds the numbers of a line `test result: ok. 12 passed; 0 failed; 1 ignored; …`; other lines say nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn results_of_several_test_programs_add_up_and_other_lines_do_not_count() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s",
            "",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
            "we passed; nobody failed",
        ] {
            totals.add(line);
        }
        assert_eq!(
            totals,
            Totals {
                passed: 15,
                failed: 2
            }
        );
    }
}
