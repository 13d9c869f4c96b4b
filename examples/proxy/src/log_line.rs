//! The log's line about a request. It is begun only where it will be written: what is in it has to be copied.

use std::net::IpAddr;

use http::{HeaderValue, Method, Request, StatusCode};
use tokio::time::Instant;
use tower_arcgis_auth::AuthOutcome;

use crate::{headers::Peer, request_id::X_REQUEST_ID};

/// What is known of a request when it comes.
pub(crate) struct LogLine {
    started: Instant,
    caller: IpAddr,
    method: Method,
    /// Without the query: there the tokens are.
    path: String,
    id: Option<HeaderValue>,
}

impl LogLine {
    pub(crate) fn begin<B>(request: &Request<B>, caller: &Peer) -> Option<Box<Self>> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| {
            Box::new(Self {
                started: Instant::now(),
                caller: caller.address,
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                id: request.headers().get(X_REQUEST_ID).cloned(),
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
            request = self.id.as_ref().and_then(|id| id.to_str().ok()),
            took_milliseconds = self.started.elapsed().as_millis() as u64,
            "answered"
        );
    }
}
