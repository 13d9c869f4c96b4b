//! Challenges: the many shapes in which an ArcGIS asks for a token.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::CONTENT_ENCODING;
use serde_json::Value;

use crate::answer::{self, Answer, HTML, JSON, PBF, PNG};
use crate::challenge_shape::ChallengeShape;
use crate::pages;
use crate::request_parts::RequestHead;

/// What is wrong with the token of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// There is none.
    Required,
    /// It is no good.
    Invalid,
}

impl Demand {
    fn code(self) -> u16 {
        self.choose(499, 498)
    }

    fn message(self) -> &'static str {
        self.choose("Token Required", "Invalid Token")
    }

    fn choose<T>(self, required: T, invalid: T) -> T {
        match self {
            Self::Required => required,
            Self::Invalid => invalid,
        }
    }

    fn json(self) -> String {
        answer::error_text(self.code(), self.message(), &Value::Array(Vec::new()))
    }
}

/// The challenge in its shape.
pub(crate) fn render(shape: ChallengeShape, demand: Demand, head: &RequestHead) -> Answer {
    use ChallengeShape as Shape;
    let code = demand.code();
    let message = demand.message();
    match shape {
        Shape::Json => answer::bytes(JSON, demand.json()),
        Shape::JsonPretty => answer::bytes(
            JSON,
            format!(
                "{{\n \"error\": {{\n  \"code\": {code},\n  \"message\": \"{message}\",\n  \"details\": []\n }}\n}}"
            ),
        ),
        Shape::JsonBom => answer::bytes(JSON, format!("\u{feff}{}", demand.json())),
        Shape::JsonGzip => coded("gzip", gzipped(demand.json().as_bytes())),
        Shape::JsonDeflate => coded("deflate", deflated(demand.json().as_bytes())),
        Shape::Jsonp => answer::bytes(JSON, format!("{}({});", callback(head), demand.json())),
        Shape::JsonpComment => answer::bytes(
            "application/javascript;charset=utf-8",
            format!("/**/{}({});", callback(head), demand.json()),
        ),
        Shape::JsonNoDetails => answer::bytes(
            JSON,
            format!(r#"{{"error":{{"code":{code},"message":"{message}."}}}}"#),
        ),
        Shape::PortalJson => {
            let message = demand.choose("Token Required", "Invalid token.");
            answer::bytes(
                "application/json; charset=utf-8",
                format!(
                    r#"{{"error":{{"messageCode":"GWM_0003","code":{code},"message":"{message}","details":["{message}"]}}}}"#
                ),
            )
        }
        Shape::JsonForbidden => match demand {
            Demand::Required => forbidden(),
            Demand::Invalid => answer::bytes(JSON, demand.json()),
        },
        Shape::AdminJson => answer::bytes("text/plain;charset=UTF-8", admin(demand)),
        Shape::HttpStatus => answer::status(answer::bytes(JSON, demand.json()), code),
        Shape::HttpStatusPlain => answer::status(answer::bytes("text/html", message), code),
        Shape::Http401Json => answer::status(answer::bytes(JSON, demand.json()), 401),
        Shape::Http401Code401 => {
            let message = demand.choose("Authentication required.", "Invalid token");
            let body = answer::error_text(401, message, &Value::Array(Vec::new()));
            answer::status(answer::bytes("application/json", body), 401)
        }
        Shape::LoginPage100 => answer::bytes(HTML, pages::login_page_100(&head.url())),
        Shape::LoginPage => answer::bytes(HTML, pages::login_page(&head.url())),
        Shape::LoginRedirect => {
            let back = answer::encoded(&head.url());
            answer::redirect(&format!(
                "{}/arcgis/rest/login?redirect={back}",
                head.origin()
            ))
        }
        Shape::OAuthRedirect => {
            let back = answer::encoded(&head.url());
            answer::redirect(&format!(
                "{}/arcgis/sharing/rest/oauth2/authorize?client_id=stand-in&response_type=code&redirect_uri={back}",
                head.origin()
            ))
        }
        Shape::ErrorPage => answer::bytes(HTML, pages::error_page(code, message)),
        Shape::SoapFault => answer::status(
            answer::bytes("text/xml; charset=utf-8", soap_fault(message)),
            500,
        ),
        Shape::OgcException => {
            answer::bytes("application/vnd.ogc.se_xml", ogc_exception(code, message))
        }
        Shape::JsonAsPng => answer::bytes(PNG, demand.json()),
        Shape::JsonAsPbf => answer::bytes(PBF, demand.json()),
    }
}

/// 403: the token is good, the account is not allowed.
pub(crate) fn forbidden() -> Answer {
    answer::bytes(
        JSON,
        r#"{"error":{"code":403,"messageCode":"GWM_0003","message":"You do not have permissions to access this resource or perform this operation.","details":[]}}"#,
    )
}

/// The administrator API's words.
fn admin(demand: Demand) -> String {
    let message = demand.choose(
        "Unauthorized access. Token not found. You can generate a token using the 'generateToken' operation.",
        "Could not decrypt token. Token may not be valid.",
    );
    answer::admin_error_text(demand.code(), message)
}

fn callback(head: &RequestHead) -> &str {
    head.query.get("callback").unwrap_or("cb")
}

fn coded(coding: &str, body: Vec<u8>) -> Answer {
    answer::with_header(answer::bytes(JSON, body), CONTENT_ENCODING, coding)
}

fn gzipped(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

/// `data` in zlib's format, which HTTP calls `deflate`.
fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

fn soap_fault(message: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
 <soap:Body>
  <soap:Fault><faultcode>soap:Server</faultcode><faultstring>{message}</faultstring></soap:Fault>
 </soap:Body>
</soap:Envelope>"#
    )
}

fn ogc_exception(code: u16, message: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<ServiceExceptionReport version="1.3.0" xmlns="http://www.opengis.net/ogc">
 <ServiceException code="{code}">{message}</ServiceException>
</ServiceExceptionReport>"#
    )
}
