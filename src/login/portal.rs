//! A portal (ArcGIS Enterprise's or ArcGIS Online) and the servers federated with it: one portal login serves all, and
//! each server gets a token of its own in exchange for the portal's.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Uri;
use tokio::time::Instant;

use super::{
    DEFAULT_LIFETIME,
    answer::{Failure, read_token},
    client::{Form, TokenClient, bind, post_form},
    endpoint::Endpoint,
    setters::{binding_setters, lifetime_setter},
    with_lifetime,
};
use crate::{
    credential::Fingerprint,
    error::{ConfigError, TokenError},
    identity::Identity,
    lock::lock,
    outcome::SkipReason,
    session::{SiteEvents, TokenStore},
    token::{
        DynTokenSource, IssuedToken, Owner, SignOut, Token, TokenBinding, TokenReason,
        TokenRequest, TokenSource,
    },
    url::redact,
};

/// A portal, and a login there. Clones share the login; so do all servers federated with it. As a [`TokenSource`] it gives
/// the portal's own token, for a site that is the portal itself.
///
/// Sites with a [`Credential`](crate::Credential) find and share their portal by themselves. To make one yourself:
///
/// ```
/// use tower_arcgis_auth::{Credential, FederatedServer, GenerateToken, Portal, Site, TokenClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # }));
/// let login = GenerateToken::try_new(
///     "https://portal.example.com/portal/sharing/rest/generateToken",
///     Credential::user("reader", "secret"),
///     client.clone(),
/// )?;
/// let portal = Portal::try_new("https://portal.example.com/portal", login, client)?;
/// let parcels = Site::new("https://gis1.example.com/server")
///     .token_source(FederatedServer::new(&portal, "https://gis1.example.com/server"));
/// let water = Site::new("https://gis2.example.com/server")
///     .token_source(FederatedServer::new(&portal, "https://gis2.example.com/server"));
/// # drop((parcels, water));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Portal {
    shared: Arc<SharedLogin>,
    exchange: Endpoint,
    /// What the portal's token is bound to: its exchange is one of the requests that must carry it.
    binding: TokenBinding,
    client: TokenClient,
}

/// What all servers of a portal share.
struct SharedLogin {
    url: String,
    login: Arc<dyn DynTokenSource>,
    /// Made with the first request, with the guard of that request's layer.
    store: OnceLock<Arc<TokenStore>>,
    users: Users,
}

/// A portal that is dropped once no source uses it.
pub(super) struct WeakPortal {
    shared: Weak<SharedLogin>,
    exchange: Endpoint,
    binding: TokenBinding,
    client: TokenClient,
}

impl WeakPortal {
    pub(super) fn upgrade(&self) -> Option<Portal> {
        Some(Portal {
            shared: self.shared.upgrade()?,
            exchange: self.exchange.clone(),
            binding: self.binding.clone(),
            client: self.client.clone(),
        })
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.shared.strong_count() > 0
    }
}

impl Portal {
    /// The portal at `url`, the part before `/sharing`, where `login` gets its tokens. If `login` binds them to a `Referer`,
    /// set the same [`referer`](Self::referer) here: it is sent with every exchange.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL.
    pub fn try_new(
        url: &str,
        login: impl TokenSource,
        client: TokenClient,
    ) -> Result<Self, ConfigError> {
        let url = url.trim_end_matches('/');
        let exchange = Endpoint::parse(&format!("{url}/sharing/rest/generateToken"))?;
        Ok(Self::with(url, exchange, Arc::new(login), client))
    }

    pub(super) fn with(
        url: &str,
        exchange: Endpoint,
        login: Arc<dyn DynTokenSource>,
        client: TokenClient,
    ) -> Self {
        Self {
            shared: Arc::new(SharedLogin {
                url: url.to_owned(),
                login,
                store: OnceLock::new(),
                users: Users::default(),
            }),
            exchange,
            binding: TokenBinding::RequestIp,
            client,
        }
    }

    binding_setters!();

    pub(super) fn downgrade(&self) -> WeakPortal {
        WeakPortal {
            shared: Arc::downgrade(&self.shared),
            exchange: self.exchange.clone(),
            binding: self.binding.clone(),
            client: self.client.clone(),
        }
    }

