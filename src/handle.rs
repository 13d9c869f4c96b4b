//! A handle on a running layer: lists its sites and sessions, signs out, renews, counts.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

use crate::{
    error::TokenError,
    identity::Identity,
    outcome::RenewError,
    routes::SiteTable,
    session::{Session, SessionState, Sessions, SiteCounters, SiteEvents, TokenState},
    url::Root,
};

/// A handle on a running layer and all services it made: lists sites and sessions, signs out, renews, counts. Never shows
/// a token's text. Cheap to clone.
///
/// ```
/// use http::Request;
/// use tower::{Layer, ServiceExt};
/// use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, token_source_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = ArcgisAuthLayer::try_new(
///     Site::new("https://gis.example.com/arcgis")
///         .token_source(token_source_fn(|_| async { IssuedToken::try_new("secret") })),
/// )?;
/// let handle = layer.handle();
///
/// // Logs in before the first request does.
/// let site = handle.site("https://gis.example.com/arcgis").ok_or("no such site")?;
/// let token = site.renew().await?;
/// assert_eq!(token.generation(), 1);
///
/// for site in handle.sites() {
///     for session in site.sessions() {
///         println!("{}: {session}", site.root());
///     }
/// }
/// handle.sign_out().await?;
/// assert_eq!(handle.counters().logins(), 1);
/// assert!(site.sessions()[0].token().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ArcgisAuthHandle {
    shared: Arc<Shared>,
}

/// What all clones of a layer and its services share.
pub(crate) struct Shared {
    pub(crate) sites: SiteTable<Sessions>,
    pub(crate) known: Vec<Arc<KnownSite>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("sites", &self.known)
            .finish()
    }
}

/// What a layer keeps of a site for its handles.
#[derive(Debug)]
pub(crate) struct KnownSite {
    pub(crate) roots: Vec<Root>,
    pub(crate) urls: Vec<String>,
    pub(crate) sessions: Sessions,
    pub(crate) events: Arc<SiteEvents>,
}

impl ArcgisAuthHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// All sites, in the order in which the builder got them.
    pub fn sites(&self) -> Vec<SiteHandle> {
        let sites = self.shared.known.iter();
        sites
            .map(|site| SiteHandle {
                site: Arc::clone(site),
            })
            .collect()
    }

    /// The site with this root, in any spelling of it; `None` if the layer has no such site.
    pub fn site(&self, root: &str) -> Option<SiteHandle> {
        let root = Root::parse(root).ok()?;
        let mut sites = self.shared.known.iter();
        let site = sites.find(|site| site.roots.iter().any(|other| other.is_same(&root)))?;
        Some(SiteHandle {
            site: Arc::clone(site),
        })
    }

    /// The counters of all sites together.
    pub fn counters(&self) -> Counters {
        let mut all = Counters::default();
        for site in &self.shared.known {
            all.add(&site.events.counters);
        }
        all
    }

    /// Signs all identities out of all sites. See [`SiteHandle::sign_out`].
    ///
    /// # Errors
    ///
    /// As [`SiteHandle::sign_out`].
    pub async fn sign_out(&self) -> Result<(), TokenError> {
        let known = self.shared.known.iter();
        sign_out(known.flat_map(|site| site.sessions.all()).collect()).await
    }
}

impl fmt::Debug for ArcgisAuthHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArcgisAuthHandle")
            .field("sites", &self.shared.known)
            .finish()
    }
}

/// One site of a running layer. Made by [`ArcgisAuthHandle`].
#[derive(Clone)]
pub struct SiteHandle {
    site: Arc<KnownSite>,
}

impl SiteHandle {
    /// The site's first root, which is its name.
    pub fn root(&self) -> &str {
        self.site.urls.first().map_or("", String::as_str)
    }

    /// All roots of the site.
    pub fn roots(&self) -> &[String] {
        &self.site.urls
    }

    /// The sessions that requests are signed for: one, or one for each identity that is remembered. None where the site has
    /// no credential.
    pub fn sessions(&self) -> Vec<SessionState> {
        let sessions = self.site.sessions.all();
        sessions
            .iter()
            .map(|session| session.store.session_state())
            .collect()
    }

    /// The session of one identity, or, for `None`, that of requests without one. `None` if there is no such session.
    pub fn session(&self, identity: Option<&Identity>) -> Option<SessionState> {
        let session = self.site.sessions.known(identity)?;
        Some(session.store.session_state())
    }

