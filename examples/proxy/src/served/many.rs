//! The sites of a file.

use std::sync::Arc;

use tower_arcgis_auth::Site;

use crate::{
    access::{RateLimit, RefererPattern},
    arguments::Arguments,
    config::Problem,
    forward::{Forward, Passing},
    origin::Upstream,
    plan::{Group, Plan, PlannedSite, describe},
    routes::{Forwards, Route, Routes, Scheme},
    served::SigningClients,
    shared_cache::Sharing,
    signing::{is_on, library_site},
    upstream::{Servers, SigningClient, servers_of, tls_name},
};

pub(crate) struct Many {
    plan: Plan,
}

impl Many {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan }
    }

    pub(super) fn servers(&self, arguments: &Arguments) -> Result<Servers, String> {
        let mut servers = Servers {
            upstreams: Vec::new(),
            logins: Vec::new(),
            certificates: arguments.certificates()?,
            names: Vec::new(),
        };
        for site in &self.plan.sites {
            let upstreams = servers_of(&site.roots().collect::<Vec<_>>());
            if let Some(name) = &site.settings.tls_name {
                let name =
                    tls_name(name).map_err(|words| format!("`{name}` in tls-name: {words}"))?;
                let hosts = upstreams.iter().filter_map(|upstream| upstream.host());
                let named: Vec<_> = hosts.map(|host| (host.to_owned(), name.clone())).collect();
                servers.names.extend(named);
            }
            servers.upstreams.extend(upstreams);
            let settings = &site.settings;
            let logins = settings.token_url.iter().chain(&settings.portal);
            let logins = logins.chain(settings.trust_token_service.iter().flatten());
            servers.logins.extend(servers_of(logins));
        }
        Ok(servers)
    }

    pub(super) fn sites(
        &self,
        sharing: Option<&Sharing>,
        apart: bool,
    ) -> Result<Vec<Site>, String> {
        let plan = &self.plan;
        let sites: Vec<&PlannedSite> = plan
            .sites
            .iter()
            .filter(|site| plan.is_apart(site) == apart)
            .collect();
        let signed = Group::all(sites.iter().copied()).into_iter().map(|group| {
            let first = group.sites.first().ok_or("a group has no site")?;
            let login = first.login.as_ref();
            let sharing = sharing.filter(|_| login.is_some_and(|login| !login.is_ready_token()));
            library_site(&group.roots(), &first.settings, login, sharing)
        });
        // A site without a login may lie below one that has one: it is not signed all the same.
        let open = sites.iter().filter(|site| site.login.is_none());
        let unsigned = open.map(|site| {
            let roots: Vec<String> = site.roots().collect();
            library_site(&roots, &site.settings, None, None)
        });
        signed.chain(unsigned).collect()
    }

    pub(super) fn routes(
        &self,
        clients: &SigningClients,
        arguments: &Arguments,
    ) -> Result<Routes, String> {
        let shared = arguments
            .access
            .rate_limit
            .map(|rate| Arc::new(RateLimit::new(rate)));
        let routes = self.plan.sites.iter().map(|site| {
            let access = site
                .access(shared.as_ref())
                .map_err(|problem| problem.to_string())?;
            let client = if self.plan.is_apart(site) {
                &clients.apart
            } else {
                &clients.together
            };
            let forwards = forwards(site, client).ok_or("a site has no server to send to")?;
            Ok(Route {
                serves: site.serves.clone(),
                mount: site.mount.clone(),
                access,
                forwards,
            })
        });
        Ok(Routes::many(routes.collect::<Result<_, String>>()?))
    }

    pub(super) fn pages(&self) -> Vec<RefererPattern> {
        self.plan
            .sites
            .iter()
            .flat_map(|site| site.settings.allow_referer.iter().flatten())
            .filter_map(|page| page.parse().ok())
            .collect()
    }

    pub(super) fn lends_an_account(&self) -> bool {
        self.plan.sites.iter().any(|site| site.login.is_some())
    }

    pub(super) fn limits_callers(&self) -> bool {
        self.plan.sites.iter().all(|site| {
            let settings = &site.settings;
            settings.allow_path.is_some()
                || settings.rate_limit.is_some()
                || settings
                    .allow_referer
                    .as_ref()
                    .is_some_and(|pages| !pages.iter().any(|page| page == "*"))
        })
    }

    pub(super) fn described(&self, arguments: &Arguments) -> (String, &[Problem]) {
        let text = describe(&self.plan, arguments.access.rate_limit);
        (text, &self.plan.warnings)
    }

    pub(super) fn announce(&self) {
        for problem in &self.plan.warnings {
            match problem.place {
                Some(place) => tracing::warn!(%place, "{}", problem.words),
                None => tracing::warn!("{}", problem.words),
            }
        }
        for site in &self.plan.sites {
            match &site.login {
                Some(login) => tracing::info!(
                    site = site.settings.url,
                    account = %login.account(),
                    "requests to the site are signed"
                ),
                None => tracing::info!(
                    site = site.settings.url,
                    "requests to the site pass unsigned"
                ),
            }
        }
    }
}

fn forwards(site: &PlannedSite, client: &SigningClient) -> Option<Forwards> {
    let settings = &site.settings;
    let passing = Passing {
        // What is below another root is another site's, or is not served.
        signs: false,
        referer: settings
            .referer
            .as_deref()
            .filter(|_| site.login.is_none())
            .and_then(|referer| referer.parse().ok()),
        authorization: is_on(settings.forward_authorization),
        callers_address: !is_on(settings.bind_to_address),
    };
    let forward =
        |upstream: &Upstream| Forward::new(client.clone(), upstream.clone(), passing.clone());
    match site.upstreams.as_slice() {
        [one] => Some(Forwards::One {
            forward: forward(one),
            is_https: one.is_https(),
        }),
        [first, second] => {
            let (http, https) = match site.serves.scheme {
                Scheme::Http => (first, second),
                Scheme::Https | Scheme::Any => (second, first),
            };
            Some(Forwards::Both {
                http: forward(http),
                https: forward(https),
            })
        }
        _ => None,
    }
}
