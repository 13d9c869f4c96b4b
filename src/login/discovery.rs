//! Discovery: asks a server what it is, and decides which login fits, before anything secret is sent. It asks once, however
//! many logins wait, and again after 15 minutes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{StatusCode, Uri, uri::Scheme};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    answer::redirected,
    client::{Form, TokenClient, get, post_form},
    endpoint::{Endpoint, generate_token_url, require_https},
    server_info::ServerInfo,
};
use crate::{
    credential::not_a_user,
    error::TokenError,
    lock::lock,
    trace,
    url::{Origin, Root, redact},
};

/// How long an answer is believed: a server may move its token service.
const BELIEVED: Duration = Duration::from_secs(15 * 60);
/// How long a guess is kept: the server may have been starting, and say more of itself soon.
const SUPPOSED: Duration = Duration::from_secs(30);
/// Shorter than a login's limit, so that the error says what was slow.
const ASKED_FOR: Duration = Duration::from_secs(20);

/// Where a site's token service is looked for, which origins it may have, and what was found.
#[derive(Debug)]
pub(crate) struct Discovery {
    /// The site's root, without a trailing slash: `https://host/arcgis`.
    pub(crate) root: String,
    /// Origins a credential may go to: the root's own, and those the user listed.
    pub(crate) trusted: Vec<Origin>,
    pub(crate) insecure_http: bool,
    /// The `generateToken` that the user named.
    pub(crate) token_url: Option<Endpoint>,
    /// The portal that the user named.
    pub(crate) portal: Option<String>,
    pub(crate) client: TokenClient,
    pub(crate) found: Answers,
}

/// A login that fits a server.
#[derive(Clone, Debug)]
pub(super) enum Login {
    GenerateToken(Endpoint),
    LegacyToken(Endpoint),
    Portal(PortalLogin),
}

/// A login at a portal, for the portal itself or for a server federated with it.
#[derive(Clone, Debug)]
pub(super) struct PortalLogin {
    /// The portal's URL, the part before `/sharing`.
    pub(super) url: String,
    /// Its `generateToken`: for users' logins, and for exchanges.
    pub(super) exchange: Endpoint,
    /// Its `oauth2/token`, where an application logs in.
    pub(super) oauth: Option<Endpoint>,
    /// The site is the portal itself.
    pub(super) is_site: bool,
}

/// The login that fits, and whether the server or the user said so: a guess is checked again.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) login: Arc<Login>,
    pub(super) is_certain: bool,
    /// The longest lifetime that the server grants.
    pub(super) longest_lifetime: Option<Duration>,
    /// The server does not know `X-Esri-Authorization`.
    pub(super) is_before_10_6: bool,
    /// The token service that the server names, and that does not get the credential.
    pub(super) untrusted: Option<Untrusted>,
}

/// A token service that the server names, and that does not get the credential.
#[derive(Clone, Debug)]
pub(super) struct Untrusted {
    /// Its URL, redacted.
    pub(super) named: String,
    /// The origin that must be listed to use it.
    pub(super) origin: Option<String>,
}

impl Found {
    fn new(login: Login, is_certain: bool) -> Self {
        Self {
            login: Arc::new(login),
            is_certain,
            longest_lifetime: None,
            is_before_10_6: false,
            untrusted: None,
        }
    }

    fn certain(login: Login) -> Self {
        Self::new(login, true)
    }
}

/// Why no login fits.
#[derive(Clone, Debug)]
pub(super) struct NoLogin {
    pub(super) error: TokenError,
    /// The origin that would have to be listed.
    pub(super) unlisted: Option<String>,
}

impl From<TokenError> for NoLogin {
    fn from(error: TokenError) -> Self {
        Self {
            error,
            unlisted: None,
        }
    }
}

impl From<NoLogin> for TokenError {
    fn from(no_login: NoLogin) -> Self {
        no_login.error
    }
}

type Answer = Result<Found, NoLogin>;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    users: Mutex<Known>,
    applications: Mutex<Known>,
    /// The log says that the token service is elsewhere than the server says.
    is_elsewhere_logged: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    answer: Option<(Found, Instant)>,
    /// The server is being asked.
    asking: Option<watch::Receiver<Option<Answer>>>,
}

impl Answers {
    fn known(&self, is_app: bool) -> MutexGuard<'_, Known> {
        lock(if is_app {
            &self.applications
        } else {
            &self.users
        })
    }
}

