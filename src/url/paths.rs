//! The one list of ArcGIS's own end points: for tokens, logins, OAuth, server information and administration.

use crate::url::{
    segments::{Segment, decoded, decoded_without_parameters, is_plain, resolved, segments},
    services::is_service_type,
};

/// An end point of ArcGIS's own, as against a service, an item or a folder: what a path below the root of a server or
/// portal names.
///
/// The layer never signs a request to one of them, but for [`Administration`](Self::Administration): whoever asks there
/// is about to get a token, and a server may answer with one. A proxy that lends its account to its callers refuses
/// more than that.
///
/// ```
/// use tower_arcgis_auth::EndPoint;
///
/// assert_eq!(EndPoint::of("/tokens/generateToken"), Some(EndPoint::Token));
/// assert_eq!(EndPoint::of("/rest/login"), Some(EndPoint::Login));
/// assert_eq!(EndPoint::of("/sharing/rest/oauth2/token"), Some(EndPoint::OAuth));
/// assert_eq!(EndPoint::of("/rest/info"), Some(EndPoint::Information));
/// assert_eq!(EndPoint::of("/admin/services"), Some(EndPoint::Administration));
///
/// // In every spelling that some server decodes.
/// assert_eq!(EndPoint::of("/tokens//generate%54oken;x=1"), Some(EndPoint::Token));
///
/// // Folders and services may have the same names.
/// assert_eq!(EndPoint::of("/rest/services/tokens/MapServer"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndPoint {
    /// The token services: `/tokens` and all below it, and every `generateToken` (of server, administrator and portal).
    Token,
    /// Sign-in pages: `/rest/login`, `/admin/login`, `/portaladmin/login`, `/sharing/login`, `/sharing/signin`,
    /// `/home/signin.html`.
    Login,
    /// `/sharing/rest/oauth2` and all below it.
    OAuth,
    /// `/rest/info`, `/sharing/rest/info` and `/sharing/info`: what a server says of itself to all.
    Information,
    /// `/admin`, `/manager` and `/portaladmin`, directly below the root, and all below them that is none of the others.
    Administration,
}

impl EndPoint {
    /// The end point that `path_below_root` names, or lies below, if it does. The path begins behind the root of a server
    /// or portal: `/rest/info` of `https://gis.example.com/arcgis/rest/info`. A query may follow.
    ///
    /// Names are compared as servers may read them: percent-decoded until nothing is left to decode, without path
    /// parameters, with `\` for `/`, in any case. Where servers read a path differently, it is an end point if any of them
    /// finds one.
    #[must_use]
    pub fn of(path_below_root: &str) -> Option<Self> {
        in_any_reading(path_below_root.as_bytes(), |path| {
            first_in(segments(path), true)
        })
    }

    /// A short, stable name, fit for a log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Login => "login",
            Self::OAuth => "oauth",
            Self::Information => "information",
            Self::Administration => "administration",
        }
    }

    /// The end point that the segment is, or that begins with it.
    fn named(previous: Option<Segment<'_>>, this: Segment<'_>) -> Option<Self> {
        let is_one_of = |list: &[(&str, &str)]| {
            previous.is_some_and(|previous| {
                list.iter()
                    .any(|(one, other)| previous.is(one) && this.is(other))
            })
        };
        if TOKEN.iter().any(|name| this.is(name)) {
            Some(Self::Token)
        } else if this.is(OAUTH) {
            Some(Self::OAuth)
        } else if is_one_of(LOGIN) {
            Some(Self::Login)
        } else if is_one_of(INFORMATION) {
            Some(Self::Information)
        } else {
            None
        }
    }
}

/// Segments that are token services wherever they stand.
const TOKEN: &[&str] = &["tokens", "generateToken"];

/// The segment that OAuth's end points lie below.
const OAUTH: &str = "oauth2";

