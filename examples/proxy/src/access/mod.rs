//! Who may ask, and for what: decided by a request's head, before anything is sent upstream.

mod browsers;
mod client_address;
mod end_points;
mod host_name;
mod rate;
mod referers;
mod web_origin;

use std::net::{IpAddr, SocketAddr};

use http::{header::REFERER, request::Parts};
use tower_arcgis_auth::PathPrefix;

use self::{
    browsers::Browsers, client_address::TrustedProxies, end_points::EndPoints, rate::RateLimit,
};
pub(crate) use self::{
    host_name::HostName, rate::Rate, referers::RefererPattern, web_origin::AllowedOrigin,
};
use crate::{arguments::AccessOptions, refusal::Refusal};

/// The rules of one proxy.
#[derive(Debug)]
pub(crate) struct Access {
    browsers: Browsers,
    end_points: EndPoints,
    /// None: all.
    paths: Vec<PathPrefix>,
    /// None: all.
    referers: Vec<RefererPattern>,
    trusted_proxies: TrustedProxies,
    rate: Option<RateLimit>,
}

impl Access {
    /// The rules of a proxy that listens at `listen` in front of what lies below `roots`: the site's, and the portal's
    /// where it is on the same host.
    pub(crate) fn new(options: &AccessOptions, listen: SocketAddr, roots: Vec<PathPrefix>) -> Self {
        Self {
            browsers: Browsers::new(
                listen.ip().to_canonical().is_loopback(),
                options.public_host.clone(),
                options.allow_origin.clone(),
            ),
            end_points: EndPoints::new(roots, options.allow_logins, options.allow_admin),
            paths: options.allow_path.clone(),
            referers: options.allow_referer.clone(),
            trusted_proxies: TrustedProxies::new(options.trusted_proxy.clone()),
            rate: options.rate_limit.map(RateLimit::new),
        }
    }

    /// The rules about browsers. Whom they refuse learns nothing, not even by CORS headers.
    pub(crate) fn check_browser(&self, head: &Parts) -> Result<(), Refusal> {
        self.browsers.check(head)
    }

    /// All other rules, for a client at `client`.
    pub(crate) fn check(&self, head: &Parts, client: IpAddr) -> Result<(), Refusal> {
        let path = head.uri.path();
        self.end_points.check(path)?;
        if !self.paths.is_empty() && !self.paths.iter().any(|prefix| prefix.covers(path)) {
            return Err(Refusal::Path);
        }
        if !self.referers.is_empty() {
            referers::check(&self.referers, head.headers.get_all(REFERER))?;
        }
        match &self.rate {
            Some(rate) => rate.check(client),
            None => Ok(()),
        }
    }

    /// Where a request came from that arrived on a connection of `peer`'s.
    pub(crate) fn client(&self, peer: IpAddr, head: &Parts) -> IpAddr {
        self.trusted_proxies.client(peer, &head.headers)
    }

    /// Whether many clients come by this address.
    pub(crate) fn stands_for_many(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.trusted_proxies.contains(peer)
    }

    /// Whether an origin's pages may ask, where the request is for `head`.
    pub(crate) fn origin_may(&self, origin: &http::HeaderValue, head: &Parts) -> bool {
        self.browsers.origin_may(origin, head)
    }
}
