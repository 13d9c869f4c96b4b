//! URLs: origins and roots, ArcGIS's own end points, services, and URLs as they may be shown.

mod decode;
mod dots;
mod origin;
mod paths;
mod prefix;
mod redact;
mod segments;
mod service_url;
mod services;

pub(crate) use self::{
    decode::Decoded,
    dots::has_dot_segments,
    origin::{Origin, Root, is_https, is_loopback, is_same_text},
    paths::{is_exempt, is_login_page},
    redact::redact,
    service_url::{root_of_path, root_of_service, server_of},
    services::{ServiceKey, has_service, service_key},
};
pub use self::{paths::EndPoint, prefix::PathPrefix};
