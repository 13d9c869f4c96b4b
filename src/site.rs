//! Sites: what the user says of a secured ArcGIS. A plain description; the layer makes sessions of it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    credential::Credential,
    error::{BoxError, ConfigError},
    identity::Identity,
    login::{Cancelled, CredentialFn, CredentialRequest},
    sharing::Sharing,
    sign::{CallerToken, TokenPlacement},
    token::{DynTokenSource, TokenBinding, TokenSource},
    url::{Root, redact, root_of_service},
};

#[cfg(feature = "identities")]
use crate::session::{IdentityFn, IdentitySettings};

/// One secured ArcGIS: its root or roots, and how its token is obtained and placed.
///
/// A root is an origin and a path prefix, `https://gis.example.com/arcgis`; every request whose URL lies under it, on
/// whole path segments, belongs to the site. A site of several roots (ArcGIS Online spreads one account over many
/// hosts) has one token for all of them.
///
/// No setter fails: [`ArcgisAuthLayerBuilder::build`](crate::ArcgisAuthLayerBuilder::build) reports settings that cannot
/// work.
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
    /// The setters that said where tokens come from. Two do not go together.
    pub(crate) login_setters: Vec<&'static str>,
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

/// Longer deadlines serve no user, and sums of this one do not overflow.
const LONGEST_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a person may take to answer.
const CREDENTIAL_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// Where a site's tokens come from.
#[derive(Clone)]
pub(crate) enum Login {
    None,
    Credential(Credential),
    Ask(CredentialFn),
    /// A function that gives each identity its source, or all the same one.
    Sources(SourceFor),
}

pub(crate) type SourceFor = Arc<dyn Fn(Option<&Identity>) -> Arc<dyn DynTokenSource> + Send + Sync>;

impl Site {
    /// A site with this root, `https://host/arcgis`: the part of the services' URLs before `/rest`. Nothing is checked
    /// until the layer is built.
    pub fn new(root: impl Into<String>) -> Self {
        Self {
            roots: vec![root.into()],
            login: Login::None,
            login_setters: Vec::new(),
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

    /// The site that the service at `url` belongs to: its root is the part before `/rest`, `/sharing` or `/services`, with
    /// the web adaptor's name. A query and a fragment are ignored. URLs of the administrator's end points (`/admin`), of
    /// the token service (`/tokens`) and of a portal's pages (`/home/….html`) work as well; a URL with none of these parts
    /// is taken for the root itself.
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

    /// One more root whose services take the same token. Discovery asks the first root.
    #[must_use]
    pub fn add_root(mut self, root: impl Into<String>) -> Self {
        self.roots.push(root.into());
        self
    }

    /// What to log in with. Without it, without a [`credential_fn`](Self::credential_fn) and without a
    /// [`token_source`](Self::token_source), requests to the site pass untouched. They do not go together; set twice, the last
    /// credential counts.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.set_login("credential", Login::Credential(credential));
        self
    }

    /// Calls `function` for the credential when a login needs one: once, however many requests wait, for at most five
    /// minutes ([`credential_deadline`](Self::credential_deadline)). When the token service refuses the credential, it is
    /// called again, four times for one login at most ([`CredentialRequest::refused`] counts them): ArcGIS locks an account
    /// after five failures in 15 minutes.
    ///
    /// [`Cancelled`](crate::Cancelled), or no answer in time, is remembered like a refusal, for 15 minutes or until a
    /// [sign-out](crate::SiteHandle::sign_out). A credential that was accepted is kept until it is refused or a sign-out.
    ///
    /// ```
    /// use tower_arcgis_auth::{Cancelled, Credential, Site};
    ///
    /// let site = Site::new("https://gis.example.com/arcgis").credential_fn(|request| async move {
    ///     println!("{} needs a login ({} refused so far)", request.site(), request.refused());
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
        self.set_login("credential_fn", Login::Ask(CredentialFn::new(function)));
        self
    }

