//! The handle on a running portal: where it is, what it does, what it saw.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::binding::Binding;
use crate::control;
use crate::cors::Cors;
use crate::fault::TokenFault;
use crate::gate::Gate;
use crate::journal::Received;
use crate::portal::apps::Code;
use crate::portal::builder::PortalBuilder;
use crate::portal::counters::PortalCounters;
use crate::portal::pkce::Challenge;
use crate::portal::state::{CONTEXT, PortalState};
use crate::state::lock;
use crate::user_counters::UserCounters;

/// How long a code waits to be used.
const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A running portal stand-in. Clones are handles on the same portal, which stops when the last is dropped.
///
/// Servers are federated with it by [`StandInBuilder::federated_with`](crate::StandInBuilder::federated_with). All
/// methods work from any thread.
///
/// ```
/// use arcgis_stand_in::{Portal, StandIn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let portal = Portal::builder().user("ada", "s3cret").app("planner", "app secret").start().await?;
/// let arcgis = StandIn::builder().federated_with(&portal).start().await?;
///
/// // Run the code under test against `arcgis.root()`, then:
/// assert_eq!(portal.counters().exchanges, portal.user_counters("ada").exchanges);
/// assert_eq!(arcgis.token_services_url(), portal.token_services_url());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Portal {
    state: Arc<PortalState>,
    /// Dropping the last sender stops the portal.
    stop: Arc<watch::Sender<bool>>,
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("addr", &self.state.host.addr)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// Starting, stopping, addresses.
impl Portal {
    pub(crate) fn new(state: Arc<PortalState>, stop: watch::Sender<bool>) -> Self {
        Self {
            state,
            stop: Arc::new(stop),
        }
    }

    pub(crate) fn state(&self) -> Arc<PortalState> {
        Arc::clone(&self.state)
    }

    /// Starts one with the defaults: a free port on 127.0.0.1, [`crate::USERNAME`] with [`crate::PASSWORD`], no apps.
    ///
    /// # Errors
    ///
    /// If no port can be listened on.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Sets one up with other than the defaults.
    pub fn builder() -> PortalBuilder {
        PortalBuilder::default()
    }

    /// Stops listening, breaks all connections off, and returns once the port is free.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.state.host.addr
    }

    /// `http://127.0.0.1:PORT`, or `https` with a certificate.
    #[must_use]
    pub fn origin(&self) -> String {
        self.state.host.origin()
    }

    /// `http://127.0.0.1:PORT/portal`
    #[must_use]
    pub fn root(&self) -> String {
        self.state.root()
    }

    /// The URL of `path`: below the origin if it starts with `/`, below [`Portal::root`] if not.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.state.host.url(CONTEXT, path)
    }

    /// `…/portal/sharing/rest/generateToken`
    #[must_use]
    pub fn token_services_url(&self) -> String {
        self.state.token_services_url()
    }
}

/// Accounts and tokens.
impl Portal {
    /// Adds a user or changes a password.
    pub fn set_user(&self, name: &str, password: &str) {
        lock(&self.state.host.accounts).set(name, password);
    }

    /// Adds many users or changes their passwords.
    pub fn set_users<N: AsRef<str>, P: AsRef<str>>(&self, users: impl IntoIterator<Item = (N, P)>) {
        let users = users.into_iter();
        let mut accounts = lock(&self.state.host.accounts);
        users.for_each(|(name, password)| accounts.set(name.as_ref(), password.as_ref()));
    }

    /// Whether an account is locked: five failures within 15 minutes lock it for 15 minutes.
    #[must_use]
    pub fn is_locked(&self, user: &str) -> bool {
        lock(&self.state.host.accounts).locked(user, self.state.host.clock.now())
    }

    /// How many failures count towards a lock of this account now.
    #[must_use]
    pub fn login_failures(&self, user: &str) -> usize {
        lock(&self.state.host.accounts).failures(user, self.state.host.clock.now())
    }

    /// Unlocks an account and forgets its failures.
    pub fn unlock(&self, user: &str) {
        lock(&self.state.host.accounts).unlock(user);
    }

