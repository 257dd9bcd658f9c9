//! `cargo xtask`: everything about this repository that is more than one cargo command.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use xtask::kubernetes_binaries::Binaries;
use xtask::lab::{Lab, status};
use xtask::progress::Progress;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install missing Debian packages and build missing Kubernetes programs
    Deps,
    /// Write the files that are made from code: CRDs, manifests
    Gen {
        /// Write nothing, and fail if a file is stale
        #[arg(long)]
        check: bool,
    },
    /// Build the programs, pack all images, and load them into the lab if it runs
    Images,
    /// The main job on a real cluster, every claim checked
    Demo {
        /// Leave the cluster up at the end
        #[arg(long, env = "KEEP", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false")]
        keep: bool,
    },
    /// Check formatting, lints, licenses and banned crates
    Lint,
    /// Everything CI runs: lint, generated files, and all tests
    Test,
    /// Only the end-to-end tests
    E2e,
    /// Measure in the lab, which stays up
    Bench,
    /// The lab: a Kubernetes cluster in network namespaces, with routers and clients around it
    #[command(subcommand)]
    Lab(LabTask),
}

#[derive(Subcommand)]
enum LabTask {
    /// Bring the lab up, or repair the running one
    Up {
        /// How many nodes; a running lab never loses one
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Take the lab down and leave nothing behind
    Down,
    /// Show processes, namespaces, nodes and pods
    Status,
    /// Run a command in the control plane's namespace, with KUBECONFIG set
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run kubectl against the lab
    Kubectl {
        /// Arguments of kubectl
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let progress = Progress::new();
    match task {
        Task::Deps => {
            progress.step("Debian packages", xtask::packages::ensure)?;
            Binaries::ensure(&progress).map(|_| ())
        }
        Task::Gen { check } => xtask::generate::run(check),
        Task::Images => {
            let images = xtask::images::ensure_all(&progress)?;
            let lab = Lab::open()?;
            if lab.is_up() {
                lab.load(&images, &progress)
            } else {
                Ok(())
            }
        }
        Task::Demo { keep } => xtask::demo::run(keep, &progress),
        Task::Lint => xtask::lint::run(&progress),
        Task::Test => xtask::test_suite::run(&progress),
        Task::E2e => xtask::test_suite::run_end_to_end(&progress),
        Task::Bench => xtask::test_suite::run_benchmarks(&progress),
        Task::Lab(task) => run_lab(task, &progress),
    }
}

fn run_lab(task: LabTask, progress: &Progress) -> Result<()> {
    let lab = Lab::open()?;
    match task {
        LabTask::Up { nodes } => {
            lab.up(nodes, progress)?;
            progress.say("the lab is up");
            status::print_hints(&lab);
            Ok(())
        }
        LabTask::Down => lab.down(progress),
        LabTask::Status => {
            print(&status::describe(&lab)?);
            Ok(())
        }
        LabTask::Exec { command } => {
            let (program, args) = command.split_first().expect("clap requires one word");
            become_command(lab.command(program).args(args))
        }
        LabTask::Kubectl { args } => become_command(lab.command("kubectl").args(args)),
    }
}

/// Replaces this program, so that standard streams, signals and exit status are those of the command.
fn become_command(command: &mut Command) -> Result<()> {
    Err(command.exec()).context("cannot run nsenter")
}

/// Like `print!`, but a reader that has seen enough (`| head`) is no reason to panic.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
