//! JSON log lines on standard error.

use tracing_subscriber::EnvFilter;

/// Which log lines are written; the words are those of the MetalLB object's `logLevel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything, per-packet lines included.
    All,
    /// What was decided and why, per event.
    Debug,
    /// Decisions that change something.
    #[default]
    Info,
    /// What needs a look.
    Warn,
    /// What failed.
    Error,
    /// Nothing.
    None,
}

impl LogLevel {
    fn directive(self) -> &'static str {
        match self {
            LogLevel::All => "trace,hyper=info,hyper_util=info,rustls=info,h2=info,tower=info",
            LogLevel::Debug => "debug,hyper=info,hyper_util=info,rustls=info,h2=info,tower=info,kube=info",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::None => "off",
        }
    }
}

/// Starts logging. `RUST_LOG`, when set, wins over `level`. A second call changes nothing.
pub fn init(level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.directive()));
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
