//! The shapes that challenges come in, and their names.

use std::fmt;
use std::str::FromStr;

use crate::unknown_name::UnknownName;

/// The shape a challenge comes in. See [`crate::StandIn::set_challenge`].
///
/// Each has a name, in lower case with hyphens, for the command line and the control end points.
///
/// ```
/// use arcgis_stand_in::ChallengeShape;
///
/// assert_eq!("login-redirect".parse(), Ok(ChallengeShape::LoginRedirect));
/// for shape in ChallengeShape::ALL {
///     assert_eq!(shape.to_string().parse(), Ok(*shape));
/// }
/// ```
///
/// Where a shape has words for it, a request without a token is told "Token Required" (499) and one with a bad token
/// "Invalid Token" (498).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChallengeShape {
    /// The REST error in compact JSON under HTTP 200, labelled `text/plain;charset=utf-8`. The default.
    #[default]
    Json,
    /// The same, indented as `f=pjson` does.
    JsonPretty,
    /// The same behind a byte order mark.
    JsonBom,
    /// The same, gzip-coded.
    JsonGzip,
    /// The same, deflate-coded (zlib).
    JsonDeflate,
    /// The same in a call of the request's `callback`, or `cb`.
    Jsonp,
    /// The same in a call behind an empty comment, labelled JavaScript.
    JsonpComment,
    /// The REST error without `details`, as location services write it.
    JsonNoDetails,
    /// The REST error as a portal writes it: `messageCode` first, labelled `application/json`.
    PortalJson,
    /// 403 without a token ("You do not have permissions …"), 498 with a bad one.
    JsonForbidden,
    /// The administrator API's JSON: `status`, `messages`, `code`.
    AdminJson,
    /// A real HTTP 499 or 498 with the REST error in JSON.
    HttpStatus,
    /// A real HTTP 499 or 498 with a bare text labelled `text/html`.
    HttpStatusPlain,
    /// A real HTTP 401 with the REST error 499 or 498 in JSON.
    Http401Json,
    /// A real HTTP 401 with the code 401 in its JSON too, as location services do.
    Http401Code401,
    /// HTTP 200 and a login form, in the plain markup of old servers.
    LoginPage100,
    /// HTTP 200 and a login form.
    LoginPage,
    /// 302 to `/arcgis/rest/login?redirect=` and the URL asked for, its token included.
    LoginRedirect,
    /// 302 to a portal's OAuth sign-in.
    OAuthRedirect,
    /// HTTP 200 and an HTML page "Error: Token Required" with its code.
    ErrorPage,
    /// A SOAP fault under HTTP 500.
    SoapFault,
    /// An OGC service exception under HTTP 200.
    OgcException,
    /// The REST error in JSON, labelled `image/png`.
    JsonAsPng,
    /// The REST error in JSON, labelled `application/x-protobuf`.
    JsonAsPbf,
}

impl ChallengeShape {
    /// Every shape, for tests by table.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::JsonPretty,
        Self::JsonBom,
        Self::JsonGzip,
        Self::JsonDeflate,
        Self::Jsonp,
        Self::JsonpComment,
        Self::JsonNoDetails,
        Self::PortalJson,
        Self::JsonForbidden,
        Self::AdminJson,
        Self::HttpStatus,
        Self::HttpStatusPlain,
        Self::Http401Json,
        Self::Http401Code401,
        Self::LoginPage100,
        Self::LoginPage,
        Self::LoginRedirect,
        Self::OAuthRedirect,
        Self::ErrorPage,
        Self::SoapFault,
        Self::OgcException,
        Self::JsonAsPng,
        Self::JsonAsPbf,
    ];

    /// Its name.
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonPretty => "json-pretty",
            Self::JsonBom => "json-bom",
            Self::JsonGzip => "json-gzip",
            Self::JsonDeflate => "json-deflate",
            Self::Jsonp => "jsonp",
            Self::JsonpComment => "jsonp-comment",
            Self::JsonNoDetails => "json-no-details",
            Self::PortalJson => "portal-json",
            Self::JsonForbidden => "json-forbidden",
            Self::AdminJson => "admin-json",
            Self::HttpStatus => "http-status",
            Self::HttpStatusPlain => "http-status-plain",
            Self::Http401Json => "http-401-json",
            Self::Http401Code401 => "http-401-code-401",
            Self::LoginPage100 => "login-page-100",
            Self::LoginPage => "login-page",
            Self::LoginRedirect => "login-redirect",
            Self::OAuthRedirect => "oauth-redirect",
            Self::ErrorPage => "error-page",
            Self::SoapFault => "soap-fault",
            Self::OgcException => "ogc-exception",
            Self::JsonAsPng => "json-as-png",
            Self::JsonAsPbf => "json-as-pbf",
        }
    }
}

impl fmt::Display for ChallengeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ChallengeShape {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .iter()
            .copied()
            .find(|shape| shape.name() == text)
            .ok_or_else(|| UnknownName::new(text, Self::ALL.iter().map(|shape| shape.name())))
    }
}
