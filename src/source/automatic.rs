//! The way of getting tokens that fits a server and a credential, found by asking the server.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use tokio::time::Instant;

use super::{
    ClientBinding, Credential, Discovery, DynTokenSource, Endpoint, FederatedServer, Fingerprint,
    GenerateToken, LegacyToken, OAuthApp, Portal, ReadyToken, SignOut, TokenClient, TokenRequest,
    TokenSource,
    credential::CredentialKind,
    way::{Decision, PortalWay, Way},
};
use crate::{
    error::TokenError,
    registry::{self, Registry},
    sharing::Sharing,
    store::REFUSAL_REMEMBERED,
    token::IssuedToken,
};

/// A portal's URL, what its tokens are bound to, and whose they are.
type PortalKey = (String, String, (u8, u64, u64));

/// The portals a layer's sites are logged in at, by URL and credential: one login serves all servers of a portal.
#[derive(Clone, Default)]
pub(crate) struct Portals {
    known: Arc<Mutex<Registry<PortalKey, Portal>>>,
    turns: Arc<Mutex<Registry<TurnKey, Turn>>>,
}

/// A token service's URL, and a credential.
type TurnKey = (String, (u8, u64, u64));
/// Held by the site that logs in; keeps the refusal for the next.
type Turn = Arc<tokio::sync::Mutex<Option<Refused>>>;

impl registry::Shared for Turn {
    fn is_needed(&self, now: Instant) -> bool {
        let is_refused = |refused: &Option<Refused>| {
            let refused = refused.as_ref();
            refused.is_some_and(|refused| now < refused.until)
        };
        // Whose turn it is holds the lock.
        Arc::strong_count(self) > 1 || self.try_lock().map_or(true, |refused| is_refused(&refused))
    }
}

/// One credential at one token service, whatever the number of sites that log in with it: one at a time, and what was
/// refused to one is not tried for the next. ArcGIS counts failures by account, not by site.
struct InTurn {
    login: Arc<dyn DynTokenSource>,
    turn: Turn,
}

struct Refused {
    until: Instant,
    fingerprint: Option<u64>,
    error: TokenError,
}

impl TokenSource for InTurn {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let mut refused = self.turn.lock().await;
        let fingerprint = self.login.hashed_fingerprint();
        if let Some(refused) = &*refused {
            if Instant::now() < refused.until && refused.fingerprint == fingerprint {
                return Err(refused.error.clone().remember_until(refused.until));
            }
        }
        let token = self.login.token(request).await;
        *refused = token
            .as_ref()
            .err()
            .filter(|error| error.is_refused())
            .map(|error| Refused {
                until: remembered_until(error),
                fingerprint,
                error: error.clone(),
            });
        token
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.login.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.login.sign_out(sign_out).await
    }
}

/// A refusal that was known before is not remembered for longer by being handed on.
fn remembered_until(error: &TokenError) -> Instant {
    let longest = Instant::now() + REFUSAL_REMEMBERED;
    error
        .remembered_until()
        .map_or(longest, |until| until.min(longest))
}

impl Portals {
    fn in_turn(
        &self,
        service: &Endpoint,
        credential: &Credential,
        login: Arc<dyn DynTokenSource>,
    ) -> Arc<dyn DynTokenSource> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            format!("{service:?}").to_ascii_lowercase(),
            credential.identity(),
        );
        let turn = turns.get_or_insert(key, Turn::default);
        Arc::new(InTurn { login, turn })
    }

    fn get(
        &self,
        url: &str,
        binding: &ClientBinding,
        credential: &Credential,
        make: impl FnOnce() -> Portal,
    ) -> Portal {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            url.to_ascii_lowercase(),
            format!("{binding:?}"),
            credential.identity(),
        );
        known.get_or_insert(key, make)
    }
}

/// All that finding the right source takes, but for the credential. Shared by all callers of a site.
pub(crate) struct Recipe {
    pub(crate) discovery: Discovery,
    /// The `generateToken` the user named.
    pub(crate) token_url: Option<Endpoint>,
    /// The portal the user named.
    pub(crate) portal: Option<String>,
    /// The site may get the portal's own token where the portal makes none for it.
    pub(crate) sends_portal_token: bool,
    pub(crate) binding: ClientBinding,
    pub(crate) client: TokenClient,
    pub(crate) portals: Portals,
    /// What the server said, for users and for applications: asked once however many callers log in.
    pub(crate) told: [tokio::sync::Mutex<Option<Arc<Way>>>; 2],
    pub(crate) sharing: Sharing,
}

/// Asks the server once what it is, and then keeps to the source that fits.
pub(crate) struct Automatic {
    recipe: Arc<Recipe>,
    credential: Credential,
    found: Mutex<Option<Arc<dyn DynTokenSource>>>,
}

/// A source, and whether the server itself said that it fits.
struct Found {
    source: Arc<dyn DynTokenSource>,
    is_told: bool,
}