impl Discovery {
    /// The login for a user or an application, from memory or found now. A task of its own asks the server: the login that
    /// started it may be cancelled before the answer arrives, and others wait for the answer.
    pub(super) async fn find(self: &Arc<Self>, is_app: bool) -> Result<Found, TokenError> {
        let mut answer = {
            let mut known = self.found.known(is_app);
            match &known.answer {
                Some((found, until)) if Instant::now() < *until => return Ok(found.clone()),
                _ => {}
            }
            // A closed channel means that its task ended with its runtime.
            let asking = known.asking.clone();
            match asking.filter(|asking| asking.has_changed().is_ok()) {
                Some(asking) => asking,
                None => {
                    let (sender, asking) = watch::channel(None);
                    tokio::spawn(Arc::clone(self).ask(is_app, sender));
                    known.asking = Some(asking.clone());
                    asking
                }
            }
        };
        let answer = answer.wait_for(Option::is_some).await;
        match answer.ok().and_then(|answer| answer.clone()) {
            Some(answer) => Ok(answer?),
            None => Err(TokenError::fault(
                "asking the server what it is broke off before there was an answer",
            )),
        }
    }

    async fn ask(self: Arc<Self>, is_app: bool, sender: watch::Sender<Option<Answer>>) {
        let asked = self.decide(is_app, self.server_info());
        let answer = timeout(ASKED_FOR, asked).await.unwrap_or_else(|_| {
            Err(TokenError::fault(format!(
                "{} did not say within {} seconds what it is; check that the server is up",
                self.root,
                ASKED_FOR.as_secs()
            ))
            .into())
        });
        let mut known = self.found.known(is_app);
        known.asking = None;
        known.answer = answer.as_ref().ok().map(|found| {
            let good_for = if found.is_certain { BELIEVED } else { SUPPOSED };
            (found.clone(), Instant::now() + good_for)
        });
        drop(known);
        // All receivers may be gone.
        let _ = sender.send(Some(answer));
    }

    /// The next login asks the server again.
    pub(super) fn forget(&self) {
        for is_app in [false, true] {
            self.found.known(is_app).answer = None;
        }
    }

    /// What the server says at `<root>/rest/info`, or, if it is a portal, at `<root>/sharing/rest/info`: the first of them
    /// that names a login, else the first that says anything. `None` where it says nothing: ArcGIS before 10.1, or no
    /// ArcGIS.
    pub(crate) async fn server_info(&self) -> Result<Option<ServerInfo>, TokenError> {
        let (mut without_login, mut redirect) = (None, None);
        for path in ["/rest/info", "/sharing/rest/info"] {
            let info = format!("{}{path}?f=json", self.root);
            let info: Uri = info.parse().map_err(|_| {
                TokenError::fault(
                    "the site's root makes no URL with /rest/info behind it; check the root",
                )
            })?;
            let asked = redact(&info);
            let response = self.client.send(get(info)).await?;
            let status = response.status();
            // A portal may redirect what it does not know: its own information is looked for all the same.
            if status.is_redirection() {
                redirect.get_or_insert_with(|| redirected(&response, &asked).error);
                continue;
            }
            let json = serde_json::from_slice::<Value>(response.body()).ok();
            let info = json.as_ref().and_then(|json| ServerInfo::of(json, &asked));
            if info.as_ref().is_some_and(ServerInfo::names_login) {
                return Ok(info);
            }
            without_login = without_login.or(info);
            // A page of a server that starts or is in maintenance does not mean that it is an old one.
            if json.is_none() && status != StatusCode::NOT_FOUND {
                let no_json = || {
                    TokenError::fault(format!(
                        "{asked} answered {status} with no JSON; is the server up? A token URL can be named instead",
                    ))
                };
                return Err(redirect.unwrap_or_else(no_json));
            }
        }
        match (without_login, redirect) {
            (None, Some(redirect)) => Err(redirect),
            (info, _) => Ok(info),
        }
    }

    /// Whether `<root>/tokens/generateToken` is there. Asked without a credential, so that no account is locked: it answers
    /// with an error in JSON, where ArcGIS before 10.1 has a page or nothing.
    pub(crate) async fn has_generate_token(&self) -> Result<bool, TokenError> {
        let endpoint = self.own_token_service()?;
        let asked = post_form(endpoint.checked()?, Form::default().pair("f", "json"));
        let response = self.client.send(asked).await?;
        let json = serde_json::from_slice::<Value>(response.body());
        Ok(json.is_ok_and(|json| json.is_object()))
    }

    /// The token service in the place where ArcGIS Server has it.
    pub(super) fn own_token_service(&self) -> Result<Endpoint, TokenError> {
        Ok(self.checked(&format!("{}/tokens", self.root))?)
    }

