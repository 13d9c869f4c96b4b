//! URLs: origins and roots, ArcGIS's own end points, services, and URLs as they may be shown.

mod decode;
mod dots;
mod origin;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "`is_login_page` waits for the detector")
)]
mod paths;
mod redact;
mod segments;
mod service_url;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "`has_service` waits for the exchange")
)]
mod services;

pub use self::paths::EndPoint;
pub(crate) use self::{
    decode::Decoded,
    dots::has_dot_segments,
    origin::{Origin, Root, is_https, is_same_text},
    paths::is_exempt,
    redact::redact,
    service_url::{root_of_service, server_of},
    services::{ServiceKey, service_key},
};
#[expect(
    unused_imports,
    reason = "the detector, which has a list of its own, and the exchange are yet to ask"
)]
pub(crate) use self::{paths::is_login_page, services::has_service};
