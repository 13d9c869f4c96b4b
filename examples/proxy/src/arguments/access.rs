//! The command line's part on who may ask the proxy, and for what.

use clap::Args;
use ipnet::IpNet;
use tower_arcgis_auth::PathPrefix;

use crate::access::{AllowedOrigin, HostName, Rate, RefererPattern};

/// Who may ask, and for what.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Who may, and what")]
pub(crate) struct AccessOptions {
    /// A name that callers reach the proxy by, `maps.example.com`; repeatable
    ///
    /// While the proxy listens on loopback, requests for other names than loopback's and these are refused, so that no
    /// name that leads to this machine makes a web page out of the proxy. Pages of these hosts may ask the proxy. Behind a
    /// web server: its public name.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) public_host: Vec<HostName>,

    /// An origin, `https://maps.example.com`, whose web pages may ask the proxy from a browser; repeatable; `*`: any
    ///
    /// Pages of the proxy's own host may, and on loopback a developer's pages of any port; those of others are refused
    /// unless they are named here. With this option the proxy itself answers preflights, and says in
    /// `Access-Control-Allow-Origin` who may.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) allow_origin: Vec<AllowedOrigin>,

    /// A path that may be asked for, with all below it: `/arcgis/rest/services/Public`; repeatable. All unless set
    #[arg(
        long,
        value_name = "PREFIX",
        value_delimiter = ',',
        value_parser = path_prefix
    )]
    pub(crate) allow_path: Vec<PathPrefix>,

    /// A page that may ask: `https://maps.example.com/viewer`, `https://*.example.com`; repeatable. All unless set
    ///
    /// It is compared with the request's Referer: scheme, host and port, and the path where one is given. A request
    /// without a Referer is refused, unless this is `*`. Only browsers tell the truth in it.
    #[arg(long, value_name = "PAGE", value_delimiter = ',')]
    pub(crate) allow_referer: Vec<RefererPattern>,

    /// How many requests one client's address may make in a time: `50/10m`, `5/s`. No limit unless set
    ///
    /// They may come all at once. What is more is answered 429.
    #[arg(long, value_name = "N/TIME")]
    pub(crate) rate_limit: Option<Rate>,

    /// A web server in front, `10.0.0.5` or `10.0.0.0/24`, that says in X-Forwarded-For whom it asks for; repeatable
    ///
    /// Without it the client's address is that of the connection.
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        value_parser = addresses
    )]
    pub(crate) trusted_proxy: Vec<IpNet>,

    /// Pass requests to the server's logins and token services on; they are refused otherwise
    ///
    /// All who reach a login can try passwords, and lock the account that the proxy uses.
    #[arg(long)]
    pub(crate) allow_logins: bool,

    /// Pass requests to /admin, /manager and /portaladmin on; they are refused otherwise
    #[arg(long)]
    pub(crate) allow_admin: bool,
}

impl AccessOptions {
    /// Whether anything limits what a caller can do.
    pub(crate) fn limits_callers(&self) -> bool {
        !self.allow_path.is_empty() || !self.allow_referer.is_empty() || self.rate_limit.is_some()
    }
}

fn path_prefix(text: &str) -> Result<PathPrefix, String> {
    PathPrefix::try_new(text)
        .map_err(|error| format!("{error}; write it like /arcgis/rest/services/Public"))
}

fn addresses(text: &str) -> Result<IpNet, &'static str> {
    text.parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
        .map_err(|_| "write an address or a network, like 10.0.0.5 or 10.0.0.0/24")
}
