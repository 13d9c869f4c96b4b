//! Failed logins never lock an account.

mod attempts;
mod named_sources;
mod shared_logins;
mod unanswered;

use tower_arcgis_auth::{Credential, Site};

use crate::support::logins::caller;

/// The site, each of whose identities is the user of the same name.
fn named_like_identities(site: Site) -> Site {
    site.identity_fn(caller)
        .credential_fn(|request| async move {
            Ok(Credential::user(
                request.identity().unwrap().as_str(),
                "secret",
            ))
        })
}
