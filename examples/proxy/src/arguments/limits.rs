//! The command line's part on how many connections there may be, and how long a caller may take.

use std::time::Duration;

use clap::Args;

/// How much callers may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "How much")]
pub(crate) struct LimitOptions {
    /// How many connections callers may have; 1024 unless set, or what the open-file limit allows, at two files each
    ///
    /// When all are taken, the one that has waited longest for its caller, five seconds at least, is closed for the next.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_connections: Option<usize>,

    /// How many of them one address may have; half of them unless set. Loopback and --trusted-proxy may have all
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one
    )]
    pub(crate) max_connections_per_address: Option<usize>,

    /// How long a new connection may take to its first request, and any request's headers may take
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = time
    )]
    pub(crate) header_timeout: Duration,

    /// How long a request's body may make no progress while the server wants more of it, and an answer's not be taken
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = time
    )]
    pub(crate) body_timeout: Duration,

    /// How long a connection may stay without a request
    #[arg(
        long,
        value_name = "TIME",
        default_value = "90s",
        value_parser = time
    )]
    pub(crate) idle_timeout: Duration,

    /// How often a caller over HTTP/2 is asked whether it is still there; it has as long to answer
    #[arg(
        long,
        value_name = "TIME",
        default_value = "20s",
        value_parser = time
    )]
    pub(crate) http2_keep_alive: Duration,

    /// How large a request's body may be, in bytes; no limit unless set
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body_size: Option<u64>,
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or("write a number above 0")
}

fn time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time >= Duration::from_secs(1))
        .ok_or("write a time of a second or more, like 30s or 10m")
}
