//! Starts the service in its two usual ways.

use arcgis_portal::Login;

use crate::support::{ADA, BOB, Running, own_users};

impl Running {
    /// With people who have ArcGIS accounts.
    pub(crate) async fn start() -> Self {
        Self::start_with(Login::Arcgis, |_| {}, |router| router).await
    }

    /// With the service's own users, [`ADA`] and [`BOB`].
    pub(crate) async fn start_with_own_users() -> Self {
        Self::start_with(own_users(&[ADA, BOB]), |_| {}, |router| router).await
    }
}
