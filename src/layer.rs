//! The layer and its builder: checks settings once, makes sessions of sites, shares tokens between all its services.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tower_layer::{Layer, Stack};

use crate::{
    error::ConfigError,
    failure::{FailureAsErrorLayer, FailureAsStatusLayer},
    guard::LockoutGuard,
    handle::{ArcgisAuthHandle, KnownSite, Shared},
    login::{Portals, TokenClient},
    resolve::Resolver,
    routes::SiteTable,
    service::ArcgisAuth,
    session::{LayerSettings, Sessions, SiteEvents},
    site::Site,
    token::Owner,
    url::Root,
};

const DEFAULT_REPLAY_LIMIT: usize = 1024 * 1024;
/// Longer time-outs serve no user, and sums of this one do not overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
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
    /// A layer for one site, with the default of every other setting.
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
            lockout_guard: LockoutGuard::new(),
            outcome_in_every_response: false,
        }
    }

    /// A handle on the layer's sites and tokens, and those of all services it makes.
    pub fn handle(&self) -> ArcgisAuthHandle {
        ArcgisAuthHandle::new(Arc::clone(&self.shared))
    }

    /// This layer, whose challenges that could not be answered become a status: 401, 403, 502 or 503, with ArcGIS's JSON
    /// error body ([`AuthFailure`](crate::AuthFailure) says which is which). By default a challenge goes up as the server
    /// sent it, mostly with 200.
    ///
    /// Answers to requests that were not signed for want of a credential or an identity are looked at as well. Those to a
    /// caller's own token, and of ArcGIS's own end points, are not.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{Layer, ServiceExt};
    /// use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, Site, TokenError, token_source_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = tower::service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
    ///     let challenge = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
    ///     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(challenge))))
    /// });
    /// let site = Site::new("https://gis.example.com/arcgis")
    ///     .token_source(token_source_fn(|_| async { Err(TokenError::refused("the password is wrong")) }));
    /// let client = ArcgisAuthLayer::try_new(site)?.failures_as_status().layer(server);
    ///
    /// let request = Request::get("https://gis.example.com/arcgis/rest/services?f=json").body(Full::default())?;
    /// let response = client.oneshot(request).await?;
    /// assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    /// let body = response.into_body().collect().await?.to_bytes();
    /// assert!(body.starts_with(br#"{"error":{"code":401,"#));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn failures_as_status(self) -> Stack<Self, FailureAsStatusLayer> {
        Stack::new(self, FailureAsStatusLayer::new())
    }

    /// This layer, which fails where a challenge could not be answered: with an [`AuthFailure`](crate::AuthFailure), in a
    /// [`BoxError`](crate::BoxError) like the inner service's own errors. Looks at the same answers as
    /// [`failures_as_status`](Self::failures_as_status).
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use tower::{Layer, ServiceExt};
    /// use tower_arcgis_auth::{ArcgisAuthLayer, AuthFailure, ReplayBody, Site, TokenError, token_source_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = tower::service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
    /// #     let challenge = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
    /// #     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(challenge))))
    /// # });
    /// let site = Site::new("https://gis.example.com/arcgis")
    ///     .token_source(token_source_fn(|_| async { Err(TokenError::fault("the token service answered 500")) }));
    /// let client = ArcgisAuthLayer::try_new(site)?.failures_as_errors().layer(server);
    ///
    /// let request = Request::get("https://gis.example.com/arcgis/rest/services?f=json").body(Full::default())?;
    /// let error = client.oneshot(request).await.unwrap_err();
    /// let failure = error.downcast_ref::<AuthFailure>().ok_or("the connection failed")?;
    /// assert_eq!(failure.status(), StatusCode::BAD_GATEWAY);
    /// assert!(failure.to_string().contains("the token service answered 500"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn failures_as_errors(self) -> Stack<Self, FailureAsErrorLayer> {
        Stack::new(self, FailureAsErrorLayer::new())
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
    lockout_guard: LockoutGuard,
    outcome_in_every_response: bool,
}

