//! How much is logged, in the words of .NET's and Java's resource-proxy.

/// What `logLevel` says, as `--log-level` takes it.
pub(super) fn named(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "off" | "none" => "off",
        "severe" | "error" | "fatal" | "critical" => "error",
        "warning" | "warn" => "warn",
        "info" | "information" | "config" => "info",
        "fine" | "verbose" | "debug" => "info,arcgis_proxy=debug,tower_arcgis_auth=debug",
        "finer" | "finest" | "all" | "trace" => "info,arcgis_proxy=trace,tower_arcgis_auth=trace",
        _ => return None,
    })
}
