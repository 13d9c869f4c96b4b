//! One site of a file: its URLs, its login, and where its requests go.

use std::sync::Arc;

use http::Uri;
use tower_arcgis_auth::PathPrefix;

use crate::{
    access::{EndPoints, Rate, RateLimit, RefererPattern, SiteAccess},
    config::{Place, Problem, SiteConfig},
    login::Login,
    origin::Upstream,
    plan::login::login_of,
    routes::{Mount, Scheme, Serves},
    signing::is_on,
    upstream::is_loopback,
};

/// Where ArcGIS is installed unless someone chose otherwise.
const DEFAULT_ROOT: &str = "/arcgis";

/// A site that can be served.
#[derive(Debug)]
pub(crate) struct PlannedSite {
    pub(crate) place: Place,
    pub(crate) settings: SiteConfig,
    pub(crate) serves: Serves,
    pub(crate) mount: Option<Mount>,
    pub(crate) login: Option<Login>,
    /// Of http and https, one or both.
    pub(crate) upstreams: Vec<Upstream>,
    /// The root that the login is looked up at, where it is none of the site's own.
    pub(crate) guessed_root: Option<String>,
}

impl PlannedSite {
    pub(super) fn new(
        settings: SiteConfig,
        place: Place,
        warnings: &mut Vec<Problem>,
    ) -> Result<Self, Problem> {
        let at = |words: String| Problem::at(place, words);
        let serves = Serves::read(&settings.url, settings.match_all.unwrap_or(true)).map_err(at)?;
        let mount = settings
            .mount
            .as_deref()
            .map(Mount::read)
            .transpose()
            .map_err(at)?;
        let login = login_of(&settings).map_err(at)?;
        let upstreams = upstreams(&serves, settings.host_redirect.as_deref()).ok_or_else(|| {
            at("the url or its host-redirect names no host to send to".to_owned())
        })?;
        let mut site = Self {
            place,
            settings,
            serves,
            mount,
            login,
            upstreams,
            guessed_root: None,
        };
        site.guess_root(warnings);
        site.check_secrecy().map_err(at)?;
        site.warn_of_plain_http(warnings);
        Ok(site)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.serves.is_same(&other.serves)
    }

    /// Whether another site lies below this one.
    pub(super) fn holds(&self, other: &Self) -> bool {
        !std::ptr::eq(self, other)
            && self.serves.host == other.serves.host
            && self.serves.port == other.serves.port
            && self.serves.rest_of(&other.serves.path_with("")).is_some()
    }

