//! The token source that fits a server and a credential. Discovery says which; this file makes it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    DEFAULT_LIFETIME,
    discovery::{Discovery, Found, Login, PortalLogin, Untrusted},
    endpoint::Endpoint,
    generate_token::GenerateToken,
    legacy_token::LegacyToken,
    oauth_app::OAuthApp,
    portal::{FederatedServer, Portal, WeakPortal},
    static_token::StaticToken,
};
use crate::{
    credential::{Credential, CredentialKind, Fingerprint},
    error::TokenError,
    lock::lock,
    sharing::Sharing,
    token::{DynTokenSource, IssuedToken, SignOut, TokenBinding, TokenRequest, TokenSource},
};

/// A portal's URL, what its tokens are bound to, and the credential's identity.
type PortalKey = (String, String, (u8, u64, u64));

/// The portals that a layer's sites log in at, by URL and credential: one login serves all servers of a portal. A portal
/// that no site uses any more is dropped.
#[derive(Clone, Default)]
pub(crate) struct Portals(Arc<Mutex<HashMap<PortalKey, WeakPortal>>>);

impl Portals {
    fn get(
        &self,
        url: &str,
        binding: &TokenBinding,
        credential: &Credential,
        make: impl FnOnce() -> Portal,
    ) -> Portal {
        let key = (
            url.to_ascii_lowercase(),
            binding.key(),
            credential.identity(),
        );
        let mut portals = lock(&self.0);
        if let Some(portal) = portals.get(&key).and_then(WeakPortal::upgrade) {
            return portal;
        }
        portals.retain(|_, portal| portal.is_in_use());
        let portal = make();
        portals.insert(key, portal.downgrade());
        portal
    }
}

/// What the logins of a site's sessions have in common, apart from the credential.
pub(crate) struct LoginSettings {
    pub(crate) discovery: Arc<Discovery>,
    /// Whether the site gets the portal's own token where the portal makes none for it.
    pub(crate) sends_portal_token: bool,
    pub(crate) binding: TokenBinding,
    /// User name and password go in the URL where the server has only `getToken`.
    pub(crate) credentials_in_url: bool,
    pub(crate) portals: Portals,
    pub(crate) sharing: Sharing,
}

/// Asks the server once what it is, and then stays with the source that fits.
pub(crate) struct Automatic {
    settings: Arc<LoginSettings>,
    credential: Credential,
    chosen: Mutex<Option<Chosen>>,
}

/// A source that fits.
#[derive(Clone)]
struct Chosen {
    source: Arc<dyn DynTokenSource>,
    is_certain: bool,
    /// A login has failed since: the server is asked again before the next. A sign-out still has to reach this source.
    is_in_doubt: bool,
    /// The server does not know `X-Esri-Authorization`.
    is_before_10_6: bool,
    /// The token service that the server names, and that does not get the credential.
    untrusted: Option<Untrusted>,
}

impl Automatic {
    pub(crate) fn new(settings: Arc<LoginSettings>, credential: Credential) -> Self {
        Self {
            settings,
            credential,
            chosen: Mutex::new(None),
        }
    }

