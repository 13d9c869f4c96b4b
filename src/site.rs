//! Sites: what the user says of a secured ArcGIS, and finding the one a request is for.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    credential::Credential,
    error::ConfigError,
    identity::Identity,
    login::{Cancelled, CredentialFn, CredentialRequest},
    session::IdentityFn,
    sharing::Sharing,
    sign::{CallerToken, TokenPlacement},
    token::{DynTokenSource, TokenBinding, TokenSource},
    url::{Root, redact, root_of_service},
};

#[cfg(feature = "identities")]
use crate::session::IdentitySettings;

/// One secured ArcGIS: its root or roots, and how to get and place its token.
///
/// A root is an origin and a path prefix, `https://gis.example.com/arcgis`; every request whose URL lies under it, on
/// whole path segments, belongs to the site. A site of several roots (ArcGIS Online spreads one account over many
/// hosts) has one token for all of them.
///
/// Settings that cannot work are reported when the layer is built.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site, TokenPlacement};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let site = Site::new("https://gis.example.com/arcgis")
///     .credential(Credential::user("gis_reader", "secret"))
///     .placement(TokenPlacement::EsriHeader);
/// let layer = ArcgisAuthLayer::try_new(site)?;
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Site {
    pub(crate) roots: Vec<String>,
    pub(crate) login: Login,
    pub(crate) credential_deadline: Duration,
    pub(crate) placement: TokenPlacement,
    pub(crate) caller_token: CallerToken,
    /// The `Referer` that is the first root, unless set.
    pub(crate) binding: Option<TokenBinding>,
    pub(crate) token_url: Option<String>,
    pub(crate) trusted_token_services: Vec<String>,
    pub(crate) portal: Option<String>,
    pub(crate) sends_portal_token: bool,
    pub(crate) credentials_in_url: bool,
    pub(crate) insecure_http: bool,
    pub(crate) login_first: bool,
    pub(crate) private_answers: Option<bool>,
    #[cfg(feature = "identities")]
    pub(crate) identity_fn: Option<IdentityFn>,
    #[cfg(feature = "identities")]
    pub(crate) identities: IdentitySettings,
    pub(crate) sharing: Sharing,
}

/// A day is for ever, and sums of it do not overflow.
const LONGEST_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a person may take to answer.
const CREDENTIAL_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// Where a site's tokens come from.
#[derive(Clone)]
pub(crate) enum Login {
    None,
    Credential(Credential),
    Ask(CredentialFn),
    /// What gives each caller its source, or all the same.
    Sources(SourceFor),
}

pub(crate) type SourceFor = Arc<dyn Fn(Option<&Identity>) -> Arc<dyn DynTokenSource> + Send + Sync>;

impl Site {
    /// A site with this root, `https://host/arcgis`: the part of the services' URLs before `/rest`.
    pub fn new(root: impl Into<String>) -> Self {
        Self {
            roots: vec![root.into()],
            login: Login::None,
            credential_deadline: CREDENTIAL_DEADLINE,
            placement: TokenPlacement::default(),
            caller_token: CallerToken::default(),
            binding: None,
            token_url: None,
            trusted_token_services: Vec::new(),
            portal: None,
            sends_portal_token: false,
            credentials_in_url: false,
            insecure_http: false,
            login_first: false,
            private_answers: None,
            #[cfg(feature = "identities")]
            identity_fn: None,
            #[cfg(feature = "identities")]
            identities: IdentitySettings::default(),
            sharing: Sharing::default(),
        }
    }

    /// The site that the service at `url` belongs to: its root is the part before `/rest`, `/sharing` or `/services`, web
    /// adaptor's name and all. A query and a fragment are left out. URLs of the administrator's end points (`/admin`), of
    /// the token service (`/tokens`) and of a portal's pages (`/home/….html`) do as well; a URL with nothing of all
    /// that is taken for the root itself.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL, or has a user name in it.
    ///
    /// ```
    /// use tower_arcgis_auth::{Credential, Site};
    ///
    /// let site = Site::of_service("https://gis.example.com/arcgis/rest/services/Roads/MapServer/0?f=json")?
    ///     .credential(Credential::user("gis_reader", "secret"));
    /// assert!(format!("{site:?}").contains("\"https://gis.example.com/arcgis\""));
    /// # Ok::<(), tower_arcgis_auth::ConfigError>(())
    /// ```
    pub fn of_service(url: &str) -> Result<Self, ConfigError> {
        root_of_service(url).map(Self::new).ok_or_else(|| {
            ConfigError::new(format!(
                "the service URL `{}` is not an absolute http or https URL, or has a user name in it; write it like \
                 https://gis.example.com/arcgis/rest/services/Roads/MapServer",
                redact(url)
            ))
        })
    }

