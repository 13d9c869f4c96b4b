//! The handle on a running stand-in: where it is, what it does, what it saw.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::sync::watch;

use crate::binding::Binding;
use crate::builder::StandInBuilder;
use crate::challenge_shape::ChallengeShape;
use crate::control;
use crate::cors::Cors;
use crate::fault::TokenFault;
use crate::gate::Gate;
use crate::journal::{Counters, Received};
use crate::legacy::LegacyRefusal;
use crate::services::{Access, Refusal};
use crate::state::{State, lock};
use crate::user_counters::UserCounters;

/// A running ArcGIS stand-in. Clones are handles on the same server, which stops when the last is dropped.
///
/// All methods work from any thread. Path prefixes are relative to `/arcgis/rest/services/` unless they start with
/// `/`, cover whole segments, and the longest wins; the empty prefix covers all services.
///
/// ```
/// use arcgis_stand_in::{StandIn, TokenFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let arcgis = StandIn::builder().user("ada", "s3cret").start().await?;
/// arcgis.secure("Hydrants/FeatureServer");
/// arcgis.set_token_fault(Some(TokenFault::Status(503)));
/// assert_eq!(arcgis.url("rest/info"), format!("{}/rest/info", arcgis.root()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StandIn {
    state: Arc<State>,
    /// Dropping the last sender stops the server.
    stop: Arc<watch::Sender<bool>>,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn")
            .field("addr", &self.state.host.addr)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// Starting, stopping, addresses.
impl StandIn {
    pub(crate) fn new(state: Arc<State>, stop: watch::Sender<bool>) -> Self {
        Self {
            state,
            stop: Arc::new(stop),
        }
    }

    /// Starts one with the defaults: a free port on 127.0.0.1, [`crate::USERNAME`] with [`crate::PASSWORD`].
    ///
    /// # Errors
    ///
    /// If no port can be listened on.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Sets one up with other than the defaults.
    pub fn builder() -> StandInBuilder {
        StandInBuilder::default()
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

    /// `http://127.0.0.1:PORT/arcgis`
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}/arcgis", self.origin())
    }

    /// The URL of `path`: below the origin if it starts with `/`, below [`StandIn::root`] if not.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.state.host.url("/arcgis", path)
    }
}

