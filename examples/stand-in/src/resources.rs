//! What services answer once a request is let in.

use bytes::Bytes;
use http::header::{CONTENT_LOCATION, HeaderName, HeaderValue, LINK, REFRESH, TRAILER};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::answer::{self, Answer, PBF};
use crate::body::{self, Step};
use crate::digest::Digest;
use crate::export;
use crate::pages;
use crate::prefixes::SERVICES;
use crate::request_parts::{RequestBody, RequestHead};
use crate::state::State;

/// Echoes give bodies back as text up to this size.
const ECHO_TEXT: usize = 64 * 1024;
/// The trailer of a stream: the checksum of its body.
const DIGEST: HeaderName = HeaderName::from_static("x-stand-in-digest");

const EDITS: [&str; 7] = [
    "applyEdits",
    "addFeatures",
    "updateFeatures",
    "deleteFeatures",
    "addAttachment",
    "updateAttachment",
    "deleteAttachments",
];

/// The answer to a request, `tail` being what follows the service in its path and `user` whose token came with it.
pub(crate) fn answer(
    state: &State,
    head: &RequestHead,
    body: &RequestBody,
    tail: &str,
    user: Option<&str>,
) -> Answer {
    let segments: Vec<&str> = tail
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let last = segments.last().copied().unwrap_or_default();
    let format = head.query.get("f").or_else(|| body.form.get("f"));
    if let Some(tile) = export::tile(service_of(head, tail), &segments) {
        return tile;
    }
    match last {
        "echo" | "redirected" => echo(head, body, user),
        "stream" => stream(head),
        "events" => events(),
        "redirect" => redirect(head),
        "early" => answer::json(&json!({ "early": true })),
        "query" => query(head, format),
        "export" | "exportImage" => export::export(state, head, body, service_of(head, tail)),
        edit if EDITS.contains(&edit) => {
            state.count(|counters| counters.edits += 1);
            answer::json(&edited(edit))
        }
        _ if wants_html(head) && format.is_none() => answer::html(pages::resource(&head.path)),
        _ if last.is_empty() || last.ends_with("Server") => answer::json(&service()),
        _ if last.bytes().all(|byte| byte.is_ascii_digit()) => answer::json(&layer(last)),
        _ => answer::error(400, "Invalid URL"),
    }
}

/// The name of the service, `tail` being what follows it in the path.
fn service_of<'a>(head: &'a RequestHead, tail: &str) -> &'a str {
    let path = head.path.strip_suffix(tail).unwrap_or(&head.path);
    path.strip_prefix(SERVICES)
        .unwrap_or(path)
        .trim_start_matches('/')
}

/// Whether a browser asks: no `f`, or `f=html`.
pub(crate) fn wants_html(head: &RequestHead) -> bool {
    head.method == Method::GET && matches!(head.query.get("f"), None | Some("html"))
}

/// The services directory as JSON.
pub(crate) fn directory(services: &[String]) -> Answer {
    let services: Vec<Value> = services
        .iter()
        .filter_map(|path| {
            path.strip_prefix(SERVICES)?
                .trim_start_matches('/')
                .rsplit_once('/')
        })
        .map(|(name, kind)| json!({ "name": name, "type": kind }))
        .collect();
    answer::json(&json!({ "currentVersion": 10.91, "folders": [], "services": services }))
}

/// What arrived, to the letter, and whose token came with it.
fn echo(head: &RequestHead, body: &RequestBody, user: Option<&str>) -> Answer {
    let text = body
        .kept
        .as_ref()
        .filter(|body| body.len() <= ECHO_TEXT)
        .and_then(|body| std::str::from_utf8(body).ok());
    answer::json(&json!({
        "method": head.method.as_str(),
        "version": format!("{:?}", head.version),
        "pathAndQuery": head.path_and_query,
        "headers": pairs(&head.headers),
        "bodyLength": body.length,
        "bodyDigest": body.digest.text(),
        "body": text,
        "trailers": body.trailers.as_ref().map(pairs),
        "user": user,
    }))
}

fn pairs(headers: &HeaderMap) -> Vec<Value> {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}

