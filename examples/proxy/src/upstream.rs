//! The clients for the upstream, for requests and for logins: both reach it in the same way.

#[path = "../../upstream_tls/mod.rs"]
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::body::Body;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tower_arcgis_auth::{ArcgisAuth, ReplayBody, TokenClient};

use self::tls::{Connector, Given};
pub(crate) use self::tls::{Environment, chain, is_loopback, read_certificates, tls_name};
use crate::{
    arguments::Target,
    request_body::RequestBody,
    shared::{SharedClient, SharedConnector},
};

/// Shorter than servers keep idle connections, so that seldom a request is sent on one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

type HttpClient<B> = SharedClient<Client<SharedConnector<Connector>, B>>;
pub(crate) type SigningClient = ArcgisAuth<HttpClient<ReplayBody<RequestBody>>>;

/// The clients for a target.
pub(crate) struct Clients {
    pub(crate) requests: HttpClient<ReplayBody<RequestBody>>,
    pub(crate) logins: TokenClient,
}

impl Clients {
    /// An error is an option or a variable that cannot work.
    pub(crate) fn new(target: &Target, environment: &Environment) -> Result<Self, String> {
        let given = Given {
            certificates: target.certificates.clone(),
            name: target.tls_name.clone(),
            environment: environment.clone(),
        };
        for server in servers(target) {
            environment.proxy_to(&server)?;
        }
        let needs_tls = servers(target).any(|server| server.scheme_str() == Some("https"));
        let upstream = upstream(target);
        let connector = Connector::new(&upstream, &given, needs_tls)?;
        Ok(Self {
            requests: client(connector.clone()),
            logins: TokenClient::new(client::<Full<Bytes>>(connector)),
        })
    }
}

/// A client that follows no redirect, and speaks HTTP/2 where the server does.
fn client<B>(connector: Connector) -> HttpClient<B>
where
    B: Body + Send,
    B::Data: Send,
{
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build(SharedConnector::new(connector));
    SharedClient::new(client)
}

/// Says through which proxy the way to the upstream leads.
pub(crate) fn announce_way_out(target: &Target, environment: &Environment) {
    let upstream = upstream(target);
    if let Ok(Some(through)) = environment.proxy_to(&upstream) {
        tracing::info!(
            proxy = %through,
            variable = through.variable,
            "requests to the upstream go through a proxy"
        );
    }
    if let Some(variable) = environment.not_honoured_for(&upstream) {
        tracing::warn!(
            variable,
            "a proxy is named, and not used: requests to an upstream at plain http go straight there"
        );
    }
}

fn upstream(target: &Target) -> Uri {
    target.upstream.root_url().parse().unwrap_or_default()
}

/// The servers that are known before any is asked. What is no URL is refused elsewhere.
fn servers(target: &Target) -> impl Iterator<Item = Uri> {
    let logins = target
        .token_url
        .iter()
        .chain(&target.portal)
        .chain(&target.trusted_token_services)
        .filter_map(|url| url.parse().ok());
    std::iter::once(upstream(target)).chain(logins)
}