impl ArcgisAuthLayerBuilder {
    /// One more site. Where two sites' roots both match a request, the longer root wins.
    #[must_use]
    pub fn add_site(mut self, site: Site) -> Self {
        self.sites.push(site);
        self
    }

    /// A site that also gets the requests in origin form (`/arcgis/rest/…`, no host in the URI), as they arrive in an
    /// HTTP/1 server's stack. The layer never reads the `Host` header. HTTP/2 requests carry the public host in their URI:
    /// remove it, or replace it with the site's, above this layer.
    #[must_use]
    pub fn default_site(mut self, site: Site) -> Self {
        self.default_site = Some(site);
        self
    }

    /// The client that logs in, in place of the one that the feature `client` brings.
    #[must_use]
    pub fn token_client(mut self, client: TokenClient) -> Self {
        self.token_client = Some(client);
        self
    }

    /// How much of a request's body is kept for a second sending, in bytes; 1 MiB unless set. A longer body is sent
    /// once. Where such a body, or one of unknown length, has no token or one that is known to be dead, the login comes
    /// before the sending.
    #[must_use]
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// How long a login may take, discovery included, and how long a request waits for a login before its first sending; 30
    /// seconds unless set, a day at most.
    #[must_use]
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// The guard that keeps accounts from being locked; each layer has its own unless set. Share one between layers that log
    /// in with the same accounts.
    #[must_use]
    pub fn lockout_guard(mut self, guard: LockoutGuard) -> Self {
        self.lockout_guard = guard;
        self
    }

    /// Whether an [`AuthOutcome`](crate::AuthOutcome) is in the extensions of every answer to a site's request, the clean
    /// ones included. Off unless set; costs three allocations for each request.
    #[must_use]
    pub fn outcome_in_every_response(mut self, always: bool) -> Self {
        self.outcome_in_every_response = always;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a setting cannot work: no site, an invalid root, referer, portal or token URL, one root twice, an empty user name
    /// or password, a credential beside a token source, identity settings without an `identity_fn`, a `login_timeout` of
    /// zero, no client to log in with. Nothing is sent: the first challenge shows whether a credential is right.
    pub fn build(self) -> Result<ArcgisAuthLayer, ConfigError> {
        let Self {
            sites,
            default_site,
            token_client,
            replay_limit,
            login_timeout,
            lockout_guard,
            outcome_in_every_response,
        } = self;
        if sites.is_empty() && default_site.is_none() {
            return Err(ConfigError::new(
                "the layer has no site, and would do nothing; add one with `add_site` or `default_site`",
            ));
        }
        if login_timeout.is_zero() {
            return Err(ConfigError::new(
                "the `login_timeout` is zero, and no login can be made in that; give it a second at least",
            ));
        }
        let mut roots: Vec<(Root, Sessions)> = Vec::new();
        let mut known = Vec::new();
        let mut default_roots = Vec::new();
        let mut seen = HashSet::new();
        let mut resolver = Resolver {
            token_client,
            portals: Portals::default(),
            guard: lockout_guard,
            settings: LayerSettings {
                replay_limit,
                login_timeout,
                outcome_in_every_response,
            },
        };
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
            let name = site_roots.first().map(Root::to_url).unwrap_or_default();
            let events = Arc::new(SiteEvents::of(Owner::site(name.into(), None)));
            let sessions = resolver.sessions(&site, &site_roots, &events)?;
            known.push(Arc::new(KnownSite {
                urls: site_roots.iter().map(Root::to_url).collect(),
                roots: site_roots.clone(),
                sessions: sessions.clone(),
                events,
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
                    default_roots.push((root.clone(), sessions.clone()));
                }
                roots.push((root, sessions.clone()));
            }
        }
        Ok(ArcgisAuthLayer {
            shared: Arc::new(Shared {
                sites: SiteTable::new(roots, default_roots),
                known,
            }),
        })
    }
}
