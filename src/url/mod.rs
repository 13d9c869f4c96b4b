//! URLs: origins and roots, the paths that ArcGIS's own end points have, and from a service to its server.

mod origin;
pub(crate) mod paths;
pub(crate) mod service_url;

pub(crate) use self::origin::{Origin, Root, has_tricky_segments, is_https, is_same_text};
pub(crate) use self::paths::{ServiceKey, names_server, service_key};
