//! How the probe reaches servers: with the certificates, the name and the proxy that it is given.

#[path = "../../upstream_tls/mod.rs"]
mod tls;

use std::path::Path;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::body::Body;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower_arcgis_auth::TokenClient;

pub(crate) use self::tls::chain;
use self::tls::{Connector, Environment, Given};
use super::arguments::Arguments;

pub(crate) type Http<B> = Client<Connector, B>;

/// Makes clients, all of which reach servers in the same way.
pub(crate) struct Reach {
    connector: Connector,
    /// What the environment's proxies have to do with the way to the URL, in words.
    pub(crate) way: Option<String>,
}

impl Reach {
    /// To the server of `url` and those that it names. An error is an option or a variable that cannot work.
    pub(crate) fn new(
        url: &str,
        arguments: &Arguments,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let url: Uri = origin(url).parse().unwrap_or_default();
        let given = Given {
            certificates: match &arguments.ca_file {
                Some(file) => tls::read_certificates(Path::new(file))?,
                None => Vec::new(),
            },
            names: match &arguments.tls_name {
                Some(name) => {
                    let name = tls::tls_name(name)
                        .map_err(|wrong| format!("--tls-name cannot be used; {wrong}"))?;
                    vec![(url.host().unwrap_or_default().to_owned(), name)]
                }
                None => Vec::new(),
            },
            environment: Environment::read(variable),
        };
        let through = given.environment.proxy_to(&url)?;
        let way = match (through, given.environment.not_honoured_for(&url)) {
            (Some(through), _) => Some(format!(
                "Through the proxy {through} of {} …",
                through.variable
            )),
            (None, Some(variable)) => Some(format!(
                "{variable} names a proxy, which is not used for plain http."
            )),
            (None, None) => None,
        };
        // A machine without root certificates can still ask over http.
        let needs_tls = url.scheme_str() == Some("https");
        Ok(Self {
            connector: Connector::new(std::slice::from_ref(&url), &given, needs_tls)?,
            way,
        })
    }

    pub(crate) fn client<B>(&self) -> Http<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        Client::builder(TokioExecutor::new()).build(self.connector.clone())
    }

    /// For logins.
    pub(crate) fn token_client(&self) -> TokenClient {
        TokenClient::new(self.client::<Full<Bytes>>())
    }
}

/// The part of a URL that says which server it is: what is behind may not be of the form that requests have.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let rest = url.get(start..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..start + end).unwrap_or_default()
}