/// Sign-in pages: two segments, one behind the other.
const LOGIN: &[(&str, &str)] = &[
    ("rest", "login"),
    ("admin", "login"),
    ("portaladmin", "login"),
    ("sharing", "login"),
    ("sharing", "signin"),
    ("home", "signin.html"),
    ("home", "signin"),
];

/// The page that OAuth's authorisation leads people to.
const OAUTH_SIGN_IN: &str = "signin";

const INFORMATION: &[(&str, &str)] = &[("rest", "info"), ("sharing", "info")];

/// Directly below the root.
const ADMINISTRATION: &[&str] = &["admin", "manager", "portaladmin"];

/// Whether a request to this path below a site's root is never signed.
#[inline]
pub(crate) fn is_exempt(path_below_root: &str) -> bool {
    // Nearly all requests are to services, and none of them is an end point, whatever its folder is called. No site has
    // paths that lead upwards.
    if path_below_root.starts_with("/rest/services/") {
        return false;
    }
    match EndPoint::of(path_below_root) {
        None | Some(EndPoint::Administration) => false,
        Some(_) => true,
    }
}

/// Whether a path, of whatever host and below whatever root, is a sign-in page of ArcGIS Server, Portal or ArcGIS Online:
/// where redirects and forms lead when a login is due. It may be relative.
pub(crate) fn is_login_page(path: &[u8]) -> bool {
    let path = decoded(path);
    let mut previous = None;
    let mut last = None;
    for segment in segments(&path) {
        previous = last.replace(segment);
    }
    let Some(last) = last else {
        return false;
    };
    EndPoint::named(previous, last) == Some(EndPoint::Login)
        || (last.is(OAUTH_SIGN_IN) && previous.is_some_and(|previous| previous.is(OAUTH)))
}

/// What `find` finds in a path as some server may read it.
pub(super) fn in_any_reading(
    path: &[u8],
    find: impl Fn(&[u8]) -> Option<EndPoint>,
) -> Option<EndPoint> {
    if is_plain(path) {
        return find(path);
    }
    let in_decoded =
        |path: &[u8]| find(path).or_else(|| resolved(path).and_then(|path| find(&path)));
    in_decoded(&decoded(path))
        .or_else(|| decoded_without_parameters(path).and_then(|path| in_decoded(&path)))
}

/// `at_root`: the segments are those directly below a root, where administration is.
pub(super) fn first_in<'a>(
    mut segments: impl Iterator<Item = Segment<'a>> + Clone,
    at_root: bool,
) -> Option<EndPoint> {
    let mut is_administration = false;
    // A segment before this one may not be what it seems.
    let mut is_doubtful = false;
    let mut previous: Option<Segment<'_>> = None;
    while let Some(this) = segments.next() {
        is_doubtful |= this.is_doubtful;
        if this.is("services") && !is_doubtful && are_names(previous, segments.clone()) {
            break;
        }
        if let Some(found) = EndPoint::named(previous, this) {
            return Some(found);
        }
        is_administration |= ((at_root && previous.is_none()) || is_doubtful)
            && ADMINISTRATION.iter().any(|name| this.is(name));
        previous = Some(this);
    }
    is_administration.then_some(EndPoint::Administration)
}

