//! Exploring: what a server says of itself, and which way of getting tokens would be taken there. No credential is sent.

use std::{fmt, future, time::Duration};

use tokio::time::timeout;

use crate::{
    credential::CredentialKind,
    error::{ConfigError, TokenError},
    layer::recipe,
    login::{Portals, Recipe, TokenClient, discovery::ServerInfo, way::Way},
    site::{Login, Site},
    url::{Root, redact},
};

/// As long as a login may take, unless that is set.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a server says of itself, and what a site's login would make of it. See [`Site::explore`].
///
/// What the server said is repeated as it came, but for user names, queries and control characters in it. It may be
/// wrong, or made up: believe it as far as you believe the server.
#[derive(Clone, Debug)]
pub struct SiteReport {
    root: String,
    info: Option<ServerInfo>,
    source: Result<ChosenSource, TokenError>,
    unlisted: Option<String>,
}

/// The way of getting tokens a site would take, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChosenSource {
    /// User and password at this `generateToken` ([`GenerateToken`](crate::GenerateToken)).
    GenerateToken {
        /// The end point that gets them.
        url: String,
    },
    /// User and password at this `getToken` of ArcGIS 9.3 to 10.2 ([`LegacyToken`](crate::LegacyToken)): the last
    /// resort, where the server shows no other token service. Nothing has told that it is there.
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
    /// The API key or token the site was given ([`StaticToken`](crate::StaticToken)): nobody logs in.
    StaticToken,
    /// The [`token_source`](Site::token_source) the site was given.
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

    /// The URL that gets the credential, if one does.
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

    fn of(way: &Way) -> Self {
        match way {
            Way::GenerateToken(endpoint) => Self::GenerateToken {
                url: endpoint.shown(),
            },
            Way::LegacyToken(endpoint) => Self::LegacyToken {
                url: endpoint.shown(),
            },
            Way::Portal(way) => {
                let url = way.oauth.as_ref().unwrap_or(&way.exchange).shown();
                let portal = redact(&way.url);
                if way.is_site {
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
    /// The root the server was asked at: the site's first.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The URL at which the server told of itself: `…/rest/info`, or a portal's `…/sharing/rest/info`. `None` where it
    /// did not: ArcGIS before 10.1, something else altogether, or a server that could not be asked; the last is an
    /// error of [`source`](Self::source).
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

    /// `authInfo.isTokenBasedSecurity`. False where the web server in front of ArcGIS logs people in.
    #[must_use]
    pub fn token_based_security(&self) -> Option<bool> {
        self.info.as_ref()?.token_based_security
    }

    /// `authInfo.tokenServicesUrl`: the token service the server names, trusted or not.
    #[must_use]
    pub fn token_service(&self) -> Option<&str> {
        self.info.as_ref()?.token_service.as_deref()
    }

    /// `owningSystemUrl`: the portal the server says it belongs to, trusted or not. A portal names itself.
    #[must_use]
    pub fn owning_portal(&self) -> Option<&str> {
        self.info.as_ref()?.portal.as_deref()
    }

    /// The way of getting tokens the site would take.
    ///
    /// # Errors
    ///
    /// Why there is none: the error that a login would end with, before it sends anything secret.
    pub fn source(&self) -> Result<&ChosenSource, &TokenError> {
        self.source.as_ref()
    }

    /// The origin that would have to be listed with [`Site::trust_token_service`] before the site can log in: the
    /// server names it, and the site does not know it. Only for origins you know yourself.
    #[must_use]
    pub fn unlisted_origin(&self) -> Option<&str> {
        self.unlisted.as_deref()
    }
}

impl Site {
    /// Asks the server what it is, and tells which way of getting tokens the site would take, as its settings are:
    /// decided as for a login, but nothing of the credential is sent or even read. A site without a credential is taken
    /// for one that a user logs in to.
    ///
    /// It costs one or two requests, to `rest/info` and `sharing/rest/info`; where these say nothing, one more, to
    /// `tokens/generateToken`, without a user. `client` asks; with `None` the one that the feature `client` brings.
    ///
    /// # Errors
    ///
    /// Where a setting cannot work, as [`ArcgisAuthLayer::try_new`](crate::ArcgisAuthLayer::try_new). What goes wrong with the
    /// server is part of the findings.
    ///
    /// ```
    /// use tower_arcgis_auth::{ChosenSource, Site};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A stand-in for ArcGIS Server, on loopback.
    /// let server = arcgis_stand_in::StandIn::start().await?;
    ///
    /// let findings = Site::of_service(&server.url("rest/services/Parcels/MapServer"))?
    ///     .explore(None)
    ///     .await?;
    /// assert_eq!(findings.root(), server.root());
    /// assert_eq!(findings.full_version(), Some("10.9.1"));
    /// match findings.source() {
    ///     Ok(ChosenSource::GenerateToken { url }) => println!("users log in at {url}"),
    ///     Ok(other) => println!("another way: {other}"),
    ///     Err(error) => println!("no way: {error}"),
    /// }
    /// assert_eq!(server.counters().login_attempts, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explore(
        &self,
        client: impl Into<Option<TokenClient>> + Send,
    ) -> Result<SiteReport, ConfigError> {
        let mut client = client.into();
        let first = self.roots.first().map_or("", String::as_str);
        let root = Root::parse(first)?;
        let referer = self.binding.referer(&root)?;
        let recipe = recipe(self, &root, &referer, &mut client, &Portals::default())?;
        let kind = Wanted::of(&self.login);
        let root = root.to_url();
        Ok(match timeout(DEADLINE, explore(&recipe, kind)).await {
            Ok(findings) => SiteReport { root, ..findings },
            Err(_) => SiteReport {
                info: None,
                source: Err(TokenError::fault(format!(
                    "{root} did not say within {} seconds what it is; check the URL and that the server is up",
                    DEADLINE.as_secs()
                ))),
                unlisted: None,
                root,
            },
        })
    }
}

/// What is to be logged in.
#[derive(Clone, Copy)]
enum Wanted {
    User,
    App,
    StaticToken,
    /// Whatever the site's own source logs in.
    Given,
}

impl Wanted {
    fn of(login: &Login) -> Self {
        match login {
            Login::Sources(_) => Self::Given,
            Login::Credential(credential) => match credential.kind() {
                CredentialKind::User { .. } => Self::User,
                CredentialKind::App { .. } => Self::App,
                CredentialKind::Token(_) => Self::StaticToken,
            },
            Login::None | Login::Ask(..) => Self::User,
        }
    }
}

async fn explore(recipe: &Recipe, wanted: Wanted) -> SiteReport {
    let told = recipe.discovery.server_info(&recipe.client).await;
    let decision = match wanted {
        Wanted::StaticToken => Ok(ChosenSource::StaticToken),
        Wanted::Given => Ok(ChosenSource::Given),
        Wanted::User | Wanted::App => {
            let is_app = matches!(wanted, Wanted::App);
            let decision = recipe.decide(is_app, future::ready(told.clone())).await;
            decision.map(|decision| ChosenSource::of(&decision.way))
        }
    };
    let (source, unlisted) = match decision {
        Ok(source) => (Ok(source), None),
        Err(no_way) => (Err(no_way.error), no_way.unlisted),
    };
    SiteReport {
        root: recipe.discovery.root.clone(),
        info: told.ok().flatten().map(ServerInfo::shown),
        source,
        unlisted,
    }
}

impl ServerInfo {
    /// As people may see it.
    fn shown(self) -> Self {
        let word = |word: Option<String>| word.map(redact);
        Self {
            asked_at: self.asked_at,
            current_version: word(self.current_version),
            full_version: word(self.full_version),
            token_based_security: self.token_based_security,
            token_service: word(self.token_service),
            portal: word(self.portal),
        }
    }
}