    /// One more root under which the same token is good. Logins start from the first.
    #[must_use]
    pub fn add_root(mut self, root: impl Into<String>) -> Self {
        self.roots.push(root.into());
        self
    }

    /// What to log in with. Without it, and without a [`token_source`](Self::token_source), requests to the site pass
    /// untouched.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.login = Login::Credential(credential);
        self
    }

    /// Asks `function` for the credential when one is wanted: once, however many requests wait, for at most five
    /// minutes ([`credential_deadline`](Self::credential_deadline)), and again, told so, when the token service refuses
    /// what it gave (at most four times in 15 minutes, for ArcGIS locks an account after five).
    /// [`Cancelled`](crate::Cancelled) is remembered as a refusal is, and so are four answers of which some were refused
    /// before; both until somebody [signs out](crate::SiteHandle::sign_out).
    ///
    /// ```
    /// use tower_arcgis_auth::{Cancelled, Credential, Site};
    ///
    /// let site = Site::new("https://gis.example.com/arcgis").credential_fn(|request| async move {
    ///     println!("{} wants a login ({} refused so far)", request.site(), request.refused());
    ///     // A prompt, a dialogue, a store of passwords.
    ///     if request.refused() > 0 { Err(Cancelled) } else { Ok(Credential::user("reader", "secret")) }
    /// });
    /// # drop(site);
    /// ```
    #[must_use]
    pub fn credential_fn<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(CredentialRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credential, Cancelled>> + Send + 'static,
    {
        self.login = Login::Ask(CredentialFn::new(function));
        self
    }

    /// How long the function of [`credential_fn`](Self::credential_fn) may take to answer each time; five minutes unless
    /// set, a day at most. One that takes longer has given none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_arcgis_auth::{Cancelled, Site};
    ///
    /// let site = Site::new("https://gis.example.com/arcgis")
    ///     .credential_fn(|_| async { Err(Cancelled) })
    ///     .credential_deadline(Duration::from_secs(30));
    /// # drop(site);
    /// ```
    #[must_use]
    pub fn credential_deadline(mut self, deadline: Duration) -> Self {
        self.credential_deadline = deadline.min(LONGEST_DEADLINE);
        self
    }

    /// Where tokens come from, in place of a [`credential`](Self::credential).
    #[must_use]
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        let source: Arc<dyn DynTokenSource> = Arc::new(source);
        self.login = Login::Sources(Arc::new(move |_| Arc::clone(&source)));
        self
    }

    /// Where the tokens of each caller come from: `function` makes a source for each identity, when it first comes.
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_arcgis_auth::{Identity, RefreshToken, Secret, Site, TokenClient};
    ///
    /// fn kept_at(caller: Option<&Identity>) -> String {
    ///     format!("/var/lib/app/{}.refresh", caller.map_or("nobody", Identity::as_str))
    /// }
    ///
    /// # fn site(client: TokenClient) -> Result<Site, Box<dyn std::error::Error>> {
    /// let signed_in = RefreshToken::try_new("https://www.arcgis.com", "aClientId", "", client)?
    ///     .redirect_uri("https://app.example.com/signed-in")
    ///     .on_rotation(|rotated| async move {
    ///         let _ = tokio::fs::write(kept_at(rotated.identity()), rotated.expose()).await;
    ///     });
    /// let site = Site::new("https://services.arcgis.com")
    ///     .identity_fn(|head: &Parts| head.extensions.get::<Identity>().cloned())
    ///     .token_source_for(move |caller| signed_in.clone().refresh_token(Secret::file(kept_at(caller))));
    /// # Ok(site)
    /// # }
    /// ```
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn token_source_for<F, S>(mut self, function: F) -> Self
    where
        F: Fn(Option<&Identity>) -> S + Send + Sync + 'static,
        S: TokenSource,
    {
        self.login = Login::Sources(Arc::new(move |identity| Arc::new(function(identity))));
        self
    }

    /// Gives each caller a token of its own: `function` reads from a request's head whom it is made for. Refusals and
    /// pauses are each caller's own as well: one wrong password never touches another caller. A request that is nobody's
    /// is not signed ([`SkipReason::NoIdentity`](crate::SkipReason::NoIdentity)).
    ///
    /// Read the identity from what your own code put there, an extension, or from a header that whatever stands before
    /// you sets and callers cannot. What it logs in with: [`credential_fn`](Self::credential_fn), told the identity;
    /// [`token_source`](Self::token_source), told it too; [`token_source_for`](Self::token_source_for). With a
    /// [`credential`](Self::credential) all callers are one account, each with a token of its own.
    ///
    /// Answers get `Cache-Control: private` ([`private_answers`](Self::private_answers)).
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_arcgis_auth::{Cancelled, Credential, Identity, Site};
    ///
    /// # async fn password_of(_: &str) -> Option<String> { None }
    /// let site = Site::new("https://gis.example.com/arcgis")
    ///     .identity_fn(|head: &Parts| head.extensions.get::<Identity>().cloned())
    ///     .credential_fn(|request| async move {
    ///         let caller = request.identity().ok_or(Cancelled)?.as_str();
    ///         let password = password_of(caller).await.ok_or(Cancelled)?;
    ///         Ok(Credential::user(caller, password))
    ///     });
    /// # drop(site);
    /// ```
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn identity_fn<F>(mut self, function: F) -> Self
    where
        F: Fn(&http::request::Parts) -> Option<Identity> + Send + Sync + 'static,
    {
        self.identity_fn = Some(Arc::new(function));
        self
    }

    /// Signs requests that are nobody's as well, with a token of their own. Goes with
    /// [`identity_fn`](Self::identity_fn).
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn sign_without_identity(mut self) -> Self {
        self.identities.signs_without_identity = true;
        self
    }

    /// How many callers are remembered, 10,000 unless set, and for how long without a request, an hour unless set. Who
    /// is forgotten logs in again; a remembered refusal is never forgotten before its time. A source that
    /// [`token_source_for`](Self::token_source_for) made is made anew for a caller who was forgotten: what it kept in
    /// memory only, a rotated refresh token say, is gone ([`on_rotation`](crate::RefreshToken::on_rotation)). Goes with
    /// [`identity_fn`](Self::identity_fn).
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn remember_identities(mut self, most: u64, longest_idle: Duration) -> Self {
        self.identities.most = most;
        // Ten years are for ever, and the cache takes no longer.
        self.identities.longest_idle =
            longest_idle.min(Duration::from_secs(10 * 365 * 24 * 60 * 60));
        self
    }

    /// Whether a request waits for a login where there is no token yet, at most
    /// [`login_timeout`](crate::ArcgisAuthLayerBuilder::login_timeout), instead of going out unsigned. Off unless set.
    ///
    /// A catalogue, a folder or a search leaves out what needs a token, and never challenges: without this, what it shows
    /// depends on what others asked before. Turn it on where callers list services or search a portal. It is not waited for
    /// while a refusal or a pause stands; the request goes unsigned then. The login is made again after a sign-out.
    ///
    /// ```
    /// use tower_arcgis_auth::{Credential, Site};
    ///
    /// let portal = Site::new("https://portal.example.com/portal")
    ///     .credential(Credential::user("reader", "secret"))
    ///     .login_first(true);
    /// # drop(portal);
    /// ```
    #[must_use]
    pub fn login_first(mut self, login_first: bool) -> Self {
        self.login_first = login_first;
        self
    }

    /// Whether answers to signed requests, and challenges, get `Cache-Control: private`, so that no cache on the way
    /// hands them to somebody else. On with [`identity_fn`](Self::identity_fn), else off, unless set.
    #[must_use]
    pub fn private_answers(mut self, private: bool) -> Self {
        self.private_answers = Some(private);
        self
    }

    /// Where the token goes on a request. [`TokenPlacement::Query`] unless set.
    #[must_use]
    pub fn placement(mut self, placement: TokenPlacement) -> Self {
        self.placement = placement;
        self
    }

    /// What happens to a caller's own token. [`CallerToken::Keep`] unless set.
    #[must_use]
    pub fn caller_token(mut self, caller_token: CallerToken) -> Self {
        self.caller_token = caller_token;
        self
    }

    /// What tokens are bound to, in place of a `Referer` that is the first root with a slash behind it.
    #[must_use]
    pub fn binding(mut self, binding: TokenBinding) -> Self {
        self.binding = Some(binding);
        self
    }

    /// The `Referer` that tokens are bound to, sent with the login and with every signed request. The first root, with
    /// a slash behind it, unless set; with a [`token_source`](Self::token_source) none, unless set.
    #[must_use]
    pub fn referer(self, referer: impl Into<String>) -> Self {
        self.binding(TokenBinding::Referer(referer.into()))
    }

    /// Binds tokens to the address the token service sees instead of to a `Referer`. Not for machines that leave
    /// their network by changing addresses. Such tokens are of use on one machine only: through a
    /// [shared cache](crate::SealedTokenCache) machines then share what was refused, and no tokens.
    #[must_use]
    pub fn bind_to_address(self) -> Self {
        self.binding(TokenBinding::RequestIp)
    }

    /// The URL of the token service, `…/tokens` or `…/generateToken`, in place of what the server's `rest/info` says. Named by you, it
    /// may be on any origin.
    #[must_use]
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = Some(url.into());
        self
    }

    /// An origin, `https://portal.example.com`, that the server may advertise as its token service's. Without it only
    /// the first root's own origin gets the credential, whatever the server advertises.
    #[must_use]
    pub fn trust_token_service(mut self, origin: impl Into<String>) -> Self {
        self.trusted_token_services.push(origin.into());
        self
    }

    /// The portal, `https://portal.example.com/portal`, to log in at, in place of what the server says of its owning
    /// system. Sites of one layer with the same portal and credential share the portal's login.
    #[must_use]
    pub fn portal(mut self, url: impl Into<String>) -> Self {
        self.portal = Some(url.into());
        self
    }

    /// Sends this site the portal's own token where the portal makes none for it, as for services that ArcGIS Online
    /// hosts. Such a token opens all of the portal: only for servers you trust with that.
    #[must_use]
    pub fn send_portal_token(mut self) -> Self {
        self.sends_portal_token = true;
        self
    }

    /// What tokens are bound to, at a site whose first root this is.
    pub(crate) fn binding_at(&self, root: &Root) -> TokenBinding {
        let root_referer = || TokenBinding::Referer(format!("{}/", root.to_url()));
        self.binding.clone().unwrap_or_else(root_referer)
    }

    pub(crate) fn has_private_answers(&self) -> bool {
        #[cfg(feature = "identities")]
        let by_default = self.identity_fn.is_some();
        #[cfg(not(feature = "identities"))]
        let by_default = false;
        self.private_answers.unwrap_or(by_default)
    }

    /// Shares the site's tokens, and what the [`LockoutGuard`](crate::LockoutGuard) knows of its logins, with all processes
    /// that have the same cache and key: one login for all of them. The login at the site's portal, too.
    ///
    /// [Signing out](crate::SiteHandle::sign_out) removes the tokens from the cache. Other processes use the token they hold
    /// until its end, or until the server refuses it.
    ///
    /// A [`credential_fn`](Self::credential_fn) or a [`token_source`](Self::token_source) whose account cannot be told
    /// shares with all others of the site that cannot.
    ///
    /// ```
    /// use tower_arcgis_auth::{Credential, SealedTokenCache, Secret, Site};
    ///
    /// fn shared_site(cache: &SealedTokenCache) -> Site {
    ///     Site::new("https://gis.example.com/arcgis")
    ///         .credential(Credential::user("gis_reader", Secret::env("ARCGIS_PASSWORD")))
    ///         .shared_token_cache(cache)
    /// }
    /// # let _ = shared_site;
    /// ```
    #[cfg(feature = "shared-cache")]
    #[must_use]
    pub fn shared_token_cache(mut self, cache: &crate::SealedTokenCache) -> Self {
        self.sharing = Sharing::through(cache);
        self
    }

    /// Sends user name and password in the URL where the server's token service is that of ArcGIS 9.3 to 10.2, and reads
    /// them nowhere else. They will be in the logs of every server on the way.
    #[must_use]
    pub fn credentials_in_url(mut self) -> Self {
        self.credentials_in_url = true;
        self
    }

    /// Lets the password travel over plain http. Whoever listens on the way has it. Not needed on loopback.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }
}

/// URLs as `Debug` may show them.
fn redacted(urls: &[String]) -> Vec<String> {
    urls.iter().map(redact).collect()
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login: &dyn fmt::Debug = match &self.login {
            Login::None => &"none",
            Login::Credential(credential) => credential,
            Login::Ask(..) => &"asks for a credential",
            Login::Sources(_) => &"a token source",
        };
        f.debug_struct("Site")
            .field("roots", &redacted(&self.roots))
            .field("login", login)
            .field("placement", &self.placement)
            .field("caller_token", &self.caller_token)
            .field("binding", &self.binding)
            .field("token_url", &self.token_url.as_deref().map(redact))
            .field(
                "trusted_token_services",
                &redacted(&self.trusted_token_services),
            )
            .field("sends_portal_token", &self.sends_portal_token)
            .field("portal", &self.portal.as_deref().map(redact))
            .field("insecure_http", &self.insecure_http)
            .field("private_answers", &self.private_answers)
            .field("sharing", &self.sharing)
            .finish_non_exhaustive()
    }
}
