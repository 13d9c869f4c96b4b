//! The way of getting tokens that fits a server and a credential, found by asking the server.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use tokio::time::Instant;

use super::{
    ClientBinding, Credential, Discovery, DynTokenSource, Endpoint, FederatedServer, Fingerprint,
    GenerateToken, LegacyToken, OAuthApp, Portal, ReadyToken, SignOut, TokenClient, TokenRequest,
    TokenSource, credential::CredentialKind, discovery::ServerInfo,
};
use crate::{
    error::TokenError, sharing::Sharing, site::Root, store::REFUSAL_REMEMBERED, token::IssuedToken,
};

/// A portal's URL, what its tokens are bound to, and whose they are.
type PortalKey = (String, String, (u8, u64, u64));

/// The portals a layer's sites are logged in at, by URL and credential: one login serves all servers of a portal.
#[derive(Clone, Default)]
pub(crate) struct Portals {
    known: Arc<Mutex<HashMap<PortalKey, Portal>>>,
    turns: Arc<Mutex<HashMap<TurnKey, Turn>>>,
}

/// A token service's URL, and a credential.
type TurnKey = (String, (u8, u64, u64));
/// Held by the site that logs in; keeps the refusal for the next.
type Turn = Arc<tokio::sync::Mutex<Option<Refused>>>;

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
        let turn = Arc::clone(turns.entry(key).or_default());
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
        known.entry(key).or_insert_with(make).clone()
    }
}

/// All that finding the right source takes, but for the credential.
#[derive(Clone)]
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
    pub(crate) sharing: Sharing,
}

/// Asks the server once what it is, and then keeps to the source that fits.
pub(crate) struct Automatic {
    recipe: Recipe,
    credential: Credential,
    found: Mutex<Option<Arc<dyn DynTokenSource>>>,
}