    /// As [`credential_fn`](Self::credential_fn), with a function that looks the credential up where that may fail, as in a
    /// database. `Ok(None)` says that there is none, and is remembered like a refusal. An error, or no answer in time, is a
    /// fault like that of a token service that is down: the function is called again after a pause that doubles from 1 s to
    /// 2 minutes. The error reaches logs: it must hold no secret.
    ///
    /// ```
    /// use tower_arcgis_auth::{Credential, Site};
    ///
    /// # async fn password_of(_: &str) -> Result<Option<String>, std::io::Error> { Ok(None) }
    /// let site = Site::new("https://gis.example.com/arcgis").try_credential_fn(|_request| async {
    ///     let password = password_of("gis_reader").await?;
    ///     Ok(password.map(|password| Credential::user("gis_reader", password)))
    /// });
    /// # drop(site);
    /// ```
    #[must_use]
    pub fn try_credential_fn<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn(CredentialRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<Credential>, BoxError>> + Send + 'static,
    {
        self.set_login(
            "try_credential_fn",
            Login::Ask(CredentialFn::fallible(function)),
        );
        self
    }

    /// How long the function of [`credential_fn`](Self::credential_fn) or [`try_credential_fn`](Self::try_credential_fn) may
    /// take for each answer; five minutes unless set, a day at most. A later answer counts as none.
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

    /// The source that issues the site's tokens, in place of a [`credential`](Self::credential). With
    /// [`identity_fn`](Self::identity_fn) it gets the identity with each request.
    #[must_use]
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        let source: Arc<dyn DynTokenSource> = Arc::new(source);
        let source_for: SourceFor = Arc::new(move |_| Arc::clone(&source));
        self.set_login("token_source", Login::Sources(source_for));
        self
    }