    /// The site's URLs as the layer has them: what lies below these is signed.
    pub(crate) fn roots(&self) -> impl Iterator<Item = String> + '_ {
        self.upstreams.iter().map(Upstream::root_url)
    }

    /// A whole host has no root in its URL to look the login up at.
    fn guess_root(&mut self, warnings: &mut Vec<Problem>) {
        let needs_root = self
            .login
            .as_ref()
            .is_some_and(|login| !login.is_ready_token())
            && self.serves.path.is_empty()
            && self.settings.token_url.is_none()
            && self.settings.portal.is_none();
        let Some(upstream) = self.upstreams.first().filter(|_| needs_root) else {
            return;
        };
        let root = upstream.url_of_root(DEFAULT_ROOT);
        warnings.push(Problem::at(
            self.place,
            format!(
                "the url is a whole host: its login is looked up at {root}; if that is not the server's root, write the url \
                 with it, or the token service (token-url, tokenServiceUri)"
            ),
        ));
        self.guessed_root = Some(root);
    }

    /// Whether a password or secret would be sent where all on the way can read it.
    fn check_secrecy(&self) -> Result<(), String> {
        let Some(login) = self.login.as_ref().filter(|login| !login.is_ready_token()) else {
            return Ok(());
        };
        if is_on(self.settings.allow_insecure_http) {
            return Ok(());
        }
        let own = self.upstreams.first().map(Upstream::root_url);
        let at = [&self.settings.token_url, &self.settings.portal, &own];
        let at = at.into_iter().flatten().next().cloned().unwrap_or_default();
        let at: Uri = at.parse().unwrap_or_default();
        if at.scheme_str() != Some("http") || is_loopback(at.host().unwrap_or_default()) {
            return Ok(());
        }
        Err(format!(
            "the {} would be sent over plain http, where all on the way can read it; write the url with https://, or say so \
             with allow-insecure-http = true (--allow-insecure-http)",
            if login.is_app() {
                "client secret"
            } else {
                "password"
            }
        ))
    }

    fn warn_of_plain_http(&self, warnings: &mut Vec<Problem>) {
        let is_open = self
            .upstreams
            .iter()
            .any(|upstream| !upstream.is_https() && !upstream.is_loopback());
        if is_open && self.login.is_some() {
            let words = match self.serves.scheme {
                Scheme::Any => {
                    "the login goes by https; where a page asks for the site by plain http, everyone on the way can read \
                     tokens and answers: write https:// if it has that"
                }
                _ => "the site is plain http: everyone on the way can read tokens and answers",
            };
            warnings.push(Problem::at(self.place, words));
        }
    }

    /// Who may ask for it. Where it has no rate of its own, `shared` counts for all such sites together.
    pub(crate) fn access(&self, shared: Option<&Arc<RateLimit>>) -> Result<SiteAccess, Problem> {
        let at = |words: String| Problem::at(self.place, words);
        let settings = &self.settings;
        let paths: Result<Vec<PathPrefix>, _> = settings
            .allow_path
            .iter()
            .flatten()
            .map(|path| PathPrefix::try_new(path).map_err(|error| at(error.to_string())))
            .collect();
        let referers: Result<Vec<RefererPattern>, _> = settings
            .allow_referer
            .iter()
            .flatten()
            .map(|page| {
                page.parse()
                    .map_err(|words| at(format!("`{page}` in allow-referer: {words}")))
            })
            .collect();
        let rate = match &settings.rate_limit {
            Some(rate) => {
                let rate: Rate = rate
                    .parse()
                    .map_err(|words| at(format!("`{rate}` in rate-limit: {words}")))?;
                Some(Arc::new(RateLimit::new(rate)))
            }
            None => shared.cloned(),
        };
        Ok(SiteAccess {
            end_points: EndPoints::new(
                self.server_roots(),
                is_on(settings.allow_logins),
                is_on(settings.allow_admin),
            ),
            paths: paths?,
            referers: referers?,
            rate,
        })
    }

    /// The roots that administration lies directly below.
    fn server_roots(&self) -> Vec<PathPrefix> {
        let path = self.serves.path.as_str();
        let lower = path.to_ascii_lowercase();
        let end = ["/rest", "/services", "/sharing", "/admin"]
            .iter()
            .filter_map(|own| lower.find(own))
            .min()
            .unwrap_or(path.len());
        let root = path.get(..end).unwrap_or(path);
        let whole_host = path.is_empty().then_some(DEFAULT_ROOT);
        [Some(root), whole_host]
            .into_iter()
            .flatten()
            .filter_map(|root| PathPrefix::try_new(&format!("{root}/")).ok())
            .collect()
    }
}

/// Where requests go: to the host in the URL, or the one in its place, by each scheme that may be asked for. https comes
/// first: there the login is looked up.
fn upstreams(serves: &Serves, redirect: Option<&str>) -> Option<Vec<Upstream>> {
    let of = |is_https: bool| {
        let public = serves.origin(is_https);
        Upstream::of_site(&public, &serves.path, public.clone())
    };
    if let Some(redirect) = redirect {
        let redirect = redirect.trim_end_matches('/');
        let is_https = redirect.starts_with("https:");
        let public = serves.origin(is_https || serves.scheme == Scheme::Https);
        return Some(vec![Upstream::of_site(redirect, &serves.path, public)?]);
    }
    match serves.scheme {
        Scheme::Https => Some(vec![of(true)?]),
        // A page may ask for https where the file says http; a port has one scheme only.
        Scheme::Http if serves.port.is_some() => Some(vec![of(false)?]),
        Scheme::Http => Some(vec![of(false)?, of(true)?]),
        Scheme::Any => Some(vec![of(true)?, of(false)?]),
    }
}
