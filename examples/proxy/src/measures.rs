//! What the proxy counts of its own, for `/metrics`. Without `--admin-listen` nothing is counted.

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use crate::refusal::Refusal;

const REQUESTS: &str = "arcgis_proxy_requests_total";
const DURATION: &str = "arcgis_proxy_request_duration_seconds";
const CONNECTIONS: &str = "arcgis_proxy_connections";
const REFUSALS: &str = "arcgis_proxy_refusals_total";

/// From a tile out of a cache to a long query. Seconds.
const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The counters of requests, found once.
pub(crate) struct Measures {
    /// By the first digit of the status, from 1 to 5.
    by_class: [Counter; 5],
    duration: Histogram,
    connections: Gauge,
}

/// Starts to count, for the whole process: the library's counters too.
pub(crate) fn start() -> Result<PrometheusHandle, BuildError> {
    let counted = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), &BUCKETS)?
        .install_recorder()?;
    tower_arcgis_auth::metrics::describe();
    metrics::describe_counter!(
        REQUESTS,
        "Requests that were answered, by the first digit of the status"
    );
    metrics::describe_histogram!(
        DURATION,
        Unit::Seconds,
        "From a request's head to its answer's"
    );
    metrics::describe_gauge!(CONNECTIONS, "Connections of callers that are open");
    metrics::describe_counter!(
        REFUSALS,
        "Requests that the proxy itself refused, by the kind of refusal"
    );
    Ok(counted)
}

impl Measures {
    /// After [`start`].
    pub(crate) fn new() -> Self {
        let class = |class: &'static str| metrics::counter!(REQUESTS, "status" => class);
        Self {
            by_class: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            duration: metrics::histogram!(DURATION),
            connections: metrics::gauge!(CONNECTIONS),
        }
    }

    pub(crate) fn answered(&self, status: StatusCode, started: Instant) {
        let class = usize::from(status.as_u16() / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.by_class.get(class)) {
            counter.increment(1);
        }
        self.duration.record(started.elapsed());
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        metrics::counter!(REFUSALS, "kind" => refusal.name()).increment(1);
    }

    pub(crate) fn set_connections(&self, open: usize) {
        self.connections.set(open as f64);
    }
}
