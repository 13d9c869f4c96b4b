//! Headers on their way through: what belongs to one connection only, who asked, and who may keep an answer.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CACHE_CONTROL, CONNECTION, Entry, TE},
    uri::Authority,
};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(crate) static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that are about one connection (RFC 9110, 7.6.1), besides `Connection` and `TE`. `Trailer` is not among them: it
/// announces fields that come through.
const HOP_BY_HOP: [&HeaderName; 6] = [
    &KEEP_ALIVE,
    &header::PROXY_AUTHENTICATE,
    &header::PROXY_AUTHORIZATION,
    &PROXY_CONNECTION,
    &header::TRANSFER_ENCODING,
    &header::UPGRADE,
];

/// Headers that concern everyone on the way, whatever `Connection` says (RFC 9110, 7.6.1): neither side may have them taken
/// off. One says where the body ends, the other that a cache must not keep the answer.
static NEVER_HOP_BY_HOP: [HeaderName; 2] = [header::CONTENT_LENGTH, CACHE_CONTROL];

/// Which of the headers that the proxy acts on are there. One walk over all headers costs less than looking each up, and
/// bits in one register less than a truth value for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present(u16);

impl Present {
    const CONNECTION: u16 = 1;
    const TE: u16 = 1 << 1;
    /// One of [`HOP_BY_HOP`]'s.
    const HOP_BY_HOP: u16 = 1 << 2;
    const FORWARDED_FOR: u16 = 1 << 3;
    const FORWARDED_HOST: u16 = 1 << 4;
    const FORWARDED_PROTO: u16 = 1 << 5;
    pub(crate) const FORWARDED_PREFIX: u16 = 1 << 6;
    pub(crate) const AUTHORIZATION: u16 = 1 << 7;
    pub(crate) const EXPECT: u16 = 1 << 8;
    /// What browsers say of the page that asks: `Origin` or `Sec-Fetch-Site`.
    pub(crate) const PAGE: u16 = 1 << 9;
    /// `Location` or `Content-Location`.
    pub(crate) const LOCATION: u16 = 1 << 10;

    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |bits, name| bits | Self::bit(name)))
    }

    /// Any of these.
    pub(crate) fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// By length first: nearly all names are none of these, and of the standard ones the compiler makes a table.
    fn bit(name: &HeaderName) -> u16 {
        match name.as_str().len() {
            2 if *name == TE => Self::TE,
            6 if *name == header::EXPECT => Self::EXPECT,
            6 if *name == header::ORIGIN => Self::PAGE,
            8 if *name == header::LOCATION => Self::LOCATION,
            10 if *name == CONNECTION => Self::CONNECTION,
            13 if *name == header::AUTHORIZATION => Self::AUTHORIZATION,
            14 if *name == SEC_FETCH_SITE => Self::PAGE,
            15 if *name == X_FORWARDED_FOR => Self::FORWARDED_FOR,
            16 if *name == header::CONTENT_LOCATION => Self::LOCATION,
            16 if *name == X_FORWARDED_HOST => Self::FORWARDED_HOST,
            17 if *name == X_FORWARDED_PROTO => Self::FORWARDED_PROTO,
            18 if *name == X_FORWARDED_PREFIX => Self::FORWARDED_PREFIX,
            7 if *name == header::UPGRADE => Self::HOP_BY_HOP,
            10 if *name == KEEP_ALIVE => Self::HOP_BY_HOP,
            16 if *name == PROXY_CONNECTION => Self::HOP_BY_HOP,
            17 if *name == header::TRANSFER_ENCODING => Self::HOP_BY_HOP,
            18 if *name == header::PROXY_AUTHENTICATE => Self::HOP_BY_HOP,
            19 if *name == header::PROXY_AUTHORIZATION => Self::HOP_BY_HOP,
            _ => 0,
        }
    }
}

/// Takes off what belongs to one connection: the headers above, and those `Connection` names. `TE: trailers` stays. What
/// it returns is true of the headers that are left.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap, present: Present) -> Present {
    if present.has(Present::TE) {
        keep_trailers_only(headers);
    }
    if present.has(Present::HOP_BY_HOP) {
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
    }
    if !present.has(Present::CONNECTION) {
        return present;
    }
    if let Entry::Occupied(connection) = headers.entry(CONNECTION) {
        if connection.iter().all(names_nothing) {
            connection.remove();
            return present;
        }
    }
    remove_named(headers);
    Present::of(headers)
}

fn names_nothing(connection: &HeaderValue) -> bool {
    let connection = connection.as_bytes();
    connection.eq_ignore_ascii_case(b"keep-alive") || connection.eq_ignore_ascii_case(b"close")
}

fn keep_trailers_only(headers: &mut HeaderMap) {
    let trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes `Connection` off, and what it names. `TE` has been seen to, and `Connection` names it wherever it is.
fn remove_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != TE && !NEVER_HOP_BY_HOP.contains(name))
        .collect();
    headers.remove(CONNECTION);
    for name in &named {
        headers.remove(name);
    }
}

/// Who is at the other end of a connection: worked out once, for all of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// As `X-Forwarded-For` has it. `None` never happens: addresses are fit for headers.
    forwarded_for: Option<HeaderValue>,
}

impl Peer {
    pub(crate) fn at(address: IpAddr) -> Self {
        Self {
            address,
            forwarded_for: HeaderValue::try_from(address.to_string()).ok(),
        }
    }
}

/// Says who asked: `X-Forwarded-For` grows by the caller.
pub(crate) fn add_caller(headers: &mut HeaderMap, present: Present, caller: &Peer) {
    let Some(address) = &caller.forwarded_for else {
        return;
    };
    let value = if present.has(Present::FORWARDED_FOR) {
        let mut chain = Vec::new();
        for value in headers.get_all(&X_FORWARDED_FOR) {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(address.as_bytes());
        HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)).ok()
    } else {
        Some(address.clone())
    };
    if let Some(value) = value {
        headers.insert(&X_FORWARDED_FOR, value);
    }
}

/// Hides who asked.
pub(crate) fn remove_callers(headers: &mut HeaderMap, present: Present) {
    if present.has(Present::FORWARDED_FOR) {
        headers.remove(&X_FORWARDED_FOR);
    }
}

/// Says what was asked for, where no web server in front of the proxy has said so. HTTP/2 and absolute request targets have
/// the host in the target, others in `host`.
pub(crate) fn set_forwarded_host(
    headers: &mut HeaderMap,
    present: Present,
    authority: Option<&Authority>,
    host: Option<HeaderValue>,
) {
    if !present.has(Present::FORWARDED_HOST) {
        if let Some(host) = authority.map_or(host, without_user) {
            headers.insert(&X_FORWARDED_HOST, host);
        }
    }
    if !present.has(Present::FORWARDED_PROTO) {
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
}

fn without_user(authority: &Authority) -> Option<HeaderValue> {
    let host = authority.as_str();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    HeaderValue::from_str(host).ok()
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
        let present = Present::of(&headers);
        remove_hop_by_hop(&mut headers, present);
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
        let present = Present::of(&headers);
        let caller = Peer::at("192.0.2.4".parse().unwrap());
        add_caller(&mut headers, present, &caller);
        let host = Some(headers["host"].clone());
        set_forwarded_host(&mut headers, present, None, host);
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
        let authority = Authority::from_static("ada:hunter2@maps.example.com:81");
        set_forwarded_host(&mut headers, Present::default(), Some(&authority), None);
        assert_eq!(headers["x-forwarded-host"], "maps.example.com:81");
    }
}
