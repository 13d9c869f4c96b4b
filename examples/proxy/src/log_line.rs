//! The log's line about a request. It is begun only where it will be written: what is in it has to be copied.

use std::net::IpAddr;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use tower_arcgis_auth::AuthOutcome;

use crate::{arrived::Arrived, headers::Peer};

/// What is known of a request when it comes.
pub(crate) struct LogLine {
    started: Instant,
    caller: IpAddr,
    method: Method,
    /// Without the query: there the tokens are.
    path: String,
    id: HeaderValue,
}

impl LogLine {
    pub(crate) fn begin(arrived: &Arrived, caller: &Peer) -> Option<Box<Self>> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| {
            Box::new(Self {
                started: Instant::now(),
                caller: caller.address,
                method: arrived.head.method.clone(),
                path: arrived.head.uri.path().to_owned(),
                id: arrived.id.clone(),
            })
        })
    }

    pub(crate) fn end(self, status: StatusCode, auth: Option<&AuthOutcome>) {
        tracing::debug!(
            caller = %self.caller,
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            auth = auth.map(tracing::field::display),
            request = self.id.to_str().ok(),
            took_milliseconds = self.started.elapsed().as_millis() as u64,
            "answered"
        );
    }
}