    /// The portal's token, kept for all its servers.
    fn store(&self, request: &TokenRequest) -> &Arc<TokenStore> {
        self.shared.store.get_or_init(|| {
            let owner = Owner::portal(&self.shared.url);
            let events = Arc::new(SiteEvents::of(owner.clone()));
            events.begin();
            Arc::new(TokenStore::new(
                Arc::clone(&self.shared.login),
                owner,
                request.guard().clone(),
                LOGIN_TIMEOUT,
                events,
            ))
        })
    }
}

/// The identities that used a portal's token in the last hour: several may share one account there.
#[derive(Default)]
struct Users(Mutex<HashMap<Option<Identity>, Instant>>);

/// Tokens live for an hour by default: an identity without a request for longer is logged out already.
const LATELY: Duration = Duration::from_secs(60 * 60);
/// From this number on the list is searched for identities that have left.
const MANY_USERS: usize = 64;

impl Users {
    fn add(&self, identity: Option<&Identity>) {
        let now = Instant::now();
        let mut users = lock(&self.0);
        if users.len() >= MANY_USERS && users.len().is_power_of_two() {
            users.retain(|_, at| now.duration_since(*at) < LATELY);
        }
        users.insert(identity.cloned(), now);
    }

    /// Removes an identity. Whether it was the last.
    fn remove(&self, identity: Option<&Identity>) -> bool {
        let now = Instant::now();
        let mut users = lock(&self.0);
        users.remove(&identity.cloned());
        users.retain(|_, at| now.duration_since(*at) < LATELY);
        users.is_empty()
    }
}

/// Shorter than the limit of the login that waits for it.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

impl TokenSource for Portal {
    /// The portal's own token, for a site that is the portal itself.
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        self.shared.users.add(request.identity());
        let store = self.store(&request);
        let token = store.fresh().await.map_err(why)?;
        let is_previous = |previous: &Token| previous.expose() == token.expose();
        if !request.previous_token().is_some_and(is_previous) {
            return token.reissue();
        }
        let renewed = store.renewed(Some(&token), request.reason()).await;
        renewed.map_err(why)?.reissue()
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.shared.login.fingerprint(fingerprint);
    }

    /// The last of its users ends the portal's login.
    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        if !self.shared.users.remove(sign_out.identity()) {
            return Ok(());
        }
        match self.shared.store.get() {
            Some(store) => store.forget().tell().await,
            // Another process may have shared its login.
            None => {
                let owner = Owner::portal(&self.shared.url);
                self.shared.login.sign_out(SignOut::new(owner, None)).await
            }
        }
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("store", &self.shared.store)
            .field("exchange", &self.exchange)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// Gets tokens for one server federated with a portal: `generateToken` with `serverUrl` and the portal's token. A server
/// that the portal makes no tokens for gets the portal's own only in a site that allows it
/// ([`Site::send_portal_token`](crate::Site::send_portal_token)); made by hand it gets an error. Tokens are bound to the
/// requester's address, and valid for 60 minutes, unless set.
pub struct FederatedServer {
    portal: Portal,
    server: String,
    binding: TokenBinding,
    lifetime: Duration,
    /// Logs in at the portal for this server only, with this server's binding.
    direct: Option<Arc<dyn DynTokenSource>>,
    /// The portal said once that it makes no tokens for this server.
    takes_portal_tokens: AtomicBool,
}

impl FederatedServer {
    /// The server with the root `server_url`, `https://gis.example.com/server`.
    pub fn new(portal: &Portal, server_url: impl Into<String>) -> Self {
        Self {
            portal: portal.clone(),
            server: server_url.into(),
            binding: TokenBinding::RequestIp,
            lifetime: DEFAULT_LIFETIME,
            direct: None,
            takes_portal_tokens: AtomicBool::new(false),
        }
    }

    binding_setters!();
    lifetime_setter!();

    /// The source of the portal's own tokens, for this server to use as they are.
    pub(crate) fn direct(mut self, login: Arc<dyn DynTokenSource>) -> Self {
        self.direct = Some(login);
        self
    }

    async fn exchange(&self, portal_token: &Token) -> Result<IssuedToken, Exchange> {
        let ask = |lifetime| self.ask(portal_token, lifetime);
        let failure = match with_lifetime(self.lifetime, ask).await {
            Ok(token) => {
                portal_token.set_proven();
                return Ok(token);
            }
            Err(failure) => failure,
        };
        // The request has no credential but the portal's token, which 498 and 499 are about; 400 is about the server.
        match (failure.code, failure.said) {
            (Some(498 | 499), _) => Err(Exchange::PortalTokenDead),
            (Some(400), Some(said)) => {
                portal_token.set_proven();
                Err(Exchange::NotFederated(said))
            }
            (_, said) if failure.error.is_refused() => {
                let said = said
                    .or(failure.status.map(|status| status.to_string()))
                    .unwrap_or_default();
                Err(Exchange::Failed(TokenError::refused_to_all(format!(
                    "{:?} refuses to exchange the portal's token for one of {}: {said}; check what the account may do there, \
                     and whether a web server in front of the portal asks for a login of its own",
                    self.portal.exchange,
                    redact(&self.server)
                ))))
            }
            _ => Err(Exchange::Failed(failure.error)),
        }
    }