    fn chosen(&self) -> MutexGuard<'_, Option<Chosen>> {
        lock(&self.chosen)
    }

    async fn choose(&self) -> Result<Chosen, TokenError> {
        let is_app = match self.credential.kind() {
            CredentialKind::Token(token) => {
                return Ok(Chosen {
                    source: Arc::new(StaticToken::new(token.clone())),
                    is_certain: true,
                    is_in_doubt: false,
                    is_before_10_6: false,
                    untrusted: None,
                });
            }
            CredentialKind::App { .. } => true,
            CredentialKind::User { .. } => false,
        };
        let Found {
            login,
            is_certain,
            longest_lifetime,
            is_before_10_6,
            untrusted,
        } = self.settings.discovery.find(is_app).await?;
        let lifetime = longest_lifetime.map_or(DEFAULT_LIFETIME, |it| it.min(DEFAULT_LIFETIME));
        let source = match &*login {
            Login::GenerateToken(endpoint) => {
                let source = self.generate_token(endpoint, &self.settings.binding);
                Arc::new(source.lifetime(lifetime))
            }
            Login::LegacyToken(endpoint) => self.legacy_token(endpoint),
            Login::Portal(login) => self.at_portal(login, lifetime),
        };
        Ok(Chosen {
            source,
            is_certain,
            is_in_doubt: false,
            is_before_10_6,
            untrusted,
        })
    }

    /// The server may have moved its token service, or not named it while it was starting: the next login asks it again.
    fn doubt(&self, error: &TokenError, is_certain: bool) {
        if let Some(chosen) = &mut *self.chosen() {
            chosen.is_in_doubt = true;
        }
        // A token service that refuses is there: other sessions need not ask the server again.
        if !is_certain || !error.is_refused() {
            self.settings.discovery.forget();
        }
    }

    fn legacy_token(&self, endpoint: &Endpoint) -> Arc<dyn DynTokenSource> {
        let client = self.settings.discovery.client.clone();
        let source = LegacyToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(self.settings.binding.clone())
            .with_credentials_in_url(self.settings.credentials_in_url);
        Arc::new(source)
    }

    /// User and password at this end point, for tokens with this binding.
    fn generate_token(&self, endpoint: &Endpoint, binding: &TokenBinding) -> GenerateToken {
        let client = self.settings.discovery.client.clone();
        GenerateToken::new(endpoint.clone(), self.credential.clone(), client)
            .binding(binding.clone())
            .with_credentials_in_url(self.settings.credentials_in_url)
    }

    /// `lifetime` is what the site's own server grants; that portal is another server, unless it is the site.
    fn at_portal(&self, login: &PortalLogin, lifetime: Duration) -> Arc<dyn DynTokenSource> {
        let settings = &*self.settings;
        let portals = if login.is_site {
            lifetime
        } else {
            DEFAULT_LIFETIME
        };
        let binding = match &settings.binding {
            own if login.is_site => own.clone(),
            // One login serves servers with different `Referer`s: its token has the portal's.
            TokenBinding::Referer(_) => TokenBinding::Referer(format!("{}/", login.url)),
            other => other.clone(),
        };
        let make = || {
            let source = self.portal_login(login, &binding, portals);
            let source = settings.sharing.portal(&binding, source);
            let client = settings.discovery.client.clone();
            Portal::with(&login.url, login.exchange.clone(), source, client)
                .binding(binding.clone())
        };
        let portal = settings
            .portals
            .get(&login.url, &binding, &self.credential, make);
        if login.is_site {
            return Arc::new(portal);
        }
        let server = FederatedServer::new(&portal, settings.discovery.root.clone())
            .binding(settings.binding.clone())
            .lifetime(lifetime);
        Arc::new(if settings.sends_portal_token {
            server.direct(self.portal_login(login, &settings.binding, lifetime))
        } else {
            server
        })
    }

    fn portal_login(
        &self,
        login: &PortalLogin,
        binding: &TokenBinding,
        lifetime: Duration,
    ) -> Arc<dyn DynTokenSource> {
        let Some(oauth) = &login.oauth else {
            let source = self.generate_token(&login.exchange, binding);
            return Arc::new(source.lifetime(lifetime));
        };
        let client = self.settings.discovery.client.clone();
        let source = OAuthApp::new(oauth.clone(), self.credential.clone(), client);
        Arc::new(source.lifetime(lifetime))
    }
}

impl TokenSource for Automatic {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let known = self.chosen().clone().filter(|chosen| !chosen.is_in_doubt);
        let chosen = match known {
            Some(chosen) => chosen,
            None => {
                let chosen = self.choose().await?;
                *self.chosen() = Some(chosen.clone());
                chosen
            }
        };
        match chosen.source.token(request).await {
            Ok(token) if chosen.is_before_10_6 => Ok(token.without_esri_header()),
            Ok(token) => Ok(token),
            Err(error) => {
                self.doubt(&error, chosen.is_certain);
                Err(match &chosen.untrusted {
                    Some(Untrusted { named, .. }) if !error.is_refused() => error.and(&format!(
                        "the server names {named} as its token service: if that is right, list its origin with \
                         `trust_token_service`"
                    )),
                    _ => error,
                })
            }
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let chosen = self.chosen().take();
        let chosen = match chosen {
            Some(chosen) => chosen,
            // Another process may have logged in at the portal, and shared that token: it is removed as well.
            None if self.settings.sharing.is_on() => self.choose().await?,
            None => return Ok(()),
        };
        chosen.source.sign_out(sign_out).await
    }
}

impl fmt::Debug for Automatic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automatic")
            .field("root", &self.settings.discovery.root)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}
