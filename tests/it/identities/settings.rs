//! Settings that cannot work.

use std::time::Duration;

use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use super::{HOUR, site};
use crate::support::{ROOT, TokenService};

#[test]
fn settings_for_identities_without_an_identity_fn_are_an_error() {
    let site = Site::new(ROOT).token_source(TokenService::new());
    let error = ArcgisAuthLayer::try_new(site.sign_without_identity()).unwrap_err();
    assert!(error.to_string().contains("identity_fn"), "{error}");
}

#[test]
fn to_remember_no_identity_is_an_error_and_to_remember_for_ever_is_none() {
    let source = TokenService::new();
    for (most, longest_idle) in [(0, HOUR), (10, Duration::ZERO)] {
        let site = site(&source).remember_identities(most, longest_idle);
        let error = ArcgisAuthLayer::try_new(site).unwrap_err();
        assert!(
            error.to_string().contains("remembers no identities"),
            "{error}"
        );
    }
    let site = site(&source).remember_identities(u64::MAX, Duration::MAX);
    ArcgisAuthLayer::try_new(site).unwrap();
}
