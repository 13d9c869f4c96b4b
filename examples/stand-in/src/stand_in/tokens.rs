//! The accounts and tokens of a running stand-in.

use std::net::IpAddr;
use std::time::Duration;

use crate::binding::Binding;
use crate::stand_in::StandIn;
use crate::state::lock;

/// Accounts and tokens.
impl StandIn {
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
        lock(&self.state.host.tokens).revoke_all()
    }

    /// Makes one token invalid. Returns whether it was known.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.state.host.tokens).revoke(token)
    }

    /// Lets all tokens expire now.
    pub fn expire_all_tokens(&self) {
        lock(&self.state.host.tokens).expire_all(self.state.host.clock.now());
    }

    /// How many tokens are good.
    #[must_use]
    pub fn live_tokens(&self) -> usize {
        lock(&self.state.host.tokens).live(self.state.host.clock.now())
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