    /// The URL as an absolute one: some servers name their token service relative to themselves, or to `rest/info`.
    fn absolute(&self, url: &str) -> String {
        let url = ["../", "./"]
            .iter()
            .find_map(|dots| url.strip_prefix(dots))
            .unwrap_or(url);
        if let Some(rest) = url.strip_prefix("//") {
            let scheme = self.root.split("://").next().unwrap_or("https");
            return format!("{scheme}://{rest}");
        }
        if url.starts_with('/') {
            let origin = self.root.parse().ok().and_then(|uri| Origin::of(&uri));
            return origin.map_or_else(
                || url.to_owned(),
                |origin| format!("{}{url}", origin.to_url()),
            );
        }
        // A colon before any slash ends a scheme: `javascript:` is no path.
        if url
            .split('/')
            .next()
            .is_some_and(|first| first.contains(':'))
        {
            url.to_owned()
        } else {
            format!("{}/{url}", self.root)
        }
    }

    /// The end point at `url`, or why a credential must not go there.
    pub(super) fn checked(&self, url: &str) -> Result<Endpoint, NoLogin> {
        let unusable = || {
            TokenError::fault(
                "the server advertises a token service that is no usable URL; name one with `token_url`",
            )
        };
        let url = self.absolute(url);
        let mut uri: Uri = generate_token_url(&url).parse().map_err(|_| unusable())?;
        let origin = Origin::of(&uri).ok_or_else(unusable)?;
        if !self.trusted.contains(&origin) {
            // Old set-ups advertise http for a service that they have on https.
            let upgraded = (uri.scheme() == Some(&Scheme::HTTP))
                .then(|| https(&uri))
                .flatten()
                .and_then(|uri| Origin::of(&uri).map(|origin| (uri, origin)));
            match upgraded {
                Some((https_uri, https_origin)) if self.trusted.contains(&https_origin) => {
                    uri = https_uri;
                }
                upgraded => {
                    let error = TokenError::fault(format!(
                        "the server at {} advertises its token service at {}, another origin, and the credential \
                         does not go there; if that is right, list it with `trust_token_service`",
                        self.root,
                        redact(&uri)
                    ));
                    let in_the_clear = require_https(&uri, &origin, self.insecure_http).is_err();
                    let listed = match upgraded {
                        // A login works once the https origin is listed; over http it would not.
                        Some((_, https_origin)) if in_the_clear && uri.port().is_none() => {
                            https_origin
                        }
                        _ => origin,
                    };
                    return Err(NoLogin {
                        error,
                        unlisted: Some(listed.to_url()),
                    });
                }
            }
        }
        let endpoint = Endpoint::new(uri).ok_or_else(unusable)?;
        Ok(endpoint.insecure_http(self.insecure_http))
    }

    /// The login for a user, or for an application. `asked` is what the server says of itself; it is awaited only where the
    /// user's settings do not decide.
    pub(super) async fn decide(
        &self,
        is_app: bool,
        asked: impl Future<Output = Result<Option<ServerInfo>, TokenError>>,
    ) -> Result<Found, NoLogin> {
        if let Some(endpoint) = &self.token_url {
            if is_app {
                return Err(not_a_user().into());
            }
            return Ok(Found::certain(generate_token(endpoint.clone())?));
        }
        if let Some(portal) = &self.portal {
            return Ok(Found::certain(self.at_portal(portal, is_app)?));
        }
        let info = asked.await?.unwrap_or_default();
        let found = self.decide_by(&info, is_app).await?;
        Ok(Found {
            is_before_10_6: info.is_before_10_6(),
            longest_lifetime: info.longest_lifetime,
            ..found
        })
    }

    async fn decide_by(&self, info: &ServerInfo, is_app: bool) -> Result<Found, NoLogin> {
        match (&info.portal, &info.token_service) {
            (Some(portal), token_service) => {
                let at_portal = self.at_portal(portal, is_app);
                match (at_portal, token_service) {
                    // The portal is not trusted; the server's own token service may be.
                    (Err(out_of_bounds), Some(url)) if !is_app => self
                        .checked(url)
                        .and_then(|endpoint| Ok(generate_token(endpoint)?))
                        .map_err(|_| out_of_bounds),
                    (at_portal, _) => at_portal,
                }
                .map(Found::certain)
            }
            _ if is_app => Err(TokenError::fault(format!(
                "an application logs in at a portal, and the server at {} names none; name it with `portal`",
                self.root
            ))
            .into()),
            (None, Some(url)) => self.standalone(url),
            (None, None) => Ok(Found::new(self.without_info().await?, false)),
        }
    }

