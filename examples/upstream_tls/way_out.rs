//! The way out to a server: straight, or through the proxy that the environment names.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::{chain, is_loopback};

/// The order is curl's.
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const NO: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// What the environment says of proxies. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    https: Option<Arc<Named>>,
    /// The variable that names a proxy for plain http.
    http: Option<&'static str>,
    /// Intercepts what NO_PROXY does not list.
    listed: Option<Arc<Matcher>>,
}

struct Named {
    variable: &'static str,
    /// The proxy, or why it cannot be used.
    proxy: Result<Intercept, String>,
}

/// A proxy on the way to a server. Shown without its password.
#[derive(Clone)]
pub(crate) struct Through {
    pub(crate) variable: &'static str,
    proxy: Intercept,
}

impl Environment {
    /// Reads the environment by `variable`. An empty variable is none, as for curl.
    pub(crate) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some((*name, value))
            })
        };
        // Lists are separated by commas or spaces.
        let no: Vec<String> = first(&NO)
            .map(|(_, value)| value.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default();
        if no.iter().any(|entry| entry == "*") {
            return Self::default();
        }
        let listed = Matcher::builder()
            .all("http://any")
            .no(no.join(","))
            .build();
        Self {
            https: first(&HTTPS).map(|(variable, url)| {
                let proxy = usable(variable, &url);
                Arc::new(Named { variable, proxy })
            }),
            http: first(&HTTP).map(|(variable, _)| variable),
            listed: Some(Arc::new(listed)),
        }
    }

    /// The proxy on the way to `server`, if any, or why the one that is named cannot be used.
    pub(crate) fn proxy_to(&self, server: &Uri) -> Result<Option<Through>, String> {
        let is_https = server.scheme_str() == Some("https");
        let Some(named) = self.https.as_deref().filter(|_| is_https) else {
            return Ok(None);
        };
        if !self.concerns(server) {
            return Ok(None);
        }
        Ok(Some(Through {
            variable: named.variable,
            proxy: named.proxy.clone()?,
        }))
    }

    /// The variable that names a proxy for plain http to `server`, which is not honoured: callers' tokens and answers would be
    /// read there, and requests would have to be written otherwise.
    pub(crate) fn not_honoured_for(&self, server: &Uri) -> Option<&'static str> {
        self.http
            .filter(|_| server.scheme_str() == Some("http") && self.concerns(server))
    }

    /// Whether a proxy may be on the way to `server`. Never to this machine, whatever is named, as for Go's programs and
    /// otherwise than for curl: the proxy's own machine would be reached, another one mostly, and who sets HTTPS_PROXY for a
    /// whole machine seldom thinks of its loopback addresses.
    fn concerns(&self, server: &Uri) -> bool {
        let listed = self.listed.as_deref();
        !is_loopback(server.host().unwrap_or_default())
            && listed.is_some_and(|listed| listed.intercept(server).is_some())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let https = self.https.as_deref().map(|named| named.variable);
        f.debug_struct("Environment")
            .field("https", &https)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.proxy.uri().authority();
        let authority = authority.map_or("", |authority| authority.as_str());
        write!(f, "http://{authority}")
    }
}

/// The proxy at `url`. What is wrong is said without repeating a password that may be in it.
fn usable(variable: &str, url: &str) -> Result<Intercept, String> {
    let wrong = |why: &str| {
        format!(
            "{variable} {why}; write it like http://proxy.example.com:3128, or list the server in NO_PROXY"
        )
    };
    let any = Uri::from_static("https://any");
    let proxy = Matcher::builder().https(url).build().intercept(&any);
    let proxy = proxy.ok_or_else(|| wrong("is not the URL of a proxy"))?;
    match proxy.uri().scheme_str() {
        Some("http") => Ok(proxy),
        Some("https") => Err(wrong(
            "names a proxy that is itself asked over https, which is not supported",
        )),
        _ => Err(wrong("names a SOCKS proxy, which is not supported")),
    }
}

/// Connects to a server, or to the proxy on the way to it, and there asks for a tunnel.
#[derive(Clone)]
pub(super) struct WayOut {
    tcp: HttpConnector,
    environment: Environment,
}

impl WayOut {
    pub(super) fn new(environment: Environment) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, environment }
    }
}

impl Service<Uri> for WayOut {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let through = match self.environment.proxy_to(&server) {
            Ok(Some(through)) => through,
            Ok(None) => {
                let connecting = self.tcp.call(server);
                return Box::pin(async { Ok(connecting.await?) });
            }
            Err(wrong) => return Box::pin(async { Err(wrong.into()) }),
        };
        let mut tunnel = Tunnel::new(through.proxy.uri().clone(), self.tcp.clone());
        if let Some(login) = through.proxy.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move {
            connecting.await.map_err(|error| {
                format!(
                    "no way through the proxy {through} of {}: {}",
                    through.variable,
                    chain(&error)
                )
                .into()
            })
        })
    }
}