/// Services.
impl StandIn {
    /// Publishes a secured service, or secures one: `Roads/MapServer`, `Folder/Roads/FeatureServer`, `Terrain/ImageServer`.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.secure("Planning/Roads/FeatureServer");
    /// arcgis.publish("Zoning/MapServer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn secure(&self, path_prefix: &str) {
        lock(&self.state.services).publish(path_prefix, Access::Secured);
    }

    /// Publishes a public service, or opens one.
    pub fn publish(&self, path_prefix: &str) {
        lock(&self.state.services).publish(path_prefix, Access::Public);
    }

    /// The shape of challenges below `path_prefix`. Unless set, that of
    /// [`StandInBuilder::challenge`](crate::StandInBuilder::challenge), or [`ChallengeShape::Json`].
    ///
    /// ```
    /// use arcgis_stand_in::{ChallengeShape, StandIn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.set_challenge("", ChallengeShape::LoginPage);
    /// arcgis.set_challenge("Parcels/MapServer/0", ChallengeShape::HttpStatus);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_challenge(&self, path_prefix: &str, shape: ChallengeShape) {
        lock(&self.state.services).set_shape(path_prefix, shape);
    }

    /// What is answered below `path_prefix` to requests that are let in, instead of what the stand-in would say; none
    /// takes that back.
    ///
    /// Status, headers and body are sent as they are: an answer without `Content-Type` has none. `Date`, the headers that
    /// [`Cors`] stands for, and the cookies of [`StandIn::set_cookies`] are added. Requests are challenged first, as ever, so
    /// that a canned answer below a secured service needs a token. The service has to be there: [`StandIn::secure`] or
    /// [`StandIn::publish`] it. [`StandIn::reset`] forgets all canned answers.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, USERNAME};
    /// use http::Response;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let answer = Response::builder()
    ///     .header("content-type", "application/json")
    ///     .body(r#"{"count":12}"#.into())
    ///     .map_err(std::io::Error::other)?;
    /// arcgis.set_answer("Parcels/MapServer/0/query", Some(answer));
    ///
    /// let token = arcgis.issue_token(USERNAME, None);
    /// let url = arcgis.url("rest/services/Parcels/MapServer/0/query");
    /// let got = reqwest::get(format!("{url}?returnCountOnly=true&f=json&token={token}")).await;
    /// # let got = got.map_err(std::io::Error::other)?.text().await.map_err(std::io::Error::other)?;
    /// # assert_eq!(got, r#"{"count":12}"#);
    ///
    /// arcgis.set_answer("Parcels/MapServer/0/query", None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_answer(&self, path_prefix: &str, answer: Option<Response<Bytes>>) {
        lock(&self.state.services).set_answer(path_prefix, answer);
    }

    /// Below `path_prefix` this user is answered "Token Required" (499), however good the token.
    pub fn refuse_user_on(&self, user: &str, path_prefix: &str) {
        self.refuse_user_with(user, path_prefix, Refusal::TokenRequired);
    }

    /// Below `path_prefix` this user is refused in the given way, however good the token.
    ///
    /// ```
    /// use arcgis_stand_in::{Refusal, StandIn, USERNAME};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.refuse_user_with(USERNAME, "Parcels/MapServer", Refusal::Forbidden);
    /// arcgis.allow_user_on(USERNAME, "Parcels/MapServer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse_user_with(&self, user: &str, path_prefix: &str, refusal: Refusal) {
        lock(&self.state.services).refuse(user, path_prefix, refusal);
    }

    /// Takes [`StandIn::refuse_user_on`] back.
    pub fn allow_user_on(&self, user: &str, path_prefix: &str) {
        lock(&self.state.services).allow(user, path_prefix);
    }

    /// Whether public services refuse bad tokens too, as real ones do; off unless set.
    pub fn set_public_checks_tokens(&self, on: bool) {
        lock(&self.state.settings).public_checks_tokens = on;
    }

    /// Whether answers to requests with a token that were let in set cookies: `agstoken`, `esri_auth`, `esri_aopc`
    /// with the token in them, and an innocent `AGS_ROLES`; off unless set.
    pub fn set_cookies(&self, on: bool) {
        lock(&self.state.settings).set_cookies = on;
    }

    /// Holds requests to services, once counted, until the gate is released or dropped. Their tokens are judged after that,
    /// so that a test can let a token die while requests with it are under way. Several gates may be closed at once; all
    /// have to be released.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, USERNAME};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let token = arcgis.issue_token(USERNAME, None);
    /// let gate = arcgis.hold_services();
    ///
    /// let url = arcgis.url("rest/services/Parcels/MapServer");
    /// let request = tokio::spawn(reqwest::get(format!("{url}?f=json&token={token}")));
    /// arcgis.wait_for_service_requests(1).await;
    /// arcgis.revoke_all_tokens();
    /// gate.release();
    ///
    /// let answer = request.await?.map_err(std::io::Error::other)?;
    /// let text = answer.text().await.map_err(std::io::Error::other)?;
    /// assert!(text.contains("Invalid Token"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold_services(&self) -> Gate {
        Gate::close(&self.state.services_held)
    }
}

/// Accounts and tokens.
impl StandIn {
    /// Adds a user or changes a password.
    pub fn set_user(&self, name: &str, password: &str) {
        lock(&self.state.accounts).set(name, password);
    }

    /// Adds many users or changes their passwords.
    pub fn set_users<N: AsRef<str>, P: AsRef<str>>(&self, users: impl IntoIterator<Item = (N, P)>) {
        let users = users.into_iter();
        let mut accounts = lock(&self.state.accounts);
        users.for_each(|(name, password)| accounts.set(name.as_ref(), password.as_ref()));
    }

    /// Whether an account is locked: five failures within 15 minutes lock it for 15 minutes.
    #[must_use]
    pub fn is_locked(&self, user: &str) -> bool {
        lock(&self.state.accounts).locked(user, self.state.host.clock.now())
    }

    /// How many failures count towards a lock of this account now.
    #[must_use]
    pub fn login_failures(&self, user: &str) -> usize {
        lock(&self.state.accounts).failures(user, self.state.host.clock.now())
    }

