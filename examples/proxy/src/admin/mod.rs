//! The address for those who run the proxy: whether it lives, whether it can log in, and what it has counted.

mod ready;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower_arcgis_auth::ArcgisAuthHandle;

use crate::{
    access::{host_of, is_loopback_name},
    connections::Places,
    headers::set_no_store,
    measures::Measures,
    refusal::Refusal,
};

/// More than a monitor and an orchestrator need.
const CONNECTIONS: usize = 32;
/// How long one may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often samples are put into their histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// What there is to tell.
pub(crate) struct Admin {
    /// It is asked on this machine only.
    pub(crate) on_loopback: bool,
    pub(crate) logins: Vec<ArcgisAuthHandle>,
    pub(crate) counted: PrometheusHandle,
    pub(crate) measures: Arc<Measures>,
    pub(crate) places: Arc<Places>,
}

impl Admin {
    /// Answers for ever.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = upkeep.tick() => {
                    admin.counted.run_upkeep();
                    continue;
                }
            };
            match accepted {
                // One too many is closed.
                Ok((socket, _)) => {
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        let admin = Arc::clone(&admin);
                        tokio::spawn(async move {
                            admin.answer_on(socket).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection for --admin-listen could not be taken");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer_on(self: Arc<Self>, socket: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            let answer = if self.is_own(request.headers()) {
                self.answer(request.method(), request.uri().path())
            } else {
                Refusal::Host.answer()
            };
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(socket), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of --admin-listen broke");
        }
    }

    /// On loopback a page could ask by a name of its own that leads there.
    fn is_own(&self, headers: &HeaderMap) -> bool {
        let hosts = headers.get_all(HOST).iter();
        !self.on_loopback
            || hosts
                .map(|host| host_of(host.to_str().unwrap_or("?")))
                .all(is_loopback_name)
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "text/plain",
                "only GET\n".to_owned(),
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            "/readyz" => {
                let (is_ready, said) = ready::state(&self.logins);
                let status = if is_ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                text(status, "application/json", said)
            }
            "/metrics" => {
                self.measures.set_connections(self.places.taken());
                text(
                    StatusCode::OK,
                    "text/plain; version=0.0.4",
                    self.counted.render(),
                )
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "text/plain",
                "there are /healthz, /readyz and /metrics\n".to_owned(),
            ),
        }
    }
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    set_no_store(headers);
    response
}
