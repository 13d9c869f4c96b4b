//! Whether the proxy can do what it is there for: each site's login.

use serde_json::{Value, json};
use tower_arcgis_auth::{ArcgisAuthHandle, SiteHandle};

/// Whether all sites can be logged in to, as far as is known, and what is known of each, as JSON. A site that nobody has
/// asked for yet has made no login, and counts as ready.
pub(super) fn state(logins: &[ArcgisAuthHandle]) -> (bool, String) {
    let mut is_ready = true;
    let sites: Vec<Value> = logins
        .iter()
        .flat_map(ArcgisAuthHandle::sites)
        .map(|site| {
            let (is_site_ready, state) = of_site(&site);
            is_ready &= is_site_ready;
            json!({ "site": site.root(), "ready": is_site_ready, "login": state })
        })
        .collect();
    let said = json!({ "ready": is_ready, "sites": sites });
    (is_ready, format!("{said}\n"))
}

fn of_site(site: &SiteHandle) -> (bool, String) {
    let mut is_ready = true;
    let mut states = Vec::new();
    for session in site.sessions() {
        is_ready &= session.token().is_some() || session.skip_reason().is_none();
        states.push(session.to_string());
    }
    (is_ready, states.join("; "))
}