/// `chunks` frames of `size` bytes, then a trailer with the checksum of them all.
fn stream(head: &RequestHead) -> Answer {
    let number = |name: &str, default: u64| {
        head.query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let chunks = number("chunks", 8);
    let size = usize::try_from(number("size", 1024).min(16 * 1024 * 1024)).unwrap_or_default();
    let chunk: Bytes = (b'a'..=b'z').cycle().take(size).collect();
    let mut digest = Digest::new();
    for _ in 0..chunks {
        digest.update(&chunk);
    }
    let mut trailers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&digest.text()) {
        trailers.insert(DIGEST, value);
    }
    let body = body::scripted([Step::Repeat(chunk, chunks), Step::Trailers(trailers)]);
    answer::with_header(
        answer::labelled("application/octet-stream", body),
        TRAILER,
        DIGEST.as_str(),
    )
}

/// One event, then silence.
fn events() -> Answer {
    let event = Bytes::from_static(b"event: ready\ndata: {\"error\":null}\n\n");
    answer::labelled(
        "text/event-stream",
        body::scripted([Step::Data(event), Step::StayOpen]),
    )
}

/// A redirect that gives away the URL asked for, token and all, in every header that can.
fn redirect(head: &RequestHead) -> Answer {
    let url = head.url();
    let query = head
        .path_and_query
        .strip_prefix(head.path.as_str())
        .unwrap_or_default();
    let target = format!("{}{}ed{query}", head.origin(), head.path);
    let answer = answer::redirect(&target);
    let answer = answer::with_header(answer, CONTENT_LOCATION, &url);
    let answer = answer::with_header(answer, LINK, &format!("<{url}>; rel=\"canonical\""));
    answer::with_header(answer, REFRESH, &format!("5; url={url}"))
}

fn query(head: &RequestHead, format: Option<&str>) -> Answer {
    match format {
        Some("pbf") => answer::bytes(PBF, feature_collection()),
        Some("html") => answer::html(pages::resource(&head.path)),
        _ => answer::json(&json!({
            "objectIdFieldName": "OBJECTID",
            "geometryType": "esriGeometryPoint",
            "spatialReference": { "wkid": 4326 },
            "fields": [{ "name": "OBJECTID", "type": "esriFieldTypeOID" }, { "name": "NAME", "type": "esriFieldTypeString" }],
            "features": [
                { "attributes": { "OBJECTID": 499, "NAME": "Token Required Lane" }, "geometry": { "x": 16.37, "y": 48.21 } },
                { "attributes": { "OBJECTID": 498, "NAME": "Invalid Token Yard" }, "geometry": { "x": 8.54, "y": 47.37 } },
            ],
        })),
    }
}

/// A feature collection with nothing but the name of its key field, in Esri's protobuf.
fn feature_collection() -> Bytes {
    let mut features = vec![0x0a, 8];
    features.extend_from_slice(b"OBJECTID");
    // Field 2 of the collection (query result) holds field 1 (feature result).
    let mut collection = vec![0x12, 12, 0x0a, 10];
    collection.extend_from_slice(&features);
    Bytes::from(collection)
}

fn edited(edit: &str) -> Value {
    let done = json!([{ "objectId": 1, "success": true }]);
    match edit {
        "addFeatures" => json!({ "addResults": done }),
        "updateFeatures" => json!({ "updateResults": done }),
        "deleteFeatures" => json!({ "deleteResults": done }),
        "addAttachment" => json!({ "addAttachmentResult": done[0] }),
        "updateAttachment" => json!({ "updateAttachmentResult": done[0] }),
        "deleteAttachments" => json!({ "deleteAttachmentResults": done }),
        _ => json!({ "addResults": done, "updateResults": [], "deleteResults": [] }),
    }
}

fn service() -> Value {
    json!({
        "currentVersion": 10.91,
        "serviceDescription": "",
        "layers": [{ "id": 0, "name": "Layer 0" }],
        "tables": [],
        "spatialReference": { "wkid": 4326 },
        "capabilities": "Map,Query,Data",
    })
}

fn layer(id: &str) -> Value {
    json!({ "currentVersion": 10.91, "id": id.parse::<u64>().unwrap_or_default(), "name": format!("Layer {id}"), "type": "Feature Layer" })
}
