//! What browsers are told about who may read an answer, where `--allow-origin` says it.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RETRY_AFTER},
};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, AllowPrivateNetwork, CorsLayer};

use crate::access::Access;

/// How long a browser need not ask again.
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(3600);
/// What pages read of an answer's headers, beside what they always may: of tiles in one file, of limits.
const EXPOSED: [HeaderName; 5] = [
    ACCEPT_RANGES,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    ETAG,
    RETRY_AFTER,
];

/// The layer that answers preflights and marks answers, where origins are listed: without them the upstream's word holds.
pub(crate) fn cors(access: &Arc<Access>) -> CorsLayer {
    let is_any = access.allows_any_origin();
    let origins = if is_any {
        AllowOrigin::any()
    } else {
        let access = Arc::clone(access);
        AllowOrigin::predicate(move |origin, head| access.origin_may(origin, head))
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        // Where any page may ask, none may use a visitor's cookies and passwords for a web server in front.
        .allow_credentials(!is_any)
        // Pages of the internet may ask a proxy on this machine or network if they may ask at all.
        .allow_private_network(AllowPrivateNetwork::yes())
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_HOLDS)
}

/// Takes off what the upstream says about the same.
pub(crate) fn remove_access_control(headers: &mut HeaderMap) {
    let theirs: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("access-control-"))
        .cloned()
        .collect();
    for name in theirs {
        headers.remove(name);
    }
}
