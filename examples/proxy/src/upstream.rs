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
use rustls::pki_types::{CertificateDer, ServerName};
use tower_arcgis_auth::{ArcgisAuth, ReplayBody, TokenClient};

use self::tls::{Connector, Given};
pub(crate) use self::tls::{Environment, chain, is_loopback, read_certificates, tls_name};
use crate::{
    request_body::RequestBody,
    shared::{SharedClient, SharedConnector},
    short_names::ShortNames,
};

/// Shorter than servers keep idle connections, so that seldom a request is sent on one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

type HttpClient<B> = SharedClient<Client<SharedConnector<Connector>, B>>;
pub(crate) type SigningClient = ArcgisAuth<HttpClient<ReplayBody<RequestBody>>>;

/// The servers that requests and logins go to, and how they are known.
pub(crate) struct Servers {
    pub(crate) upstreams: Vec<Uri>,
    /// Those of logins, as far as they are known before any is asked.
    pub(crate) logins: Vec<Uri>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// Those of `--tls-name`, each with its host.
    pub(crate) names: Vec<(String, ServerName<'static>)>,
}

/// The clients for the servers.
pub(crate) struct Clients {
    pub(crate) requests: HttpClient<ReplayBody<RequestBody>>,
    pub(crate) logins: TokenClient,
}

impl Clients {
    /// An error is an option or a variable that cannot work.
    pub(crate) fn new(servers: Servers, environment: &Environment) -> Result<Self, String> {
        let given = Given {
            certificates: servers.certificates,
            names: servers.names,
            environment: environment.clone(),
        };
        let mut needs_tls = false;
        for server in servers.upstreams.iter().chain(&servers.logins) {
            environment.proxy_to(server)?;
            needs_tls |= is_https(server);
        }
        let connector = Connector::new(&servers.upstreams, &given, needs_tls)?;
        // Requests at plain http have their `Host` already, with the server's own name.
        let names = ShortNames::of(&servers.upstreams);
        let needs_host = servers.upstreams.iter().any(is_https);
        let logins = client::<Full<Bytes>>(connector.clone(), ShortNames::default(), true);
        Ok(Self {
            requests: client(connector, names, needs_host),
            logins: TokenClient::new(logins),
        })
    }
}

/// A client that follows no redirect, and speaks HTTP/2 where the server does. It writes `Host` only where that is needed.
fn client<B>(connector: Connector, names: ShortNames, needs_host: bool) -> HttpClient<B>
where
    B: Body + Send,
    B::Data: Send,
{
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .set_host(needs_host)
        // Nearly all requests are a head alone, for which one buffer costs less than a list of them. Answers are not: the
        // server's side has a list, for a copy of a map image costs half as much again as all else.
        .http1_writev(false)
        .build(SharedConnector::new(connector, names.clone()));
    SharedClient::new(client, names)
}

fn is_https(server: &Uri) -> bool {
    server.scheme_str() == Some("https")
}

/// Says through which proxy the way to each upstream leads.
pub(crate) fn announce_way_out(upstreams: &[Uri], environment: &Environment) {
    for upstream in upstreams {
        if let Ok(Some(through)) = environment.proxy_to(upstream) {
            tracing::info!(
                %upstream,
                proxy = %through,
                variable = through.variable,
                "requests to the upstream go through a proxy"
            );
        }
        if let Some(variable) = environment.not_honoured_for(upstream) {
            tracing::warn!(
                %upstream,
                variable,
                "a proxy is named, and not used: requests to an upstream at plain http go straight there"
            );
        }
    }
}

/// The servers of these URLs. What is no URL is refused elsewhere.
pub(crate) fn servers_of<'a>(urls: impl IntoIterator<Item = &'a String>) -> Vec<Uri> {
    urls.into_iter()
        .filter_map(|url| url.parse().ok())
        .collect()
}