impl Automatic {
    pub(crate) fn new(recipe: Recipe, credential: Credential) -> Self {
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

    /// The source that fits, and whether the server itself said so.
    async fn find(&self) -> Result<(Arc<dyn DynTokenSource>, bool), TokenError> {
        if let CredentialKind::Token(token) = self.credential.kind() {
            return Ok((Arc::new(ReadyToken::new(token.clone())), true));
        }
        if let Some(endpoint) = &self.recipe.token_url {
            return Ok((self.generate_token(endpoint.clone()), true));
        }
        let info = match &self.recipe.portal {
            Some(portal) => Some(ServerInfo {
                portal: Some(portal.clone()),
                token_service: None,
            }),
            None => {
                self.recipe
                    .discovery
                    .server_info(&self.recipe.client)
                    .await?
            }
        };
        let is_app = matches!(self.credential.kind(), CredentialKind::App { .. });
        match info {
            Some(ServerInfo {
                portal: Some(portal),
                token_service,
            }) => match (self.at_portal(&portal), token_service) {
                (Ok(source), _) => Ok((source, true)),
                // The portal is out of bounds; the server's own token service may not be.
                (Err(out_of_bounds), Some(url)) if !is_app => self
                    .recipe
                    .discovery
                    .checked(&url)
                    .map(|endpoint| (self.generate_token(endpoint), true))
                    .map_err(|_| out_of_bounds),
                (Err(out_of_bounds), _) => Err(out_of_bounds),
            },
            _ if is_app => Err(TokenError::fault(format!(
                "an application logs in at a portal, and the server at {} names none; name it with `portal`",
                self.recipe.discovery.root
            ))),
            Some(ServerInfo {
                token_service: Some(url),
                ..
            }) => Ok((
                self.generate_token(self.recipe.discovery.checked(&url)?),
                true,
            )),
            _ => Ok((self.without_info().await?, false)),
        }
    }

    /// A server that says nothing of itself: its token service is where ArcGIS Server has it, the new one or the old.
    async fn without_info(&self) -> Result<Arc<dyn DynTokenSource>, TokenError> {
        if self
            .recipe
            .discovery
            .has_generate_token(&self.recipe.client)
            .await?
        {
            return Ok(self.generate_token(self.recipe.discovery.own_token_service()?));
        }
        let url = format!("{}/tokens", self.recipe.discovery.root);
        let endpoint = Endpoint::parse(&url)
            .map_err(|error| TokenError::fault(error.to_string()))?
            .insecure_http(self.recipe.discovery.insecure_http);
        let client = self.recipe.client.clone();
        let source = LegacyToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(self.recipe.binding.clone());
        Ok(self.in_turn(&endpoint, source))
    }

    /// User and password at this end point, for tokens bound as the site's are.
    fn generate_token(&self, endpoint: Endpoint) -> Arc<dyn DynTokenSource> {
        self.generate_token_bound(endpoint, &self.recipe.binding)
    }

    fn generate_token_bound(
        &self,
        endpoint: Endpoint,
        binding: &ClientBinding,
    ) -> Arc<dyn DynTokenSource> {
        let client = self.recipe.client.clone();
        let source = GenerateToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(binding.clone());
        self.in_turn(&endpoint, source)
    }

    fn in_turn(&self, service: &Endpoint, login: impl TokenSource) -> Arc<dyn DynTokenSource> {
        let Recipe {
            portals, sharing, ..
        } = &self.recipe;
        let login = sharing.turn(service, Arc::new(login));
        portals.in_turn(service, &self.credential, login)
    }

    fn at_portal(&self, portal: &str) -> Result<Arc<dyn DynTokenSource>, TokenError> {
        let portal = portal.trim_end_matches('/');
        let exchange = self
            .recipe
            .discovery
            .checked(&format!("{portal}/sharing/rest/generateToken"))?;
        // Asked where it may be asked, which for `http://www.arcgis.com` is https.
        let uri = exchange.checked()?;
        let url = uri
            .to_string()
            .trim_end_matches("/sharing/rest/generateToken")
            .to_owned();
        let is_portal = is_same_place(&self.recipe.discovery.root, &url);
        let binding = match &self.recipe.binding {
            own if is_portal => own.clone(),
            // One login serves servers with a `Referer` each: it has the portal's.
            ClientBinding::Referer(_) => HeaderValue::from_str(&format!("{url}/"))
                .map_or(ClientBinding::RequestIp, ClientBinding::Referer),
            other => other.clone(),
        };
        let login = self.portal_login(&url, &exchange, &binding)?;
        let portal = self
            .recipe
            .portals
            .get(&url, &binding, &self.credential, || {
                let client = self.recipe.client.clone();
                let login = self.recipe.sharing.portal(&binding, login);
                Portal::with(&url, exchange.clone(), login, binding.clone(), client)
            });
        if is_portal {
            return Ok(Arc::new(portal));
        }
        let server = FederatedServer::new(&portal, self.recipe.discovery.root.clone())
            .binding(self.recipe.binding.clone());
        Ok(Arc::new(if self.recipe.sends_portal_token {
            server.direct(self.portal_login(&url, &exchange, &self.recipe.binding)?)
        } else {
            server
        }))
    }

    fn portal_login(
        &self,
        url: &str,
        exchange: &Endpoint,
        binding: &ClientBinding,
    ) -> Result<Arc<dyn DynTokenSource>, TokenError> {
        if let CredentialKind::App { .. } = self.credential.kind() {
            let oauth = format!("{url}/sharing/rest/oauth2/token");
            let endpoint = self.recipe.discovery.checked(&oauth)?;
            let credential = self.credential.clone();
            let client = self.recipe.client.clone();
            let source = OAuthApp::new(endpoint.clone(), credential, client);
            return Ok(self.in_turn(&endpoint, source));
        }
        Ok(self.generate_token_bound(exchange.clone(), binding))
    }
}

/// Whether the site is the portal itself, in whatever spelling.
fn is_same_place(root: &str, portal: &str) -> bool {
    matches!((Root::parse(root), Root::parse(portal)), (Ok(root), Ok(portal)) if root.is_same(&portal))
}

impl TokenSource for Automatic {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let (source, is_told) = match self.known() {
            Some(source) => (source, true),
            None => {
                let (source, is_told) = self.find().await?;
                self.set_known(Some(Arc::clone(&source)));
                (source, is_told)
            }
        };
        let token = source.token(request).await;
        // The server may have moved its token service, or not told of it while it was starting: look again next time.
        if token
            .as_ref()
            .is_err_and(|error| !is_told || !error.is_refused())
        {
            self.set_known(None);
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
