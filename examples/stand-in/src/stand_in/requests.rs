//! What a running stand-in received.

use crate::journal::{Counters, Received};
use crate::stand_in::StandIn;
use crate::state::lock;
use crate::user_counters::UserCounters;

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
        lock(&self.state.host.user_counters).of(user)
    }

    /// Sets all counters to zero, those of the users too.
    pub fn reset_counters(&self) {
        lock(&self.state.host.user_counters).clear();
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
