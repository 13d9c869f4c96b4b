//! Asking for a site report: what a server is, and how the site would log in there.

use crate::{
    error::ConfigError,
    login::{SiteReport, TokenClient, report},
    resolve::{discovery, wanted},
    site::Site,
    url::Root,
};

/// Asks the server what it is, and says which login `site` would make, as its settings are: decided as for a login, but
/// nothing of the credential is sent or even read. A site without a credential is taken for one that a user logs in to.
///
/// It costs one or two requests, to `rest/info` and `sharing/rest/info`; where these say nothing, one more, to
/// `tokens/generateToken`, without a user. `client` asks; with `None` the one that the feature `client` brings.
///
/// # Errors
///
/// Where a setting cannot work, as [`ArcgisAuthLayer::try_new`](crate::ArcgisAuthLayer::try_new). What goes wrong with the
/// server is part of the report.
///
/// ```
/// use tower_arcgis_auth::{ChosenSource, Site, site_report};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A stand-in for ArcGIS Server, on loopback.
/// let server = arcgis_stand_in::StandIn::start().await?;
///
/// let site = Site::of_service(&server.url("rest/services/Parcels/MapServer"))?;
/// let report = site_report(&site, None).await?;
/// assert_eq!(report.root(), server.root());
/// assert_eq!(report.full_version(), Some("10.9.1"));
/// match report.source() {
///     Ok(ChosenSource::GenerateToken { url }) => println!("users log in at {url}"),
///     Ok(other) => println!("another login: {other}"),
///     Err(error) => println!("no login: {error}"),
/// }
/// assert_eq!(server.counters().login_attempts, 0);
/// # Ok(())
/// # }
/// ```
pub async fn site_report(
    site: &Site,
    client: impl Into<Option<TokenClient>> + Send,
) -> Result<SiteReport, ConfigError> {
    let root = Root::parse(site.roots.first().map_or("", String::as_str))?;
    // A referer that cannot work is an error of the settings, though nothing shows it here.
    site.binding_at(&root).referer()?;
    let discovery = discovery(&mut client.into(), site, &root)?;
    Ok(report(&discovery, root.to_url(), wanted(site)).await)
}
