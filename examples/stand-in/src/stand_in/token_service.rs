//! The token service of a running stand-in, and what `rest/info` says of it.

use crate::fault::TokenFault;
use crate::gate::Gate;
use crate::legacy::LegacyRefusal;
use crate::stand_in::StandIn;
use crate::state::lock;

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