    /// A standalone server that names a token service on another host that is not trusted is asked below the site's own root:
    /// behind a reverse proxy it does not know its public name.
    fn standalone(&self, url: &str) -> Result<Found, NoLogin> {
        let untrusted = match self.checked(url) {
            Ok(endpoint) => return Ok(Found::certain(generate_token(endpoint)?)),
            Err(untrusted) => untrusted,
        };
        let Some(path) = token_service_path(url) else {
            return Err(untrusted);
        };
        let endpoint = self.checked(&format!("{}{path}", self.root))?;
        let (named, asked) = (redact(url), endpoint.shown());
        if !self.found.is_elsewhere_logged.swap(true, Ordering::Relaxed) {
            trace::token_service_elsewhere(&self.root, &named, &asked);
        }
        Ok(Found {
            untrusted: Some(Untrusted {
                named,
                origin: untrusted.unlisted,
            }),
            ..Found::certain(generate_token(endpoint)?)
        })
    }

    /// A server that says nothing of itself: its token service is in ArcGIS Server's usual place, the newer one or `getToken`.
    async fn without_info(&self) -> Result<Login, NoLogin> {
        if self.has_generate_token().await? {
            return Ok(generate_token(self.own_token_service()?)?);
        }
        let url = format!("{}/tokens", self.root);
        let endpoint = Endpoint::parse(&url)
            .map_err(|error| TokenError::fault(error.to_string()))?
            .insecure_http(self.insecure_http);
        endpoint.checked()?;
        Ok(Login::LegacyToken(endpoint))
    }

    fn at_portal(&self, portal: &str, is_app: bool) -> Result<Login, NoLogin> {
        let portal = portal.trim_end_matches('/');
        let exchange = self.checked(&format!("{portal}/sharing/rest/generateToken"))?;
        // The URL that is really asked: for `http://www.arcgis.com` that is https.
        let uri = exchange.checked()?;
        let url = uri
            .to_string()
            .trim_end_matches("/sharing/rest/generateToken")
            .to_owned();
        let oauth = if is_app {
            let oauth = format!("{url}/sharing/rest/oauth2/token");
            Some(self.checked(&oauth)?)
        } else {
            None
        };
        Ok(Login::Portal(PortalLogin {
            is_site: is_same_place(&self.root, &url),
            url,
            exchange,
            oauth,
        }))
    }
}

/// A login with user and password there, if they may go there.
fn generate_token(endpoint: Endpoint) -> Result<Login, TokenError> {
    endpoint.checked()?;
    Ok(Login::GenerateToken(endpoint))
}

/// Whether the site is the portal itself, in any spelling.
fn is_same_place(root: &str, portal: &str) -> bool {
    matches!((Root::parse(root), Root::parse(portal)), (Ok(root), Ok(portal)) if root.is_same(&portal))
}

/// The part of a token service's path from `/tokens` on, or else from `/generateToken` on, with the folder that is ArcGIS
/// Server's own before it. `None` for a portal's: a federated server's users are the portal's.
fn token_service_path(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let path = url.split_once("//").map_or(url, |(_, rest)| rest);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let at = |names: &[&str]| {
        let is = |segment: &&str| names.iter().any(|name| name.eq_ignore_ascii_case(segment));
        segments.iter().position(is)
    };
    let service = at(&["tokens"]).or_else(|| at(&["generateToken"]))?;
    let own = at(&["admin", "rest", "security"]).filter(|own| own + 1 == service);
    let is_portals = at(&["sharing"]).is_some_and(|sharing| sharing < service);
    (!is_portals).then(|| format!("/{}", segments[own.unwrap_or(service)..].join("/")))
}

fn https(uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_token_service_begins_with_what_is_arcgis_servers_own() {
        for (url, path) in [
            ("https://h:6443/arcgis/tokens", Some("/tokens")),
            ("https://h:6443/arcgis/tokens/", Some("/tokens/")),
            (
                "https://h/gis/Tokens/GenerateToken?x",
                Some("/Tokens/GenerateToken"),
            ),
            ("https://h/tokens/tokens", Some("/tokens/tokens")),
            ("https://h/tokens2/tokens", Some("/tokens")),
            ("https://h/arcgis/security/tokens", Some("/security/tokens")),
            (
                "https://h/arcgis/admin/generateToken",
                Some("/admin/generateToken"),
            ),
            (
                "https://h/arcgis/admin/x/generateToken",
                Some("/generateToken"),
            ),
            ("https://h/generateToken", Some("/generateToken")),
            ("//h/arcgis/tokens", Some("/tokens")),
            ("https://tokens/arcgis", None),
            ("https://h/arcgis/login", None),
            ("https://h", None),
            // A portal's.
            ("https://h/portal/sharing/rest/generateToken", None),
            ("https://h/sharing/generateToken", None),
        ] {
            assert_eq!(token_service_path(url).as_deref(), path, "{url}");
        }
    }
}