    /// The counters of this site.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        counters.add(&self.site.events.counters);
        counters
    }

    /// Signs all identities out: ends logins under way, forgets tokens, and signs out at the token sources: a
    /// `credential_fn` is called again for the next login, a refresh token is revoked, a portal's login ends. With a
    /// credential that the site has, the next request logs in again. A refused login stays refused for its 15 minutes:
    /// repeating it is what locks accounts.
    ///
    /// Tokens in a shared cache are removed from it; other processes use the token they hold until it expires, or until the
    /// server refuses it.
    ///
    /// A session makes no login until its source has signed out, for 15 seconds at most. 32 sources sign out at a time, and
    /// none delays the next for longer than a second. They go on when this future is dropped. Identities whose sessions were
    /// evicted are not included; sign them out [one by one](Self::sign_out_identity).
    ///
    /// # Errors
    ///
    /// The first error of a token source's [`sign_out`](crate::TokenSource::sign_out), and a fault where there is no tokio
    /// runtime. The tokens are forgotten here in either case.
    pub async fn sign_out(&self) -> Result<(), TokenError> {
        sign_out(self.site.sessions.all()).await
    }

    /// Signs one identity out, also one whose session was evicted. Other identities stay signed in: a portal login that
    /// several share ends with the last of them.
    ///
    /// # Errors
    ///
    /// As [`sign_out`](Self::sign_out).
    pub async fn sign_out_identity(&self, identity: &Identity) -> Result<(), TokenError> {
        let session = self.site.sessions.session_for(Some(identity));
        sign_out(session.into_iter().collect()).await
    }

    /// Logs in now, whatever the age of the token, and without regard to back-off or the login budget. A refused login is
    /// not repeated within its 15 minutes: repeating it is what locks accounts. Returns the state of the new token.
    ///
    /// # Errors
    ///
    /// Why there is no new token. An older one stays in use.
    pub async fn renew(&self) -> Result<TokenState, RenewError> {
        self.renew_for(None).await
    }

    /// As [`renew`](Self::renew), for one identity. It counts as a request of that identity.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew), and [`RenewError::NoSuchIdentity`] if the site has no `identity_fn`.
    pub async fn renew_identity(&self, identity: &Identity) -> Result<TokenState, RenewError> {
        self.renew_for(Some(identity)).await
    }

    async fn renew_for(&self, identity: Option<&Identity>) -> Result<TokenState, RenewError> {
        let none = match self.site.sessions {
            Sessions::None => RenewError::NoCredential,
            _ => RenewError::NoSuchIdentity,
        };
        let session = self.site.sessions.session_for(identity).ok_or(none)?;
        let token = session.store.renewed_by_force().await?;
        Ok(TokenState::of(&token))
    }
}

impl fmt::Debug for SiteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteHandle")
            .field("site", &self.site)
            .finish()
    }
}

/// Forgets all tokens first: the sources may take a while to sign out. They go on if the caller stops waiting.
async fn sign_out(sessions: Vec<Arc<Session>>) -> Result<(), TokenError> {
    let forgotten: Vec<_> = sessions.iter().map(|session| session.forget()).collect();
    let Ok(runtime) = Handle::try_current() else {
        return Err(TokenError::fault(
            "the tokens are forgotten here, but there is no tokio runtime to tell the token sources from; sign out on \
             one",
        ));
    };
    let turns = Arc::new(Semaphore::new(TOLD_AT_ONCE));
    let telling: Vec<_> = forgotten
        .into_iter()
        .map(|forgotten| {
            let turns = Arc::clone(&turns);
            runtime.spawn(async move {
                // This semaphore is never closed.
                let turn = turns.acquire().await;
                let mut telling = pin!(forgotten.tell());
                match timeout(LONGEST_TURN, telling.as_mut()).await {
                    Ok(told) => told,
                    Err(_) => {
                        drop(turn);
                        telling.await
                    }
                }
            })
        })
        .collect();
    let mut result = Ok(());
    for told in telling {
        let told = told.await.unwrap_or_else(|_| {
            Err(TokenError::fault(
                "a token source panicked when it was told of the sign-out",
            ))
        });
        result = result.and(told);
    }
    result
}

/// Signing out ten thousand identities must not open as many connections.
const TOLD_AT_ONCE: usize = 32;
/// A source that takes longer to sign out does not delay the next.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// What happened since the layer was made. Requests that needed neither login nor second sending are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    logins: u64,
    refused_logins: u64,
    failed_logins: u64,
    challenges: u64,
    sent_again: u64,
    sign_outs: u64,
}

impl Counters {
    fn add(&mut self, counters: &SiteCounters) {
        self.logins += counters.logins.get();
        self.refused_logins += counters.refused_logins.get();
        self.failed_logins += counters.failed_logins.get();
        self.challenges += counters.challenges.get();
        self.sent_again += counters.sent_again.get();
        self.sign_outs += counters.sign_outs.get();
    }

    /// How often a token source gave a token.
    pub fn logins(&self) -> u64 {
        self.logins
    }

    /// How often a token source refused.
    pub fn refused_logins(&self) -> u64 {
        self.refused_logins
    }

    /// How often a token source could not be asked, gave nothing usable, or took too long.
    pub fn failed_logins(&self) -> u64 {
        self.failed_logins
    }

    /// Answers that were challenges.
    pub fn challenges(&self) -> u64 {
        self.challenges
    }

    /// Requests sent a second time.
    pub fn sent_again(&self) -> u64 {
        self.sent_again
    }

    /// Sessions signed out.
    pub fn sign_outs(&self) -> u64 {
        self.sign_outs
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} logins, {} refused, {} failed; {} challenges, {} sent again; {} signed out",
            self.logins,
            self.refused_logins,
            self.failed_logins,
            self.challenges,
            self.sent_again,
            self.sign_outs
        )
    }
}
