//! Headers on their way through: what belongs to one connection only, who asked, and who may keep an answer.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, CACHE_CONTROL, CONNECTION, HOST, TE},
};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that are about one connection (RFC 9110, 7.6.1). `Trailer` is not among them: it announces fields that
/// come through.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that concern everyone on the way, whatever `Connection` says (RFC 9110, 7.6.1): neither side may have them taken
/// off. One says where the body ends, the other that a cache must not keep the answer.
const NEVER_HOP_BY_HOP: [HeaderName; 2] = [header::CONTENT_LENGTH, CACHE_CONTROL];

/// Takes off what belongs to one connection: the headers above, and those `Connection` names. `TE: trailers` stays.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NEVER_HOP_BY_HOP.contains(name))
        .collect();
    let trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Says who asked, and what for: `X-Forwarded-For` grows by the caller; host and scheme are set where no web server in
/// front of the proxy has set them.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, uri: &Uri, caller: IpAddr) {
    let mut chain = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(caller.to_canonical().to_string().as_bytes());
    if let Ok(chain) = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if !headers.contains_key(&X_FORWARDED_HOST) {
        if let Some(host) = asked_host(headers, uri) {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
}

/// The host the caller asked: HTTP/2 and absolute request targets have it in the URI, others in `Host`.
fn asked_host(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    match uri.authority() {
        Some(authority) => {
            let host = authority.as_str();
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            HeaderValue::from_str(host).ok()
        }
        None => headers.get(HOST).cloned(),
    }
}

pub(crate) fn set_no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn headers_of_one_connection_stay_on_it() {
        let mut headers = map(&[
            ("connection", "close, X-Mine,,content-length, Cache-Control"),
            ("connection", "x-other"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic Zm9v"),
            ("proxy-connection", "close"),
            ("te", "gzip, Trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
            ("content-length", "3"),
            ("cache-control", "private"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(
            headers,
            map(&[
                ("te", "trailers"),
                ("trailer", "x-sum"),
                ("content-length", "3"),
                ("cache-control", "private"),
                ("accept", "*/*"),
            ])
        );
    }

    #[test]
    fn a_caller_is_added_to_those_before_it() {
        let mut headers = map(&[
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
            ("x-forwarded-for", "192.0.2.3"),
            ("host", "maps.example.com"),
        ]);
        let caller = "::ffff:192.0.2.4".parse().unwrap();
        set_forwarded(&mut headers, &Uri::from_static("/a"), caller);
        assert_eq!(
            headers,
            map(&[
                (
                    "x-forwarded-for",
                    "192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4"
                ),
                ("x-forwarded-host", "maps.example.com"),
                ("x-forwarded-proto", "http"),
                ("host", "maps.example.com"),
            ])
        );
    }

    #[test]
    fn a_password_in_a_request_target_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("http://ada:hunter2@maps.example.com:81/a");
        set_forwarded(&mut headers, &uri, "192.0.2.4".parse().unwrap());
        assert_eq!(headers["x-forwarded-host"], "maps.example.com:81");
    }
}
