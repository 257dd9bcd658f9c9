//! Starts the speaker.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use metallb_kit::dirty::Dirty;
use metallb_kit::events::Events;
use metallb_kit::http::{self, Readiness};
use metallb_kit::tasks::Tasks;
use metallb_kit::{client, logging};
use metallb_speaker::agent::{Agent, Outputs};
use metallb_speaker::args::{Args, DEFAULT_PORT};
use metallb_speaker::inputs::{Input, Inputs};
use metallb_speaker::layer2::{Exclusions, Layer2, Layer2Metrics};
use metallb_speaker::members::Members;
use metallb_speaker::metrics::Metrics;
use metallb_speaker::notices::{Notices, publish};
use metallb_speaker::status::{Identity, StatusBoard, StatusWriter};

/// Exit code for flags or environment that make no sense (sysexits.h: `EX_USAGE`).
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args.complete(),
        Err(error) => {
            // Nothing can be done when there is nowhere to print to.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let args = match args {
        Ok(args) => args,
        Err(error) => {
            eprintln!("speaker: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    logging::init(args.observability.log_level);
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "speaker ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let exclusions = Exclusions::load(&args.excluded_interfaces_file)?;
    let (settings, namespace) = (args.settings(), args.namespace());
    let registry = metallb_kit::metrics::registry();
    let metrics = Metrics::new(&registry, &settings.node)?;
    let layer2 = Layer2::start(exclusions, Layer2Metrics::new(&registry)?)?;
    let client = client::connect("metallb-speaker")
        .await
        .context("cannot reach Kubernetes")?;

    let tasks = Tasks::new();
    let readiness = Readiness::new();
    let dirty = Dirty::new();
    let members = Members::new({
        let dirty = dirty.clone();
        move |node| dirty.mark(Input::Member(node.to_owned()))
    });
    let inputs = Inputs::start(
        &tasks,
        &client,
        &namespace,
        &args.ml_labels,
        &readiness,
        &dirty,
        &members,
    );
    let board = StatusBoard::new();
    let identity = Identity {
        node: settings.node.clone(),
        namespace,
        pod: args.pod_name.clone(),
    };
    let statuses = StatusWriter::new(&tasks, &client, identity, board.clone(), inputs.pods());
    let (notices, queue) = Notices::new();
    let outputs = Outputs {
        announcer: layer2.announcer(),
        statuses: board,
        notices,
        metrics,
        ready: readiness.gate("first decisions"),
    };
    let agent = Agent::new(settings, inputs, members, layer2.names(), outputs);

    let shutdown = || tasks.shutdown();
    let address = args.observability.address(DEFAULT_PORT);
    tasks.spawn("layer2", layer2.run(shutdown()));
    tasks.spawn("agent", agent.run(dirty, shutdown()));
    tasks.spawn("statuses", statuses.run(shutdown()));
    tasks.spawn(
        "events",
        publish(Events::new(client, "metallb-speaker"), queue, shutdown()),
    );
    if address.port() != 0 {
        tasks.spawn(
            "observability",
            http::serve(address, registry, readiness, shutdown()),
        );
    }
    tasks.run().await
}