/// Whether what is behind a `services` are the names of folders and services. SOAP's has no `rest` before it, and a web
/// adaptor may be called so: then an end point has two segments at least, and a service its type. A path that leads
/// upwards again may name anything.
fn are_names<'a>(
    before: Option<Segment<'a>>,
    mut behind: impl Iterator<Item = Segment<'a>> + Clone,
) -> bool {
    if behind.clone().any(|segment| segment.leads_upwards) {
        return false;
    }
    before.is_some_and(|before| before.is("rest"))
        || behind.clone().any(|segment| is_service_type(segment.name))
        || behind.nth(1).is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn token_and_sign_in_end_points_are_exempt() {
        for path in [
            "/rest/info",
            "/rest/info/",
            "/tokens",
            "/tokens/",
            "/tokens/generateToken",
            "/Tokens/GenerateToken",
            "/rest/login",
            "/rest/generateToken",
            "/admin/generateToken",
            "/admin/login",
            "/portaladmin/login",
            "/portaladmin/generateToken",
            "/security/tokens",
            "/sharing/generateToken",
            "/sharing/info",
            "/sharing/login",
            "/sharing/signin",
            "/sharing/rest/info",
            "/sharing/rest/generateToken",
            "/sharing/rest/oauth2/token",
            "/sharing/oauth2/signin",
            "/portal/sharing/rest/oauth2/authorize",
            "/home/signin.html",
            "/tokens/services/generateToken",
            "/services/rest/info",
            "/services/tokens/generateToken",
        ] {
            assert!(is_exempt(path), "{path}");
        }
    }

    #[test]
    fn end_points_are_exempt_in_every_spelling_that_a_server_decodes() {
        for path in [
            "/tokens/generate%54oken",
            "/tokens/generate%2554oken",
            "/%74okens/generateToken",
            "/%2574okens/x",
            "/%u0074okens/x",
            "/tokens//generateToken",
            "//tokens/generateToken",
            "/./tokens/generateToken",
            "/tokens;x=1/generateToken",
            "/tokens;/generateToken;y",
            "/tokens%3bx/generateToken",
            "/tokens%2FgenerateToken",
            "/tokens%252fgenerateToken",
            "/tokens%c0%afgenerateToken",
            "/tokens\\generateToken",
            "\\tokens",
            "/tokens%5CgenerateToken",
            "/tokens%00/x",
            "/tokens./generateToken",
            "/tokens%20/generateToken",
            "/tokens%3Fx",
            "/TOKENS/x",
            "/rest//info",
            "/rest/./info",
            "/rest%2Finfo",
            "/rest;x/info",
            "/rest/info;x",
            "/REST/%49nfo",
            "/rest;%2Fservices%2F/info",
            "/rest;%2Fservices%2F/generateToken",
            "/rest%3B%252Fservices%252F/generateToken",
            "/sharing/rest/oauth%32/token",
            "/sharing//rest/oauth2/token",
            "/home/signin%2ehtml",
            "/x/../tokens",
            "/to%E2%84%AAen%C5%BF/generateTo%u212Aen",
            "/re%C5%BFt/log%C4%B1n",
        ] {
            assert!(is_exempt(path), "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_out_of_the_services_again_may_name_an_end_point() {
        for path in [
            "/rest/services/../../tokens/generateToken",
            "/rest/services/Roads/MapServer/..%2f..%2f..%2f../tokens",
            "/rest/services/..;/../tokens",
            "/rest/services/../generateToken",
        ] {
            assert_eq!(EndPoint::of(path), Some(EndPoint::Token), "{path}");
        }
        let path = "/rest/services/../../admin/services";
        assert_eq!(EndPoint::of(path), Some(EndPoint::Administration));
        // Two names that only meet once the dots are resolved.
        for path in ["/rest/services/../login", "/rest/x/%2e%2e;y/login"] {
            assert_eq!(EndPoint::of(path), Some(EndPoint::Login), "{path}");
        }
    }

    #[test]
    fn services_and_everything_else_are_not() {
        for path in [
            "",
            "/",
            "/rest/services/login/MapServer",
            "/rest/services/tokens",
            "/rest/services/tokens/MapServer/0/query",
            "/rest/services/oauth2/FeatureServer/0",
            "/rest/services/generate%54oken/MapServer",
            "/rest/services/a;b/tokens/MapServer",
            "/rest//services/tokens/MapServer",
            "/REST/Services/tokens/x/MapServer",
            "/rest%2Fservices%2Ftokens%2FMapServer",
            "/rest/information",
            "/rest/services",
            "/mytokens/x",
            "/services/tokens",
            "/services/tokens/MapServer",
            "/services/Folder/tokens/GPServer/execute",
            "/services/rest/info/MapServer",
            "/arcgis/rest/services/oauth2/Parks/MapServer",
            "/services/rest/services/tokens/MapServer",
            "/admin",
            "/admin/services",
            "/manager/index.html",
            "/sharing/rest/portals/self",
            "/sharing/rest/community/users/tokens2",
        ] {
            assert!(!is_exempt(path), "{path}");
        }
    }

    #[test]
    fn administration_is_directly_below_the_root() {
        for path in [
            "/admin",
            "/admin/",
            "/Admin/services",
            "/admin/services/Roads.MapServer/edit",
            "/manager",
            "/portaladmin/security",
            "//admin",
            "/%61dmin",
            "/admin;x=1/services",
            "/%2561dmin",
            "\\admin",
            "/.%2fadmin",
            "/x/../admin",
            "/x;/../admin",
        ] {
            assert_eq!(EndPoint::of(path), Some(EndPoint::Administration), "{path}");
        }
        for path in [
            "/rest/services/admin/MapServer",
            "/rest/admin/services/Roads/FeatureServer",
            "/sharing/rest/content/items/admin",
            "/administration",
            "/services/manager/MapServer",
        ] {
            assert_eq!(EndPoint::of(path), None, "{path}");
        }
        assert_eq!(EndPoint::of("/admin/login"), Some(EndPoint::Login));
        assert_eq!(EndPoint::of("/admin/generateToken"), Some(EndPoint::Token));
    }

    #[test]
    fn sign_in_pages_are_known_below_any_root() {
        for path in [
            "/arcgis/rest/login",
            "/arcgis/rest/login/",
            "/arcgis/rest/login;jsessionid=1",
            "/server/REST/Login",
            "rest/login",
            "/arcgis/admin/login",
            "/portal/portaladmin/login",
            "/portal/sharing/login",
            "/portal/sharing/rest/oauth2/signin",
            "/portal/home/signin.html",
            "/home/signin",
            "/arcgis/rest/log%69n",
        ] {
            assert!(is_login_page(path.as_bytes()), "{path}");
        }
        for path in [
            "",
            "/",
            "/login",
            "/signin",
            "/arcgis/rest/login/x",
            "/arcgis/rest/services/login",
            "/arcgis/rest/services/rest/login/MapServer",
            "/arcgis/tokens",
            "/portal/sharing/rest/oauth2/authorize",
            "/rest/info",
        ] {
            assert!(!is_login_page(path.as_bytes()), "{path}");
        }
    }

    /// A part of a path: names that matter, and everything that a server decodes, cuts off or takes for a slash.
    fn part() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "/",
            "/",
            "/",
            "//",
            "\\",
            "%2F",
            "%5c",
            "/.",
            "/..",
            ".",
            "%2e",
            ";x=1",
            "%3B",
            "%00",
            "%20",
            "?",
            "%3F",
            "#",
            "rest",
            "Services",
            "services",
            "tokens",
            "generateToken",
            "oauth2",
            "info",
            "login",
            "sharing",
            "admin",
            "manager",
            "home",
            "signin.html",
            "MapServer",
            "Roads",
            "%74okens",
            "%2574okens",
            "inf%6F",
            "serv%69ces",
            "a.b",
            "é",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn the_fast_way_finds_what_the_slow_way_finds(
            parts in prop::collection::vec(part(), 0..9), below_services: bool
        ) {
            let start = if below_services { "/rest/services/" } else { "" };
            let path = format!("{start}{}", parts.concat());
            let slow = first_in(segments(&decoded(path.as_bytes())), true);
            if is_plain(path.as_bytes()) {
                prop_assert_eq!(EndPoint::of(&path), slow, "{}", path);
            } else if slow.is_some() {
                prop_assert!(EndPoint::of(&path).is_some(), "{}", path);
            }
        }
    }
}