    /// Unlocks an account and forgets its failures.
    pub fn unlock(&self, user: &str) {
        lock(&self.state.accounts).unlock(user);
    }

    /// Makes all tokens invalid, as a restart of the server does. Returns how many there were.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, USERNAME};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let token = arcgis.issue_token(USERNAME, None);
    /// let _other = arcgis.issue_token(USERNAME, Some("https://app.example/"));
    /// assert!(arcgis.revoke(&token));
    /// assert_eq!(arcgis.revoke_all_tokens(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke_all_tokens(&self) -> usize {
        lock(&self.state.tokens).revoke_all()
    }

    /// Makes one token invalid. Returns whether it was known.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.state.tokens).revoke(token)
    }

    /// Lets all tokens expire now.
    pub fn expire_all_tokens(&self) {
        lock(&self.state.tokens).expire_all(self.state.host.clock.now());
    }

    /// How many tokens are good.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        lock(&self.state.tokens).live(self.state.host.clock.now())
    }

    /// A good token for this user that took no login: bound to `referer` if there is one.
    #[must_use]
    pub fn issue_token(&self, user: &str, referer: Option<&str>) -> String {
        self.state.issue(user, Binding::of_referer(referer), None).0
    }

    /// How long tokens live from now on; tokens already given out keep theirs.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.state.settings).token_lifetime = lifetime;
    }

    /// The address that all requests seem to come from, as behind a proxy; none: where they do come from. Tokens
    /// made with `client=requestip` are bound to it, those and `client=ip` ones are good only from it.
    pub fn set_seen_address(&self, address: Option<IpAddr>) {
        self.state.host.set_seen_address(address);
    }

    /// Whether a federated server takes portal tokens as they are; off unless set: "Invalid Token" (498), they have to
    /// be exchanged.
    pub fn set_takes_portal_tokens(&self, on: bool) {
        lock(&self.state.settings).takes_portal_tokens = on;
    }

    /// How many seconds the server's clock is ahead (negative: behind).
    pub fn set_clock_skew(&self, secs: i64) {
        self.state.host.clock.set_skew(secs);
    }
}

/// The token service and what is said about it.
impl StandIn {
    /// How the token service goes wrong; none mends it, and lets logins go on that hang.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, TokenFault};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.set_token_fault(Some(TokenFault::Hang));
    /// arcgis.set_token_fault(None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_token_fault(&self, fault: Option<TokenFault>) {
        self.state.logins.fault.send_replace(fault);
    }

    /// Holds logins, once counted, until the gate is released or dropped. With it a test sees whether requests that are
    /// challenged at the same time share one login.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let gate = arcgis.hold_logins();
    /// // Start a hundred requests with the client under test, then:
    /// # let login = reqwest::Client::new().post(arcgis.url("tokens/generateToken"));
    /// # let login = tokio::spawn(login.send());
    /// arcgis.wait_for_logins(1).await;
    /// gate.release();
    /// # login.await?.map_err(std::io::Error::other)?;
    /// // … and once all are answered:
    /// assert_eq!(arcgis.counters().login_attempts, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold_logins(&self) -> Gate {
        Gate::close(&self.state.logins.held)
    }

    /// Whether `expires` is written as a string; a number unless set. The administrator API always writes a string.
    pub fn set_string_expires(&self, on: bool) {
        lock(&self.state.settings).string_expires = on;
    }

    /// The token service as `rest/info` gives it unless told otherwise: `…/arcgis/tokens/` of a
    /// [`Personality::Standalone`](crate::Personality::Standalone), the portal's of a federated server.
    #[must_use]
    pub fn token_services_url(&self) -> String {
        match &self.state.portal {
            Some(portal) => portal.token_services_url(),
            None => self.url(self.state.personality.token_services_path()),
        }
    }

    /// Whether a [`Personality::Legacy`](crate::Personality::Legacy) server takes logins by GET, else 403; it does
    /// unless set.
    pub fn set_legacy_get_allowed(&self, on: bool) {
        lock(&self.state.legacy).get_allowed = on;
    }

    /// Whether a [`Personality::Legacy`](crate::Personality::Legacy) server takes logins by POST, else 403; it does
    /// unless set.
    pub fn set_legacy_post_allowed(&self, on: bool) {
        lock(&self.state.legacy).post_allowed = on;
    }

    /// How a [`Personality::Legacy`](crate::Personality::Legacy) server refuses logins.
    pub fn set_legacy_refusal(&self, refusal: LegacyRefusal) {
        lock(&self.state.legacy).refusal = refusal;
    }

    /// Whether a [`Personality::Legacy`](crate::Personality::Legacy) server answers every login, good or bad, with
    /// the page a browser sees; off unless set.
    pub fn set_legacy_only_pages(&self, on: bool) {
        lock(&self.state.legacy).only_pages = on;
    }

    /// The `tokenServicesUrl` in `rest/info`; none leaves it out.
    pub fn set_token_services_url(&self, url: Option<String>) {
        lock(&self.state.info).token_services_url = url;
    }

    /// The `owningSystemUrl` in `rest/info`; none, as at the start, leaves it out.
    pub fn set_owning_system_url(&self, url: Option<String>) {
        lock(&self.state.info).owning_system_url = url;
    }

    /// The `isTokenBasedSecurity` in `rest/info`; true unless set.
    pub fn set_token_based_security(&self, on: bool) {
        lock(&self.state.info).token_based = on;
    }

    /// Whether there is a `rest/info`; without, it is a 404.
    pub fn set_info_present(&self, on: bool) {
        lock(&self.state.info).present = on;
    }
}

