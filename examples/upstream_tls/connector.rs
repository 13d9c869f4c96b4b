//! Makes connections: the way out, TLS with the server's own name or the one given, and a limit for all of it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{
    DefaultServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
    ResolveServerName,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::{Environment, Given, refusal::Refusals, trust, way_out::WayOut};

/// Name look-up, TCP, the proxy on the way and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes connections, over plain http too, and gives up after [`CONNECT_TIMEOUT`]. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<WayOut>,
    refusals: Arc<Refusals>,
    environment: Environment,
}

impl Connector {
    /// For the `upstreams` and whatever other hosts there are. Https that is `needed` is an error where nobody is trusted.
    pub(crate) fn new(upstreams: &[Uri], given: &Given, needed: bool) -> Result<Self, String> {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(trust::config(&given.certificates, needed)?)
            .https_or_http()
            .with_server_name_resolver(Names(given.names.clone()))
            .enable_http1()
            .enable_http2()
            .wrap_connector(WayOut::new(given.environment.clone()));
        let hosts = upstreams.iter().filter_map(Uri::host);
        let refusals = Refusals {
            upstreams: hosts.map(str::to_owned).collect(),
            has_file: !given.certificates.is_empty(),
        };
        Ok(Self {
            https,
            refusals: Arc::new(refusals),
            environment: given.environment.clone(),
        })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let connecting = self.https.call(server.clone());
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting);
        let refusals = Arc::clone(&self.refusals);
        let way = match self.environment.proxy_to(&server) {
            Ok(Some(through)) => {
                format!(" through the proxy {through} of {}", through.variable)
            }
            Ok(None) | Err(_) => String::new(),
        };
        Box::pin(async move {
            match connected.await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(refusals.explained(error, &server)),
                Err(_) => Err(format!(
                    "no connection{way} within {} seconds",
                    CONNECT_TIMEOUT.as_secs()
                )
                .into()),
            }
        })
    }
}

/// By which name a server is known. Those that are given are for the upstreams' own hosts: a portal on another has its own.
struct Names(Vec<(String, ServerName<'static>)>);

impl ResolveServerName for Names {
    fn resolve(&self, server: &Uri) -> Result<ServerName<'static>, BoxError> {
        let host = server.host().unwrap_or_default();
        let given = self.0.iter().find(|(of, _)| host.eq_ignore_ascii_case(of));
        match given {
            Some((_, name)) => Ok(name.clone()),
            None => DefaultServerNameResolver::default().resolve(server),
        }
    }
}
