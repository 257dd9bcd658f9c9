//! JSON log lines on standard error.

use std::sync::OnceLock;

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

/// Changes the level of what [`init`] started.
static SET_LEVEL: OnceLock<Box<dyn Fn(LogLevel) + Send + Sync>> = OnceLock::new();

/// Starts logging. `RUST_LOG`, when set, wins over `level`. A second call changes nothing.
pub fn init(level: LogLevel) {
    let from_environment = EnvFilter::try_from_default_env().ok();
    let may_change = from_environment.is_none();
    let builder = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(from_environment.unwrap_or_else(|| EnvFilter::new(level.directive())))
        .with_writer(std::io::stderr)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    if builder.try_init().is_ok() && may_change {
        let _ = SET_LEVEL.set(Box::new(move |level| {
            // It fails only when the subscriber is gone, and then there is nothing to change.
            let _ = handle.reload(EnvFilter::new(level.directive()));
        }));
    }
}

/// Changes which lines are written from now on, unless `RUST_LOG` decides that.
pub fn set_level(level: LogLevel) {
    if let Some(set) = SET_LEVEL.get() {
        set(level);
    }
}