/// The whole server.
impl StandIn {
    /// Puts back what tests change most, so that the next test finds a fresh server: no token is good, no account locked,
    /// no fault set, challenges have the shape they had at the start, canned answers and refusals are gone, counters are
    /// zero, and no request is remembered. Users, published services, lifetimes and all other switches stay as they are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use arcgis_stand_in::{ChallengeShape, StandIn, USERNAME};
    ///
    /// let arcgis = StandIn::start().await?;
    /// arcgis.set_challenge("", ChallengeShape::LoginPage);
    /// let _token = arcgis.issue_token(USERNAME, None);
    /// arcgis.reset();
    /// assert_eq!(arcgis.live_tokens(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(&self) {
        control::reset(&*self.state);
    }

    /// Which pages of other origins may read the answers from now on.
    pub fn set_cors(&self, cors: Cors) {
        self.state.host.set_cors(cors);
    }
}

/// What arrived.
impl StandIn {
    /// The counters as they are now.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// assert_eq!(arcgis.counters().challenges, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.state.counters.borrow()
    }

    /// The counters of one user name.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let users = (0..1000).map(|number| (format!("user-{number}"), "s3cret"));
    /// let arcgis = StandIn::builder().users(users).start().await?;
    /// // Let the code under test work for user 7, then:
    /// assert_eq!(arcgis.user_counters("user-7").logins, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn user_counters(&self, user: &str) -> UserCounters {
        lock(&self.state.user_counters).of(user)
    }

    /// Sets all counters to zero, those of the users too.
    pub fn reset_counters(&self) {
        lock(&self.state.user_counters).clear();
        self.state.counters.send_replace(Counters::default());
    }

    /// The last 1,000 requests, oldest first, those still waiting for their answer included.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// # reqwest::get(arcgis.url("rest/info")).await.map_err(std::io::Error::other)?;
    /// for request in arcgis.received() {
    ///     println!("{} {}", request.method, request.path_and_query);
    /// }
    /// # assert_eq!(arcgis.received()[0].path_and_query, "/arcgis/rest/info");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state.host.received()
    }

    /// Forgets the requests received so far.
    pub fn clear_received(&self) {
        self.state.host.clear_received();
    }

    /// Waits until `reached` says so of the counters; looks at once and after every change.
    pub async fn wait_until(&self, mut reached: impl FnMut(&Counters) -> bool) {
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

    /// Waits until `n` requests have arrived.
    pub async fn wait_for_requests(&self, n: u64) {
        self.wait_until(|counters| counters.requests >= n).await;
    }

    /// Waits until `n` requests to services have arrived, held or not.
    pub async fn wait_for_service_requests(&self, n: u64) {
        self.wait_until(|counters| counters.service_requests >= n)
            .await;
    }
}
