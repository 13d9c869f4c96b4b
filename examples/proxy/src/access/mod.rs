//! Who may ask, and for what: decided by a request's head, before anything is sent upstream.

mod browsers;
mod client_address;
mod end_points;
mod host_name;
mod rate;
mod referers;
mod web_origin;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderValue, header::REFERER, request::Parts};
use tower_arcgis_auth::PathPrefix;

use self::{browsers::Browsers, client_address::TrustedProxies};
pub(crate) use self::{
    end_points::EndPoints,
    host_name::{HostName, host_of, is_loopback_name},
    rate::{Rate, RateLimit},
    referers::RefererPattern,
    web_origin::AllowedOrigin,
};
use crate::{arguments::AccessOptions, arrived::Arrived, refusal::Refusal};

/// The rules of one proxy, whatever is asked for.
#[derive(Debug)]
pub(crate) struct Access {
    browsers: Browsers,
    trusted_proxies: TrustedProxies,
}

impl Access {
    /// The rules of a proxy that listens at `listen`. Pages of the origins that `also` lists may ask, beside those of the
    /// options.
    pub(crate) fn new(
        options: &AccessOptions,
        listen: SocketAddr,
        also: Vec<RefererPattern>,
    ) -> Self {
        Self {
            browsers: Browsers::new(
                listen,
                options.public_host.clone(),
                options.allow_origin.clone(),
                also,
            ),
            trusted_proxies: TrustedProxies::new(options.trusted_proxy.clone()),
        }
    }

    /// Whether the page that asks may. One that may not learns nothing, not even by CORS headers.
    pub(crate) fn check_browser(&self, arrived: &Arrived) -> Result<(), Refusal> {
        self.browsers.check(&arrived.head, arrived.present)
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
    pub(crate) fn origin_may(&self, origin: &HeaderValue, head: &Parts) -> bool {
        self.browsers.origin_may(origin, head)
    }

    /// Whether any page may ask.
    pub(crate) fn allows_any_origin(&self) -> bool {
        self.browsers.allows_any()
    }
}

/// The rules of one site.
#[derive(Debug)]
pub(crate) struct SiteAccess {
    pub(crate) end_points: EndPoints,
    /// None: all.
    pub(crate) paths: Vec<PathPrefix>,
    /// None: all.
    pub(crate) referers: Vec<RefererPattern>,
    pub(crate) rate: Option<Arc<RateLimit>>,
}

impl SiteAccess {
    /// Whether the request may go to the site, for a client at `client`, which is asked for only where it matters. The
    /// head's path is the site's own.
    pub(crate) fn check(
        &self,
        head: &Parts,
        client: impl FnOnce() -> IpAddr,
    ) -> Result<(), Refusal> {
        let path = head.uri.path();
        self.end_points.check(path)?;
        if !self.paths.is_empty() && !self.paths.iter().any(|prefix| prefix.covers(path)) {
            return Err(Refusal::Path);
        }
        if !self.referers.is_empty() {
            referers::check(&self.referers, head.headers.get_all(REFERER))?;
        }
        match &self.rate {
            Some(rate) => rate.check(client()),
            None => Ok(()),
        }
    }
}
