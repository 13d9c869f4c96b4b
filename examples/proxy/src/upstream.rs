//! The client for the upstream: whom it trusts, how long it waits for a connection.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};
use rustls_platform_verifier::Verifier;
use tower::{BoxError, Service};
use tower_arcgis_auth::{ArcgisAuth, ReplayBody};

use crate::shared::{SharedClient, SharedConnector};

/// Name look-up, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than servers keep idle connections, so that seldom a request is sent on one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A request's body as it comes in.
pub(crate) type RequestBody = Incoming;
pub(crate) type HttpClient =
    SharedClient<Client<SharedConnector<Connector>, ReplayBody<RequestBody>>>;
pub(crate) type SigningClient = ArcgisAuth<HttpClient>;

/// Trusts the platform's certificates and `extra`. A platform without any is an error only where nothing else is
/// trusted and `https` is `needed`.
pub(crate) fn tls(extra: &[CertificateDer<'static>], needed: bool) -> Result<ClientConfig, String> {
    let provider: Arc<CryptoProvider> = ring::default_provider().into();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    match Verifier::new_with_extra_roots(extra.iter().cloned(), provider) {
        Ok(verifier) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        Err(error) if !extra.is_empty() => Err(format!(
            "a certificate of --ca-file cannot be trusted: {error}"
        )),
        Err(error) if needed => Err(format!(
            "the platform has no certificates to trust ({error}); install them (Debian: the package ca-certificates) \
             or name some with --ca-file"
        )),
        Err(_) => Ok(builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()),
    }
}

/// A client that follows no redirect, takes no proxy from the environment, and speaks HTTP/2 where the upstream does.
pub(crate) fn client(tls: ClientConfig) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build(SharedConnector::new(Connector(connector)));
    SharedClient::new(client)
}

/// Makes connections, and gives up after [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(crate) struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(upstream));
        Box::pin(async move {
            connected.await.unwrap_or_else(|_| {
                Err(format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs()).into())
            })
        })
    }
}

/// An error with all that led to it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
