//! The layer and its builder: settings checked once, sites made ready, tokens shared by all services it makes.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use http::HeaderValue;
use tower_layer::Layer;

#[cfg(feature = "identities")]
use crate::session::CallerSettings;
use crate::{
    error::ConfigError,
    handle::{ArcgisAuthHandle, KnownSite},
    identity::Identity,
    login::{
        Answers, Ask, Automatic, Discovery, Endpoint, Portals, Recipe, Refusals, TokenBinding,
        TokenClient,
    },
    patience::LONGEST,
    routes::SiteTable,
    service::{ArcgisAuth, Shared},
    session::{Account, Accounts, Callers, Signing, Tally, TokenStore},
    sharing::Sharing,
    site::{Binding, Login, Site, SourceFor},
    token::{DynTokenSource, Owner},
    url::{Origin, Root, redact, server_of},
};

const DEFAULT_REPLAY_LIMIT: usize = 1024 * 1024;
const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes a secured ArcGIS look like an open one to what sits above. See the [crate's documentation](crate).
///
/// Cheap to clone; all clones, and all services they make, share their tokens.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = ArcgisAuthLayer::builder()
///     .add_site(Site::new("https://gis.example.com/arcgis").credential(Credential::user("reader", "secret")))
///     .add_site(Site::new("https://maps.example.org/server").credential(Credential::user("guest", "secret")))
///     .replay_limit(4 * 1024 * 1024)
///     .build()?;
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ArcgisAuthLayer {
    shared: Arc<Shared>,
}

impl ArcgisAuthLayer {
    /// A layer for one site, with every other setting as it comes.
    ///
    /// # Errors
    ///
    /// As [`ArcgisAuthLayerBuilder::build`].
    pub fn try_new(site: Site) -> Result<Self, ConfigError> {
        Self::builder().add_site(site).build()
    }

    /// A layer for several sites, or with other settings.
    pub fn builder() -> ArcgisAuthLayerBuilder {
        ArcgisAuthLayerBuilder {
            sites: Vec::new(),
            default_site: None,
            token_client: None,
            replay_limit: DEFAULT_REPLAY_LIMIT,
            login_timeout: DEFAULT_LOGIN_TIMEOUT,
            outcome_in_every_response: false,
        }
    }

    /// A handle on the layer's sites and tokens, whatever services it makes.
    pub fn handle(&self) -> ArcgisAuthHandle {
        ArcgisAuthHandle::new(Arc::clone(&self.shared))
    }
}

impl<S> Layer<S> for ArcgisAuthLayer {
    type Service = ArcgisAuth<S>;

    fn layer(&self, inner: S) -> ArcgisAuth<S> {
        ArcgisAuth::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for ArcgisAuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArcgisAuthLayer")
            .field("shared", &self.shared)
            .finish()
    }
}

/// Settings of an [`ArcgisAuthLayer`].
#[derive(Clone, Debug)]
pub struct ArcgisAuthLayerBuilder {
    sites: Vec<Site>,
    default_site: Option<Site>,
    token_client: Option<TokenClient>,
    replay_limit: usize,
    login_timeout: Duration,
    outcome_in_every_response: bool,
}

impl ArcgisAuthLayerBuilder {
    /// One more site. Where two sites' roots both match a request, the longer root wins.
    #[must_use]
    pub fn add_site(mut self, site: Site) -> Self {
        self.sites.push(site);
        self
    }

    /// A site that also gets the requests in origin form (`/arcgis/rest/…`, no host in the URI), as they come in an
    /// HTTP/1 server's stack. The `Host` header is never looked at. HTTP/2 requests carry the public host in their URI:
    /// take it off, or put the site's in its place, above this layer.
    #[must_use]
    pub fn default_site(mut self, site: Site) -> Self {
        self.default_site = Some(site);
        self
    }

    /// The client that logs in, in place of the one the feature `client` brings.
    #[must_use]
    pub fn token_client(mut self, client: TokenClient) -> Self {
        self.token_client = Some(client);
        self
    }

    /// How much of a request's body is kept for a second sending, in bytes; 1 MiB unless set. A longer body is sent
    /// once. Where the token is known to be missing or dead, the login then comes before the sending.
    #[must_use]
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// How long a login may take, discovery included; 30 seconds unless set.
    #[must_use]
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = timeout.min(LONGEST);
        self
    }

    /// Puts an [`AuthOutcome`](crate::AuthOutcome) into the extensions of every answer to a site's request, the clean
    /// ones included. Costs three allocations a request.
    #[must_use]
    pub fn outcome_in_every_response(mut self, always: bool) -> Self {
        self.outcome_in_every_response = always;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a setting cannot work: a root, referer or token URL that is none, two sites with one root, no client to
    /// log in with. Nothing is sent yet: whether a credential is right shows with the first challenge.
    pub fn build(self) -> Result<ArcgisAuthLayer, ConfigError> {
        let Self {
            sites,
            default_site,
            mut token_client,
            replay_limit,
            login_timeout,
            outcome_in_every_response,
        } = self;
        let mut roots: Vec<(Root, Accounts)> = Vec::new();
        let mut seen = HashSet::new();
        let mut known = Vec::new();
        let mut default_roots = Vec::new();
        let portals = Portals::default();
        let all = sites
            .into_iter()
            .map(|site| (site, false))
            .chain(default_site.map(|site| (site, true)));
        for (site, is_default) in all {
            let site_roots = site
                .roots
                .iter()
                .map(|root| Root::parse(root))
                .collect::<Result<Vec<_>, _>>()?;
            let tally = Arc::default();
            let accounts = accounts(
                &site,
                &site_roots,
                &mut token_client,
                &portals,
                login_timeout,
                &tally,
            )?;
            known.push(Arc::new(KnownSite {
                urls: site_roots.iter().map(Root::to_url).collect(),
                roots: site_roots.clone(),
                accounts: accounts.clone(),
                tally,
            }));
            for root in site_roots {
                // Roots are the same whatever the case of their letters.
                if !seen.insert(root.to_url().to_ascii_lowercase()) {
                    return Err(ConfigError::new(format!(
                        "the root {} is there twice, in two sites or in one; a request could belong to either",
                        root.to_url()
                    )));
                }
                if is_default {
                    default_roots.push((root.clone(), accounts.clone()));
                }
                roots.push((root, accounts.clone()));
            }
        }
        Ok(ArcgisAuthLayer {
            shared: Arc::new(Shared {
                sites: SiteTable::new(roots, default_roots),
                known,
                replay_limit,
                outcome_in_every_response,
            }),
        })
    }
}

/// What a site's requests are signed with: nothing, one account, or one for each caller.
fn accounts(
    site: &Site,
    roots: &[Root],
    token_client: &mut Option<TokenClient>,
    portals: &Portals,
    login_timeout: Duration,
    tally: &Arc<Tally>,
) -> Result<Accounts, ConfigError> {
    let Some(first) = roots.first() else {
        return Err(ConfigError::new("a site has no root"));
    };
    let referer = match (&site.login, &site.binding) {
        (Login::Sources(_), Binding::Root) => None,
        (_, binding) => binding.referer(first)?,
    };
    #[cfg(feature = "identities")]
    if site.identity_fn.is_none() && site.callers != CallerSettings::default() {
        return Err(ConfigError::new(format!(
            "the site {} says what to do about callers, and not how to tell them apart; give it an `identity_fn`",
            first.to_url()
        )));
    }
    #[cfg(feature = "identities")]
    if site.callers.most == 0 || site.callers.longest_idle.is_zero() {
        return Err(ConfigError::new(format!(
            "the site {} remembers no callers, so that each request would log in; remember one, for a second, at least",
            first.to_url()
        )));
    }
    let mut store_timeout = login_timeout;
    let source_for: SourceFor = match &site.login {
        Login::None => return Ok(Accounts::None),
        Login::Sources(source_for) => Arc::clone(source_for),
        Login::Credential(credential) => {
            let found = Arc::new(recipe(site, first, &referer, token_client, portals)?);
            let credential = credential.clone();
            Arc::new(move |_| Arc::new(Automatic::new(Arc::clone(&found), credential.clone())))
        }
        Login::Ask(function) => {
            let found = Arc::new(recipe(site, first, &referer, token_client, portals)?);
            let (function, deadline) = (function.clone(), site.credential_deadline);
            let refusals = Arc::new(Refusals::default());
            store_timeout = Ask::longest(deadline, login_timeout);
            Arc::new(move |_| {
                let found = Arc::clone(&found);
                let log_in_with = move |credential| -> Arc<dyn DynTokenSource> {
                    Arc::new(Automatic::new(Arc::clone(&found), credential))
                };
                Arc::new(Ask::new(
                    function.clone(),
                    deadline,
                    login_timeout,
                    Arc::clone(&refusals),
                    log_in_with,
                ))
            })
        }
    };
    let name: Arc<str> = first.to_url().into();
    let tally = Arc::clone(tally);
    let sharing = match &site.login {
        // An API key comes from no login that could be shared.
        Login::Credential(credential) if credential.is_ready_token() => Sharing::default(),
        // Tokens bound to an address are of use on one machine only.
        Login::Credential(_) | Login::Ask(..) if referer.is_none() => Sharing::default(),
        _ => site.sharing.clone(),
    };
    let binding = referer.clone();
    let is_users = matches!(site.login, Login::Sources(_));
    let new_store = move |identity: Option<Identity>| {
        let source = sharing.site(&binding, is_users, source_for(identity.as_ref()));
        let owner = Owner::site(Arc::clone(&name), identity);
        Arc::new(TokenStore::new(
            source,
            owner,
            store_timeout,
            Arc::clone(&tally),
        ))
    };
    let signing = Signing {
        placement: site.placement,
        caller_token: site.caller_token,
        referer,
        private_answers: site.has_private_answers(),
    };
    #[cfg(feature = "identities")]
    if let Some(identity_fn) = &site.identity_fn {
        let identity_fn = Arc::clone(identity_fn);
        let callers = Callers::new(identity_fn, &site.callers, signing, Box::new(new_store));
        return Ok(Accounts::Each(Arc::new(callers)));
    }
    Ok(Accounts::One(Arc::new(Account::new(
        new_store(None),
        signing,
    ))))
}

/// All that finding the right token source takes, but for the credential.
pub(crate) fn recipe(
    site: &Site,
    root: &Root,
    referer: &Option<HeaderValue>,
    token_client: &mut Option<TokenClient>,
    portals: &Portals,
) -> Result<Recipe, ConfigError> {
    let client = match token_client {
        Some(client) => client.clone(),
        None => match platform_client() {
            Ok(client) => token_client.insert(client).clone(),
            Err(error) => plain_client(site, root).ok_or(error)?,
        },
    };
    let token_url = match &site.token_url {
        Some(url) => Some(Endpoint::parse(url)?.insecure_http(site.insecure_http)),
        None => None,
    };
    let mut trusted = vec![root.origin.clone()];
    if let Some(portal) = &site.portal {
        let origin = portal
            .parse()
            .ok()
            .filter(|_| !portal.contains(['?', '#']))
            .and_then(|uri| Origin::of(&uri));
        trusted.push(origin.ok_or_else(|| {
            ConfigError::new(format!(
                "the portal `{}` is not a URL; write it like https://portal.example.com/portal",
                redact(portal)
            ))
        })?);
        let path = portal.trim_end_matches('/').split('/').skip(3);
        let path: Vec<&str> = path.collect();
        let inside = path.iter().find(|segment| {
            // A web adaptor alone may be called `home`.
            segment.eq_ignore_ascii_case("sharing")
                || (segment.eq_ignore_ascii_case("home") && path.len() > 1)
        });
        if let Some(inside) = inside {
            return Err(ConfigError::new(format!(
                "the portal `{}` reaches into `/{inside}`; the portal is the part before that, like \
                 https://portal.example.com/portal",
                redact(portal)
            )));
        }
    }
    for service in &site.trusted_token_services {
        let origin = service.parse().ok().and_then(|uri| Origin::of(&uri));
        trusted.push(origin.ok_or_else(|| {
            ConfigError::new(format!(
                "the trusted token service `{}` is not an origin; write it like https://portal.example.com",
                redact(service)
            ))
        })?);
    }
    let discovery = Discovery {
        root: server_of(&root.to_url()),
        trusted,
        insecure_http: site.insecure_http,
    };
    Ok(Recipe {
        discovery,
        token_url,
        portal: site.portal.clone(),
        sends_portal_token: site.sends_portal_token,
        binding: referer
            .clone()
            .map_or(TokenBinding::RequestIp, TokenBinding::Referer),
        client,
        portals: portals.clone(),
        answers: Answers::default(),
        sharing: site.sharing.clone(),
    })
}

#[cfg(feature = "client")]
fn platform_client() -> Result<TokenClient, ConfigError> {
    TokenClient::platform()
}

/// A machine without root certificates can still log in where no certificate is looked at.
#[cfg(feature = "client")]
fn plain_client(site: &Site, root: &Root) -> Option<TokenClient> {
    let named_https = site
        .token_url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http:"));
    (!root.origin.is_https() && !named_https).then(TokenClient::plain_http)
}

#[cfg(not(feature = "client"))]
fn plain_client(_: &Site, _: &Root) -> Option<TokenClient> {
    None
}

#[cfg(not(feature = "client"))]
fn platform_client() -> Result<TokenClient, ConfigError> {
    Err(ConfigError::new(
        "a site has a credential, and there is no client to log in with; give one with `token_client`, or turn the \
         feature `client` on",
    ))
}
