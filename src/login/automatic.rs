//! The way of getting tokens that fits a server and a credential, found by asking the server.

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
};

use http::HeaderValue;

use crate::{
    credential::{Credential, CredentialKind, Fingerprint},
    error::TokenError,
    lock::lock,
    login::{
        Discovery, Endpoint, FederatedServer, GenerateToken, LegacyToken, OAuthApp, Portal,
        StaticToken, TokenBinding, TokenClient,
        told::{Answers, Told},
        turn::{InTurn, Turn},
        way::{PortalWay, Way},
    },
    registry::{self, Registry},
    sharing::Sharing,
    token::{DynTokenSource, IssuedToken, SignOut, TokenRequest, TokenSource},
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

impl Portals {
    fn in_turn(
        &self,
        service: &Endpoint,
        credential: &Credential,
        login: Arc<dyn DynTokenSource>,
    ) -> Arc<dyn DynTokenSource> {
        let key = (
            format!("{service:?}").to_ascii_lowercase(),
            credential.identity(),
        );
        let turn = shared(&self.turns, key, Turn::default);
        Arc::new(InTurn::new(login, turn))
    }

    fn get(
        &self,
        url: &str,
        binding: &TokenBinding,
        credential: &Credential,
        make: impl FnOnce() -> Portal,
    ) -> Arc<Portal> {
        let key = (
            url.to_ascii_lowercase(),
            format!("{binding:?}"),
            credential.identity(),
        );
        shared(&self.known, key, make)
    }
}

/// The value of `key`, or the one that is made now.
fn shared<K, T>(registry: &Mutex<Registry<K, T>>, key: K, make: impl FnOnce() -> T) -> Arc<T>
where
    K: Clone + Eq + Hash,
    T: registry::Shared,
{
    let there = lock(registry).get(&key);
    there.unwrap_or_else(|| {
        let (value, leftovers) = lock(registry).insert(key, make());
        drop(leftovers);
        value
    })
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
    pub(crate) binding: TokenBinding,
    pub(crate) client: TokenClient,
    pub(crate) portals: Portals,
    pub(crate) answers: Answers,
    pub(crate) sharing: Sharing,
}

/// Asks the server once what it is, and then keeps to the source that fits.
pub(crate) struct Automatic {
    recipe: Arc<Recipe>,
    credential: Credential,
    found: Mutex<Option<Found>>,
}

/// A source that fits.
#[derive(Clone)]
struct Found {
    source: Arc<dyn DynTokenSource>,
    /// The server itself said so, or the user.
    is_told: bool,
    /// A login failed since: the server is asked again before the next. Whoever signs out still has to be told of here.
    is_in_doubt: bool,
}

impl Automatic {
    pub(crate) fn new(recipe: Arc<Recipe>, credential: Credential) -> Self {
        Self {
            recipe,
            credential,
            found: Mutex::new(None),
        }
    }

    fn found(&self) -> MutexGuard<'_, Option<Found>> {
        lock(&self.found)
    }

    async fn find(&self) -> Result<Found, TokenError> {
        let is_app = match self.credential.kind() {
            CredentialKind::Token(token) => {
                return Ok(Found {
                    source: Arc::new(StaticToken::new(token.clone())),
                    is_told: true,
                    is_in_doubt: false,
                });
            }
            CredentialKind::App { .. } => true,
            CredentialKind::User { .. } => false,
        };
        let Told { way, is_told } = self.recipe.told(is_app).await?;
        let source = match &*way {
            Way::GenerateToken(endpoint) => self.generate_token(endpoint, &self.recipe.binding),
            Way::LegacyToken(endpoint) => self.legacy_token(endpoint),
            Way::Portal(way) => self.at_portal(way),
        };
        Ok(Found {
            source,
            is_told,
            is_in_doubt: false,
        })
    }

    /// The server may have moved its token service, or not told of it while it was starting: looks again next time.
    fn doubt(&self, error: &TokenError, is_told: bool) {
        if let Some(found) = &mut *self.found() {
            found.is_in_doubt = true;
        }
        // A token service that refuses is there; others need not ask the server anew for it.
        if !is_told || !error.is_refused() {
            self.recipe.answers.forget();
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
        binding: &TokenBinding,
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
            TokenBinding::Referer(_) => HeaderValue::from_str(&format!("{}/", way.url))
                .map_or(TokenBinding::RequestIp, TokenBinding::Referer),
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
            return portal;
        }
        let server = FederatedServer::new(&portal, self.recipe.discovery.root.clone())
            .binding(self.recipe.binding.clone());
        Arc::new(if self.recipe.sends_portal_token {
            server.direct(self.portal_login(way, &self.recipe.binding))
        } else {
            server
        })
    }

    fn portal_login(&self, way: &PortalWay, binding: &TokenBinding) -> Arc<dyn DynTokenSource> {
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
        let known = self.found().clone().filter(|found| !found.is_in_doubt);
        let found = match known {
            Some(found) => found,
            None => {
                let found = self.find().await?;
                *self.found() = Some(found.clone());
                found
            }
        };
        let token = found.source.token(request).await;
        if let Err(error) = &token {
            self.doubt(error, found.is_told);
        }
        token
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let found = self.found().take();
        let found = match found {
            Some(found) => found,
            // Another process may have logged in, and what it shares of a portal's login goes too.
            None if self.recipe.sharing.is_on() => self.find().await?,
            None => return Ok(()),
        };
        found.source.sign_out(sign_out).await
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