    /// A good portal token for this user that took no login: bound to `referer` if there is one.
    #[must_use]
    pub fn issue_token(&self, user: &str, referer: Option<&str>) -> String {
        let lifetime = self.state.lifetime(None);
        self.state
            .issue(user, Binding::of_referer(referer), lifetime)
    }

    /// Makes all portal tokens invalid, those of apps too. Returns how many there were. Server tokens, refresh tokens
    /// and API keys stay good.
    pub fn revoke_all_tokens(&self) -> usize {
        lock(&self.state.host.tokens).revoke_all()
    }

    /// Makes one portal token invalid. Returns whether it was known.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.state.host.tokens).revoke(token)
    }

    /// Lets all portal tokens expire now.
    pub fn expire_all_tokens(&self) {
        lock(&self.state.host.tokens).expire_all(self.state.host.clock.now());
    }

    /// How many portal tokens are good.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        lock(&self.state.host.tokens).live(self.state.host.clock.now())
    }

    /// How long tokens live from now on when nobody asks for a life; tokens already given out keep theirs.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.state.settings).token_lifetime = lifetime;
    }

    /// Adds an API key or changes what it is locked to: requests must then have one of `referers` as their `Referer`,
    /// or something below it. Returns the user that requests with it count as, `api-key-1` and so on.
    ///
    /// Items, `portals/self`, `community/self` and all federated servers take API keys as they take tokens.
    pub fn set_api_key(&self, text: &str, referers: &[&str]) -> String {
        let referers = referers.iter().map(|&referer| referer.to_owned());
        lock(&self.state.keys).set(text, referers.collect())
    }

    /// Takes an API key away. Returns whether it was known.
    pub fn remove_api_key(&self, text: &str) -> bool {
        lock(&self.state.keys).remove(text)
    }

    /// The address that all requests seem to come from, as behind a proxy; none: where they do come from.
    pub fn set_seen_address(&self, address: Option<IpAddr>) {
        self.state.host.set_seen_address(address);
    }

    /// The `ssl` in token answers; false unless set.
    pub fn set_ssl(&self, on: bool) {
        lock(&self.state.settings).ssl = on;
    }

    /// How many seconds the portal's clock is ahead (negative: behind).
    pub fn set_clock_skew(&self, secs: i64) {
        self.state.host.clock.set_skew(secs);
    }
}

/// OAuth.
impl Portal {
    /// Registers an OAuth app or changes its secret.
    pub fn set_app(&self, client_id: &str, secret: &str) {
        lock(&self.state.apps).set(client_id, secret);
    }

    /// A code, as if `user` had just signed in for the app: good once, for ten minutes, with this `redirect_uri`, and
    /// with a verifier that meets the challenge, if there is one. The method is `S256` or `plain`; none is `plain`.
    #[must_use]
    pub fn authorize(
        &self,
        client_id: &str,
        redirect_uri: &str,
        challenge: Option<&str>,
        method: Option<&str>,
        user: &str,
    ) -> String {
        let code = Code {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.map(|challenge| Challenge::new(challenge, method)),
            user: user.to_owned(),
            expires: self.state.host.clock.now() + CODE_LIFETIME,
        };
        lock(&self.state.apps).add_code(code)
    }

    /// A good refresh token, as if `user` had signed in for the app earlier.
    #[must_use]
    pub fn issue_refresh_token(&self, client_id: &str, user: &str) -> String {
        self.state.issue_refresh_token(client_id, user).0
    }

    /// Makes a refresh token and its access tokens invalid. Returns whether it was known.
    pub fn revoke_refresh_token(&self, text: &str) -> bool {
        self.state.revoke_refresh_token(text)
    }

    /// Makes all refresh tokens and their access tokens invalid. Returns how many refresh tokens there were.
    pub fn revoke_all_refresh_tokens(&self) -> usize {
        let revoked = lock(&self.state.apps).revoke_all_refresh_tokens();
        let mut tokens = lock(&self.state.host.tokens);
        revoked.iter().for_each(|text| tokens.revoke_children(text));
        revoked.len()
    }

    /// Lets all refresh tokens expire now; their access tokens stay good.
    pub fn expire_all_refresh_tokens(&self) {
        let now = self.state.host.clock.now();
        lock(&self.state.apps).expire_all_refresh_tokens(now);
    }
}

