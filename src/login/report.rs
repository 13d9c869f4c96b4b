//! Site reports: what a server says of itself, and which login fits. No credential is sent.

use std::{fmt, future, time::Duration};

use tokio::time::timeout;

use super::{
    discovery::{Discovery, Login},
    server_info::ServerInfo,
};
use crate::{error::TokenError, url::redact};

/// As long as a login may take by default.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a server says of itself, and which token source a site would use there. See [`site_report`](crate::site_report).
///
/// The server's words are repeated without user names, queries and control characters. They may be wrong or made up: trust
/// them as far as you trust the server.
#[derive(Clone, Debug)]
pub struct SiteReport {
    root: String,
    info: Option<ServerInfo>,
    source: Result<ChosenSource, TokenError>,
    unlisted: Option<String>,
}

/// The token source that a site would use, and the URL that it would ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChosenSource {
    /// User and password at this `generateToken` ([`GenerateToken`](crate::GenerateToken)).
    GenerateToken {
        /// The end point that gets them.
        url: String,
    },
    /// User and password at this `getToken` of ArcGIS 9.3 to 10.2 ([`LegacyToken`](crate::LegacyToken)): the last
    /// resort, where the server shows no other token service. It is a guess.
    LegacyToken {
        /// The end point that gets them.
        url: String,
    },
    /// A login at the portal that the site itself is ([`Portal`](crate::Portal)).
    Portal {
        /// The portal's URL, the part before `/sharing`.
        portal: String,
        /// The end point that gets the credential: `generateToken` for a user, `oauth2/token` for an application.
        url: String,
    },
    /// A login at the portal that owns the server, and a token of the server's own in exchange for the portal's
    /// ([`FederatedServer`](crate::FederatedServer)).
    FederatedServer {
        /// The portal's URL, the part before `/sharing`.
        portal: String,
        /// The end point that gets the credential: `generateToken` for a user, `oauth2/token` for an application.
        url: String,
    },
    /// The site's API key or token as it is ([`StaticToken`](crate::StaticToken)), without a login.
    StaticToken,
    /// The site's own [`token_source`](crate::Site::token_source).
    Given,
}

impl ChosenSource {
    /// A short, stable name, fit for a log field or a program.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::GenerateToken { .. } => "generate_token",
            Self::LegacyToken { .. } => "legacy_token",
            Self::Portal { .. } => "portal",
            Self::FederatedServer { .. } => "federated_server",
            Self::StaticToken => "static_token",
            Self::Given => "given",
        }
    }

    /// The URL that gets the credential; `None` where none is sent.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::GenerateToken { url }
            | Self::LegacyToken { url }
            | Self::Portal { url, .. }
            | Self::FederatedServer { url, .. } => Some(url),
            Self::StaticToken | Self::Given => None,
        }
    }

    fn of(login: &Login) -> Self {
        match login {
            Login::GenerateToken(endpoint) => Self::GenerateToken {
                url: endpoint.shown(),
            },
            Login::LegacyToken(endpoint) => Self::LegacyToken {
                url: endpoint.shown(),
            },
            Login::Portal(portal) => {
                let url = portal.oauth.as_ref().unwrap_or(&portal.exchange).shown();
                let (portal, is_site) = (redact(&portal.url), portal.is_site);
                if is_site {
                    Self::Portal { portal, url }
                } else {
                    Self::FederatedServer { portal, url }
                }
            }
        }
    }
}

impl fmt::Display for ChosenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GenerateToken { url } => write!(f, "a login at {url}"),
            Self::LegacyToken { url } => write!(f, "a login the old way at {url}"),
            Self::Portal { url, .. } => write!(f, "a login at the portal itself, {url}"),
            Self::FederatedServer { url, .. } => write!(
                f,
                "a login at the portal, {url}, and a token for this server in exchange"
            ),
            Self::StaticToken => f.write_str("the API key or token as it is"),
            Self::Given => f.write_str("the token source the site was given"),
        }
    }
}