    async fn ask(
        &self,
        portal_token: &Token,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Failure> {
        let uri: Uri = self.portal.exchange.checked()?;
        let asked = self.portal.exchange.shown();
        let form = Form::default()
            .pair("request", "getToken")
            .pair("serverUrl", &self.server)
            .pair("token", portal_token.expose())
            .lasting(lifetime)
            .pair("f", "json")
            .bound_to(&self.binding);
        let mut request = post_form(uri, form);
        bind(&mut request, &self.portal.binding)?;
        let answer = self.portal.client.send(request).await?;
        let token = read_token(&answer, &asked, &[portal_token.expose()]);
        token.map_err(|failure| failure.asked_for(lifetime))
    }
}

impl fmt::Debug for FederatedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederatedServer")
            .field("portal", &self.portal)
            .field("server", &self.server)
            .field("binding", &self.binding)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

enum Exchange {
    PortalTokenDead,
    /// With the portal's own words.
    NotFederated(String),
    Failed(TokenError),
}

impl TokenSource for FederatedServer {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        self.portal.shared.users.add(request.identity());
        let store = self.portal.store(&request);
        let before = store.current().map(|token| token.generation());
        let mut portal_token = store.fresh().await.map_err(why)?;
        // Another login would give nothing better than one that was made for this call.
        let mut is_fresh = before.is_none_or(|before| portal_token.generation() > before)
            && !portal_token.is_from_shared_cache();
        loop {
            match self.exchange(&portal_token).await {
                Ok(token) => {
                    self.takes_portal_tokens.store(false, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(Exchange::PortalTokenDead) if !is_fresh => {
                    is_fresh = true;
                    let renewed = store.renewed(Some(&portal_token), TokenReason::Rejected);
                    portal_token = renewed.await.map_err(why)?;
                }
                Err(Exchange::PortalTokenDead) => {
                    return Err(TokenError::fault(
                        "the portal calls its own fresh token invalid; check that its clock and its address are right",
                    ));
                }
                // Once the server has refused the portal's own token too, the portal's error is the answer.
                Err(Exchange::NotFederated(said))
                    if self.takes_portal_tokens.load(Ordering::Relaxed)
                        && was_refused_at_once(&request) =>
                {
                    return Err(TokenError::refused_to_all(format!(
                        "the portal makes no token for {} ({said}), and the server does not accept the portal's own either",
                        redact(&self.server)
                    )));
                }
                Err(Exchange::NotFederated(said)) => {
                    // The portal's token opens more than a token for this server would.
                    let Some(direct) = &self.direct else {
                        return Err(TokenError::refused_to_all(format!(
                            "the portal makes no token for {} ({said}): it hosts the service itself, or the server is not \
                             federated with it; `send_portal_token` lets the site have the portal's own token, which opens \
                             all of the portal",
                            redact(&self.server)
                        )));
                    };
                    self.takes_portal_tokens.store(true, Ordering::Relaxed);
                    return direct.token(request).await;
                }
                Err(Exchange::Failed(error)) => return Err(error),
            }
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        TokenSource::fingerprint(&self.portal, fingerprint);
    }

    /// Signs out of the portal too: after a sign-out a person expects to be asked for a password again.
    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        if let Some(direct) = &self.direct {
            direct.sign_out(sign_out.clone()).await?;
        }
        TokenSource::sign_out(&self.portal, sign_out).await
    }
}

/// Whether the token that died never worked.
fn was_refused_at_once(request: &TokenRequest) -> bool {
    request
        .previous_token()
        .is_some_and(|dead| !dead.is_proven())
}

/// Why the portal's login gave no token, as this source's own error.
fn why(skip_reason: SkipReason) -> TokenError {
    match skip_reason {
        SkipReason::LoginRefused(error) | SkipReason::LoginFailed(error) => error,
        other => TokenError::fault(format!("the portal's token: {other}")),
    }
}
