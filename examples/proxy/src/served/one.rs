//! One server, all of whose paths are the proxy's own: the command line's.

use std::sync::Arc;

use tower_arcgis_auth::{PathPrefix, Site};

use crate::{
    access::{EndPoints, RateLimit, SiteAccess},
    arguments::{Arguments, Target},
    forward::{Forward, Passing},
    login::Login,
    routes::{Forwards, Route, Routes, Serves},
    shared_cache::Sharing,
    signing::{is_on, library_site},
    upstream::{Servers, SigningClient, servers_of},
};

pub(crate) struct One {
    target: Target,
}

impl One {
    pub(crate) fn new(target: Target) -> Self {
        Self { target }
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.target.login.as_ref()
    }

    pub(super) fn servers(&self, arguments: &Arguments) -> Result<Servers, String> {
        let upstreams = servers_of(&[self.target.upstream.root_url()]);
        let host = upstreams.first().and_then(|upstream| upstream.host());
        let host = host.unwrap_or_default().to_owned();
        let settings = &self.target.settings;
        let logins = settings.token_url.iter().chain(&settings.portal);
        Ok(Servers {
            logins: servers_of(logins.chain(settings.trust_token_service.iter().flatten())),
            certificates: arguments.certificates()?,
            names: arguments
                .tls_name
                .iter()
                .map(|name| (host.clone(), name.clone()))
                .collect(),
            upstreams,
        })
    }

    pub(super) fn site(&self, sharing: Option<&Sharing>) -> Result<Site, String> {
        let Target {
            upstream,
            login,
            settings,
        } = &self.target;
        library_site(&[upstream.root_url()], settings, login.as_ref(), sharing)
    }

    pub(super) fn routes(
        &self,
        client: &SigningClient,
        arguments: &Arguments,
    ) -> Result<Routes, String> {
        let Target {
            upstream,
            login,
            settings,
        } = &self.target;
        let access = &arguments.access;
        let passing = Passing {
            signs: login.is_some(),
            // The layer puts it on what it signs.
            referer: settings
                .referer
                .as_deref()
                .filter(|_| login.is_none())
                .and_then(|referer| referer.parse().ok()),
            authorization: is_on(settings.forward_authorization),
            callers_address: !is_on(settings.bind_to_address),
        };
        let forward = Forward::new(client.clone(), upstream.clone(), passing);
        Ok(Routes::one(Route {
            serves: Serves::read(&upstream.url_of_root(""), true)?,
            mount: None,
            access: SiteAccess {
                end_points: EndPoints::new(self.roots()?, access.allow_logins, access.allow_admin),
                paths: access.allow_path.clone(),
                referers: access.allow_referer.clone(),
                rate: access.rate_limit.map(|rate| Arc::new(RateLimit::new(rate))),
            },
            forwards: Forwards::One {
                is_https: upstream.is_https(),
                forward,
            },
        }))
    }

    /// The roots of the site, and of the portal where that is on the same host.
    fn roots(&self) -> Result<Vec<PathPrefix>, String> {
        let upstream = &self.target.upstream;
        let portal = self.target.settings.portal.as_deref();
        let portal = portal.and_then(|url| upstream.path_of(url));
        [Some(upstream.root()), portal.as_deref()]
            .into_iter()
            .flatten()
            .map(|root| PathPrefix::try_new(root).map_err(|error| format!("{error}; it is a root")))
            .collect()
    }

    pub(super) fn announce(&self, is_sharing: bool) {
        let upstream = &self.target.upstream;
        let site = upstream.root_url();
        let Some(login) = &self.target.login else {
            tracing::warn!(
                site,
                "no credential: requests pass untouched; set --username, --client-id, ARCGIS_API_KEY or ARCGIS_TOKEN"
            );
            return;
        };
        tracing::info!(
            site,
            account = %login.account(),
            shared = is_sharing && !login.is_ready_token(),
            "requests to the site are signed, all others passed on"
        );
        if is_sharing && login.is_ready_token() {
            tracing::warn!(
                "a key or token that is given comes from no login: --redis has nothing to share"
            );
        }
        if !upstream.is_https() && !upstream.is_loopback() {
            tracing::warn!(
                "the upstream is plain http: everyone on the way can read tokens and answers{}",
                if login.is_ready_token() {
                    ""
                } else if is_on(self.target.settings.allow_insecure_http) {
                    ", and the password or secret"
                } else {
                    "; no password or secret goes there without --allow-insecure-http"
                }
            );
        }
    }
}