impl SiteReport {
    /// The root that the server was asked at: the site's first.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The URL of the server's information: `…/rest/info`, or a portal's `…/sharing/rest/info`. `None` where there is none:
    /// ArcGIS before 10.1, no ArcGIS, or a server that could not be asked; the last is an error of [`source`](Self::source).
    #[must_use]
    pub fn info_url(&self) -> Option<&str> {
        self.info.as_ref().map(|info| info.asked_at.as_str())
    }

    /// `currentVersion`, as the server writes it: `10.91`.
    #[must_use]
    pub fn current_version(&self) -> Option<&str> {
        self.info.as_ref()?.current_version.as_deref()
    }

    /// `fullVersion`, as the server writes it: `10.9.1`.
    #[must_use]
    pub fn full_version(&self) -> Option<&str> {
        self.info.as_ref()?.full_version.as_deref()
    }

    /// `authInfo.isTokenBasedSecurity`: false where the web server in front of ArcGIS logs people in.
    #[must_use]
    pub fn token_based_security(&self) -> Option<bool> {
        self.info.as_ref()?.token_based_security
    }

    /// `authInfo.tokenServicesUrl`: the token service that the server names, trusted or not.
    #[must_use]
    pub fn token_service(&self) -> Option<&str> {
        self.info.as_ref()?.token_service.as_deref()
    }

    /// `owningSystemUrl`: the portal that the server says it belongs to, trusted or not. A portal names itself.
    #[must_use]
    pub fn owning_portal(&self) -> Option<&str> {
        self.info.as_ref()?.portal.as_deref()
    }

    /// The token source that the site would use.
    ///
    /// # Errors
    ///
    /// Why none fits: the error with which a login would end, before it sends anything secret.
    pub fn source(&self) -> Result<&ChosenSource, &TokenError> {
        self.source.as_ref()
    }

    /// The origin of a token service or portal that the server names and the site does not trust. Without it the site cannot
    /// log in, or, at a standalone server, logs in below its own root. List it with
    /// [`Site::trust_token_service`](crate::Site::trust_token_service) only if you know yourself that it is right.
    #[must_use]
    pub fn unlisted_origin(&self) -> Option<&str> {
        self.unlisted.as_deref()
    }
}

/// What the site's login would log in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    User,
    App,
    StaticToken,
    /// The site has a token source of its own.
    Given,
}

/// What the server says, and the login that fits; decided as for a login, but the credential is neither sent nor read.
pub(crate) async fn report(discovery: &Discovery, root: String, wanted: Wanted) -> SiteReport {
    match timeout(DEADLINE, ask(discovery, wanted)).await {
        Ok(report) => SiteReport { root, ..report },
        Err(_) => SiteReport {
            info: None,
            source: Err(TokenError::fault(format!(
                "{root} did not say within {} seconds what it is; check the URL and that the server is up",
                DEADLINE.as_secs()
            ))),
            unlisted: None,
            root,
        },
    }
}

async fn ask(discovery: &Discovery, wanted: Wanted) -> SiteReport {
    let said = discovery.server_info().await;
    let decision = match wanted {
        Wanted::StaticToken => Ok((ChosenSource::StaticToken, None)),
        Wanted::Given => Ok((ChosenSource::Given, None)),
        Wanted::User | Wanted::App => {
            let is_app = matches!(wanted, Wanted::App);
            let found = discovery.decide(is_app, future::ready(said.clone())).await;
            found.map(|found| {
                let unlisted = found.untrusted.and_then(|untrusted| untrusted.origin);
                (ChosenSource::of(&found.login), unlisted)
            })
        }
    };
    let (source, unlisted) = match decision {
        Ok((source, unlisted)) => (Ok(source), unlisted),
        Err(no_login) => (Err(no_login.error), no_login.unlisted),
    };
    SiteReport {
        root: discovery.root.clone(),
        info: said.ok().flatten().map(ServerInfo::shown),
        source,
        unlisted,
    }
}

impl ServerInfo {
    /// The same, redacted.
    fn shown(self) -> Self {
        let word = |word: Option<String>| word.map(redact);
        Self {
            asked_at: self.asked_at,
            current_version: word(self.current_version),
            full_version: word(self.full_version),
            token_based_security: self.token_based_security,
            token_service: word(self.token_service),
            portal: word(self.portal),
            longest_lifetime: self.longest_lifetime,
        }
    }
}