impl Automatic {
    pub(crate) fn new(recipe: Arc<Recipe>, credential: Credential) -> Self {
        Self {
            recipe,
            credential,
            found: Mutex::new(None),
        }
    }

    fn known(&self) -> Option<Arc<dyn DynTokenSource>> {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_known(&self, source: Option<Arc<dyn DynTokenSource>>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    async fn find(&self) -> Result<Found, TokenError> {
        let is_app = match self.credential.kind() {
            CredentialKind::Token(token) => {
                return Ok(Found {
                    source: Arc::new(ReadyToken::new(token.clone())),
                    is_told: true,
                });
            }
            CredentialKind::App { .. } => true,
            CredentialKind::User { .. } => false,
        };
        let mut told = self.recipe.told[usize::from(is_app)].lock().await;
        let (way, is_told) = match &*told {
            Some(way) => (Arc::clone(way), true),
            None => {
                let asked = self.recipe.discovery.server_info(&self.recipe.client);
                let Decision { way, is_told } = self.recipe.decide(is_app, asked).await?;
                let way = Arc::new(way);
                *told = is_told.then(|| Arc::clone(&way));
                (way, is_told)
            }
        };
        drop(told);
        let source = match &*way {
            Way::GenerateToken(endpoint) => self.generate_token(endpoint, &self.recipe.binding),
            Way::LegacyToken(endpoint) => self.legacy_token(endpoint),
            Way::Portal(way) => self.at_portal(way),
        };
        Ok(Found { source, is_told })
    }

    /// The server may have moved its token service, or not told of it while it was starting: looks again next time.
    async fn forget(&self) {
        self.set_known(None);
        for told in &self.recipe.told {
            *told.lock().await = None;
        }
    }

    fn legacy_token(&self, endpoint: &Endpoint) -> Arc<dyn DynTokenSource> {
        let client = self.recipe.client.clone();
        let source = LegacyToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(self.recipe.binding.clone());
        self.in_turn(endpoint, source)
    }

    /// User and password at this end point, for tokens bound like this.
    fn generate_token(
        &self,
        endpoint: &Endpoint,
        binding: &ClientBinding,
    ) -> Arc<dyn DynTokenSource> {
        let client = self.recipe.client.clone();
        let source = GenerateToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(binding.clone());
        self.in_turn(endpoint, source)
    }

    fn in_turn(&self, service: &Endpoint, login: impl TokenSource) -> Arc<dyn DynTokenSource> {
        let Recipe {
            portals, sharing, ..
        } = &*self.recipe;
        let login = sharing.turn(service, Arc::new(login));
        portals.in_turn(service, &self.credential, login)
    }

    fn at_portal(&self, way: &PortalWay) -> Arc<dyn DynTokenSource> {
        let binding = match &self.recipe.binding {
            own if way.is_site => own.clone(),
            // One login serves servers with a `Referer` each: it has the portal's.
            ClientBinding::Referer(_) => HeaderValue::from_str(&format!("{}/", way.url))
                .map_or(ClientBinding::RequestIp, ClientBinding::Referer),
            other => other.clone(),
        };
        let login = self.portal_login(way, &binding);
        let portal = self
            .recipe
            .portals
            .get(&way.url, &binding, &self.credential, || {
                let client = self.recipe.client.clone();
                let exchange = way.exchange.clone();
                let login = self.recipe.sharing.portal(&binding, login);
                Portal::with(&way.url, exchange, login, binding.clone(), client)
            });
        if way.is_site {
            return Arc::new(portal);
        }
        let server = FederatedServer::new(&portal, self.recipe.discovery.root.clone())
            .binding(self.recipe.binding.clone());
        Arc::new(if self.recipe.sends_portal_token {
            server.direct(self.portal_login(way, &self.recipe.binding))
        } else {
            server
        })
    }

    fn portal_login(&self, way: &PortalWay, binding: &ClientBinding) -> Arc<dyn DynTokenSource> {
        let Some(oauth) = &way.oauth else {
            return self.generate_token(&way.exchange, binding);
        };
        let (credential, client) = (self.credential.clone(), self.recipe.client.clone());
        let source = OAuthApp::new(oauth.clone(), credential, client);
        self.in_turn(oauth, source)
    }
}

impl TokenSource for Automatic {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let Found { source, is_told } = match self.known() {
            Some(source) => Found {
                source,
                is_told: true,
            },
            None => {
                let found = self.find().await?;
                self.set_known(Some(Arc::clone(&found.source)));
                found
            }
        };
        let token = source.token(request).await;
        if token
            .as_ref()
            .is_err_and(|error| !is_told || !error.is_refused())
        {
            self.forget().await;
        }
        token
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        match self.known() {
            Some(source) => source.sign_out(sign_out).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Automatic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automatic")
            .field("root", &self.recipe.discovery.root)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}