    /// The source that issues each identity's tokens: `function` makes it when the identity's first request arrives.
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_arcgis_auth::{Identity, RefreshToken, Secret, Site, TokenClient};
    ///
    /// fn kept_at(identity: Option<&Identity>) -> String {
    ///     format!("/var/lib/app/{}.refresh", identity.map_or("none", Identity::as_str))
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
    ///     .token_source_for(move |identity| signed_in.clone().refresh_token(Secret::file(kept_at(identity))));
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
        let source_for: SourceFor = Arc::new(move |identity| Arc::new(function(identity)));
        self.set_login("token_source_for", Login::Sources(source_for));
        self
    }

    /// Gives each identity a token of its own: `function` reads from a request's head for which identity it is made.
    /// Refusals and pauses are separate as well: one identity's wrong password does not affect another. A request without an
    /// identity is not signed ([`SkipReason::NoIdentity`](crate::SkipReason::NoIdentity)). The function is called once for
    /// each request, on arrival.
    ///
    /// Read the identity from an extension that your own code sets, or from a header that the proxy in front of you sets
    /// and callers cannot. [`credential_fn`](Self::credential_fn) and [`token_source`](Self::token_source) get the identity
    /// with each request; [`token_source_for`](Self::token_source_for) makes a source for each. With a
    /// [`credential`](Self::credential) all identities use one account, each with a token of its own.
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
    ///         let user = request.identity().ok_or(Cancelled)?.as_str();
    ///         let password = password_of(user).await.ok_or(Cancelled)?;
    ///         Ok(Credential::user(user, password))
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

    /// Signs requests without an identity as well, with one token for all of them. Needs an
    /// [`identity_fn`](Self::identity_fn).
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn sign_without_identity(mut self) -> Self {
        self.identities.signs_without_identity = true;
        self
    }

    /// How many identities' sessions are kept, 10,000 unless set, and for how long without a request, an hour unless set,
    /// ten years at most. An identity whose session was evicted logs in again; its refusal is remembered for the 15 minutes
    /// all the same. [`token_source_for`](Self::token_source_for) makes a new source for it: what the old one kept only in
    /// memory, such as a rotated refresh token, is lost ([`on_rotation`](crate::RefreshToken::on_rotation)). Needs an
    /// [`identity_fn`](Self::identity_fn); neither value may be zero.
    #[cfg(feature = "identities")]
    #[must_use]
    pub fn remember_identities(mut self, most: u64, longest_idle: Duration) -> Self {
        self.identities.most = most;
        // The cache panics at durations above a thousand years.
        self.identities.longest_idle =
            longest_idle.min(Duration::from_secs(10 * 365 * 24 * 60 * 60));
        self
    }

    /// Whether a request waits for a login where there is no token yet, at most
    /// [`login_timeout`](crate::ArcgisAuthLayerBuilder::login_timeout), instead of going out unsigned. Off unless set.
    ///
    /// A catalogue, a folder or a search leaves out what needs a token, and never challenges: without this, its answer
    /// depends on the requests before it. Turn it on where callers list services or search a portal. While a refusal or a
    /// back-off lasts, the request does not wait and goes out unsigned. After a sign-out the next request logs in again.
    /// With it, no service is tried without a token once a token is there.
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

    /// Whether answers to signed requests, and challenges, get `Cache-Control: private`, so that no shared cache gives them to
    /// another client. On with [`identity_fn`](Self::identity_fn), else off, unless set.
    #[must_use]
    pub fn private_answers(mut self, private: bool) -> Self {
        self.private_answers = Some(private);
        self
    }

    /// Where the token stands on a request. [`TokenPlacement::Query`] unless set.
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

    /// Binds tokens to the address that the token service sees instead of to a `Referer`. Not for machines whose public
    /// address changes. Such tokens work on one machine only: through a [shared cache](crate::SealedTokenCache) machines then
    /// share the history of logins, and no tokens.
    #[must_use]
    pub fn bind_to_address(self) -> Self {
        self.binding(TokenBinding::RequestIp)
    }

    /// The URL of the token service, `…/tokens` or `…/generateToken`, in place of what the server's `rest/info` says. It may
    /// be on any origin, because you name it.
    #[must_use]
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = Some(url.into());
        self
    }

    /// An origin, `https://portal.example.com`, that the server may advertise as its token service's; call it again for
    /// another. Otherwise only the first root's own origin, the [`portal`](Self::portal)'s and the
    /// [`token_url`](Self::token_url)'s get the credential, whatever the server advertises.
    #[must_use]
    pub fn trust_token_service(mut self, origin: impl Into<String>) -> Self {
        self.trusted_token_services.push(origin.into());
        self
    }

    /// The portal to log in at, `https://portal.example.com/portal`, in place of what the server says of its owning
    /// system (`owningSystemUrl` of `rest/info`). Sites of one layer with the same portal and credential share its login.
    #[must_use]
    pub fn portal(mut self, url: impl Into<String>) -> Self {
        self.portal = Some(url.into());
        self
    }

    /// Sends this site the portal's own token where the portal makes none for it, as for services that ArcGIS Online
    /// hosts. That token opens all of the portal: set this only for servers that you trust with it.
    #[must_use]
    pub fn send_portal_token(mut self) -> Self {
        self.sends_portal_token = true;
        self
    }

    fn set_login(&mut self, setter: &'static str, login: Login) {
        if !self.login_setters.contains(&setter) {
            self.login_setters.push(setter);
        }
        self.login = login;
    }

    /// What tokens are bound to, at a site with this first root.
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

    /// Shares the site's tokens, the login at its portal, and the [`LockoutGuard`](crate::LockoutGuard)'s history of logins
    /// with all processes that have the same cache and key: one login for all of them.
    ///
    /// [Signing out](crate::SiteHandle::sign_out) removes the tokens from the cache. Other processes use the token they hold
    /// until it expires, or until the server refuses it.
    ///
    /// A [`credential_fn`](Self::credential_fn), and a [`token_source`](Self::token_source) that does not name its account in
    /// its [`fingerprint`](TokenSource::fingerprint), share a token with all others of the site that do not.
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

    /// Sends user name and password in the URL where the server's token service is that of ArcGIS 9.3 to 10.2, which may
    /// read them nowhere else. Every server on the path may write them into its log.
    #[must_use]
    pub fn credentials_in_url(mut self) -> Self {
        self.credentials_in_url = true;
        self
    }

    /// Lets the password travel over plain http, where everyone on the path can read it. Not needed on loopback.
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