/// What goes wrong, what waits, and what is said.
impl Portal {
    /// How logins at `generateToken` go wrong; none mends it, and lets logins go on that hang.
    pub fn set_token_fault(&self, fault: Option<TokenFault>) {
        self.state.logins.fault.send_replace(fault);
    }

    /// How exchanges for a server token go wrong. [`TokenFault::Refuse`] is "Unable to generate token for this server".
    pub fn set_exchange_fault(&self, fault: Option<TokenFault>) {
        self.state.exchanges.fault.send_replace(fault);
    }

    /// How `oauth2/token` goes wrong. [`TokenFault::Refuse`] is the error of a bad secret, code or refresh token.
    pub fn set_oauth_fault(&self, fault: Option<TokenFault>) {
        self.state.grants.fault.send_replace(fault);
    }

    /// Holds logins, once counted, until the gate is released.
    pub fn hold_logins(&self) -> Gate {
        Gate::close(&self.state.logins.held)
    }

    /// Holds exchanges, once counted, until the gate is released. Portal tokens are judged after that.
    pub fn hold_exchanges(&self) -> Gate {
        Gate::close(&self.state.exchanges.held)
    }

    /// Holds requests to `oauth2/token`, once counted, until the gate is released.
    pub fn hold_oauth(&self) -> Gate {
        Gate::close(&self.state.grants.held)
    }

    /// The `tokenServicesUrl` in `sharing/rest/info`; none leaves it out.
    pub fn set_token_services_url(&self, url: Option<String>) {
        lock(&self.state.info).token_services_url = url;
    }

    /// The `owningSystemUrl` in `sharing/rest/info`; none leaves it out.
    pub fn set_owning_system_url(&self, url: Option<String>) {
        lock(&self.state.info).owning_system_url = url;
    }

    /// Whether there is a `sharing/rest/info`; without, it is a 404.
    pub fn set_info_present(&self, on: bool) {
        lock(&self.state.info).present = on;
    }
}

/// The whole portal.
impl Portal {
    /// Puts back what tests change most: no token or refresh token is good, no account locked, no fault set, counters are
    /// zero, and no request is remembered. Users, apps, API keys, lifetimes and all other switches stay as they are.
    pub fn reset(&self) {
        control::reset(&*self.state);
    }

    /// Which pages of other origins may read the answers from now on.
    pub fn set_cors(&self, cors: Cors) {
        self.state.host.set_cors(cors);
    }
}

/// What arrived.
impl Portal {
    /// The counters as they are now.
    #[must_use]
    pub fn counters(&self) -> PortalCounters {
        *self.state.counters.borrow()
    }

    /// The counters of one user name.
    #[must_use]
    pub fn user_counters(&self, user: &str) -> UserCounters {
        lock(&self.state.host.user_counters).of(user)
    }

    /// Sets all counters to zero, those of the users too.
    pub fn reset_counters(&self) {
        lock(&self.state.host.user_counters).clear();
        self.state.counters.send_replace(PortalCounters::default());
    }

    /// The last 1,000 requests, oldest first, those still waiting for their answer included.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state.host.received()
    }

    /// Forgets the requests received so far.
    pub fn clear_received(&self) {
        self.state.host.clear_received();
    }

    /// Waits until `reached` says so of the counters; looks at once and after every change.
    pub async fn wait_until(&self, mut reached: impl FnMut(&PortalCounters) -> bool) {
        // An error means that the sender is gone, which this handle keeps alive.
        let _ = self
            .state
            .counters
            .subscribe()
            .wait_for(|counters| reached(counters))
            .await;
    }

    /// Waits until `n` login attempts have arrived, held or not.
    pub async fn wait_for_logins(&self, n: u64) {
        self.wait_until(|counters| counters.login_attempts >= n)
            .await;
    }

    /// Waits until `n` exchanges have arrived, held or not.
    pub async fn wait_for_exchanges(&self, n: u64) {
        self.wait_until(|counters| counters.exchange_attempts >= n)
            .await;
    }

    /// Waits until `n` requests to `oauth2/token` have arrived, held or not.
    pub async fn wait_for_oauth(&self, n: u64) {
        self.wait_until(|counters| counters.oauth_attempts >= n)
            .await;
    }
}
