//! The command line's part on the log.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is logged, where, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The log")]
pub(crate) struct LogOptions {
    /// How much is logged, if RUST_LOG does not say it: `error`, `warn`, `info`, `debug`, or a filter like RUST_LOG's
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,

    /// How lines are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// File to append the log to, in place of stderr; let logrotate copy and truncate it
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object each, for programs
    Json,
}
