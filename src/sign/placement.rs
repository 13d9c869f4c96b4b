//! Putting a token on a request, and seeing whether the caller put one there already.

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{AUTHORIZATION, COOKIE},
    uri::PathAndQuery,
};

use percent_encoding::percent_decode_str;

use crate::token::Token;

/// Esri's own header for tokens, where `Authorization` belongs to a web tier (ArcGIS Enterprise 10.6 and later).
static X_ESRI_AUTHORIZATION: HeaderName = HeaderName::from_static("x-esri-authorization");
const TOKEN_KEY: &[u8] = b"token=";
const TOKEN_COOKIE: &[u8] = b"agstoken";

/// Where the token goes on a request. Whatever token stands there already is replaced, never doubled.
///
/// ```
/// use tower_arcgis_auth::{Site, TokenPlacement};
///
/// let site = Site::new("https://gis.example.com/arcgis").placement(TokenPlacement::EsriHeader);
/// # drop(site);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenPlacement {
    /// `token=` in the query. Works with every product and version, and shows in logs and in the errors of clients
    /// that print URLs. A URL too long to take a token (65,534 bytes with it) gets it as [`EsriHeader`](Self::EsriHeader).
    #[default]
    Query,
    /// The cookie `agstoken`, merged into the caller's `Cookie` header.
    Cookie,
    /// `X-Esri-Authorization: Bearer`, which Esri recommends from 10.6 on.
    EsriHeader,
    /// `Authorization: Bearer`. Not where a web tier (IWA, PKI, Basic) owns that header.
    Bearer,
}

/// What happens to a request that carries a token of the caller's own: a non-empty `token=` in the query, an
/// `X-Esri-Authorization` header, an `agstoken` cookie, or `Authorization` where the site's placement is
/// [`Bearer`](TokenPlacement::Bearer). A token in a form body is not looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerToken {
    /// It wins: the request passes untouched, and its answer too.
    #[default]
    Keep,
    /// It is taken off, and the site's token put in its place.
    Replace,
}

/// Where a token went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Where it belongs.
    #[default]
    AsSet,
    /// In a header, because the query would have been too long.
    InsteadOfQuery,
}

/// Whether the caller placed a token of its own: non-empty, anywhere ArcGIS looks. A form body is not looked into.
pub(crate) fn has_token(uri: &Uri, headers: &HeaderMap, placement: TokenPlacement) -> bool {
    if uri
        .query()
        .is_some_and(|query| tokens(query.as_bytes(), 0).any(|pair| !pair.is_empty_token()))
    {
        return true;
    }
    // One walk over the names costs less than a hashed look-up for each.
    headers.keys().any(|name| {
        if *name == COOKIE {
            headers.get_all(COOKIE).iter().any(has_token_cookie)
        } else if *name == AUTHORIZATION {
            placement == TokenPlacement::Bearer && is_set(headers, name)
        } else {
            *name == X_ESRI_AUTHORIZATION && is_set(headers, name)
        }
    })
}

fn is_set(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(|value| !value.is_empty())
}

/// Takes a caller's own token off, wherever it is.
pub(crate) fn remove_token<B>(request: &mut Request<B>, placement: TokenPlacement) {
    let headers = request.headers_mut();
    headers.remove(&X_ESRI_AUTHORIZATION);
    if placement == TokenPlacement::Bearer {
        headers.remove(AUTHORIZATION);
    }
    if headers.get_all(COOKIE).iter().any(has_token_cookie) {
        merge_cookies(headers, None);
    }
    remove_from_query(request.uri_mut());
}

/// Takes every `token` out of the query, in whatever spelling of the key.
fn remove_from_query(uri: &mut Uri) {
    let Some(query) = uri.query() else {
        return;
    };
    if !query.split('&').any(is_token_pair) {
        return;
    }
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !is_token_pair(pair))
        .collect();
    let shorter = format!("{}?{}", uri.path(), kept.join("&"));
    set_path_and_query(uri, Bytes::from(shorter));
}

fn is_token_pair(pair: &str) -> bool {
    let key = pair.split('=').next().unwrap_or_default();
    key == "token" || (key.contains('%') && percent_decode_str(key).eq(b"token".iter().copied()))
}

/// Puts `token` on a request, and `referer` with it where the token is bound to one.
pub(crate) fn sign<B>(
    request: &mut Request<B>,
    token: &Token,
    placement: TokenPlacement,
    referer: Option<&HeaderValue>,
    _only_in_query: bool,
) -> Placed {
    let mut placed = Placed::AsSet;
    let query = request.uri().query();
    if placement != TokenPlacement::Query
        && query.is_some_and(|query| tokens(query.as_bytes(), 0).next().is_some())
    {
        // An empty one: a server that looks there first would look no further.
        remove_from_query(request.uri_mut());
    }
    match placement {
        TokenPlacement::Query => {
            if !rewrite_query(request.uri_mut(), token.query_pair()) {
                insert_esri_header(request.headers_mut(), token);
                placed = Placed::InsteadOfQuery;
            }
        }
        TokenPlacement::Cookie => merge_cookies(request.headers_mut(), Some(token.cookie_pair())),
        TokenPlacement::EsriHeader => insert_esri_header(request.headers_mut(), token),
        TokenPlacement::Bearer => {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, token.bearer().clone());
        }
    }
    if let Some(referer) = referer {
        let headers = request.headers_mut();
        headers.insert(http::header::REFERER, referer.clone());
    }
    placed
}

fn insert_esri_header(headers: &mut HeaderMap, token: &Token) {
    headers.insert(X_ESRI_AUTHORIZATION.clone(), token.bearer().clone());
}

/// A `token=…` pair in a query.
struct Pair {
    start: usize,
    end: usize,
}

impl Pair {
    fn is_empty_token(&self) -> bool {
        self.end - self.start == TOKEN_KEY.len()
    }
}

/// All `token` pairs of `query`, first to last, that start at `from` or behind it.
///
/// Found by their third letter: hardly one of ArcGIS's parameters has it in name or value, so that one search for a
/// single byte is nearly always all.
fn tokens(query: &[u8], from: usize) -> impl Iterator<Item = Pair> {
    memchr::memchr_iter(b'k', &query[from..])
        .filter_map(move |letter| (from + letter).checked_sub(2))
        .filter(|start| query[*start..].starts_with(TOKEN_KEY))
        .filter(|start| *start == 0 || query[start - 1] == b'&')
        .map(|start| Pair {
            start,
            end: memchr::memchr(b'&', &query[start..]).map_or(query.len(), |length| start + length),
        })
}

/// Takes every `token` pair out of the query and puts `pair` where the first one was, or at the end; all other text
/// stays byte for byte. False, and nothing changed, where the result would be too long for a URI.
///
/// One allocation, of exactly the final length.
fn rewrite_query(uri: &mut Uri, pair: &[u8]) -> bool {
    let path = uri.path();
    // An asterisk (`OPTIONS *`) and an authority (`CONNECT`) take no query.
    if !path.starts_with('/') {
        return false;
    }
    let old = uri.query().unwrap_or_default().as_bytes();
    // Mostly there is none: then the query is searched no second and third time.
    let first = tokens(old, 0).next().map_or(old.len(), |pair| pair.start);
    let mut length = path.len() + 1;
    new_query(old, first, pair, &mut |piece| length += piece.len());
    let mut buffer = BytesMut::with_capacity(length);
    buffer.put_slice(path.as_bytes());
    buffer.put_u8(b'?');
    new_query(old, first, pair, &mut |piece| buffer.put_slice(piece));
    set_path_and_query(uri, buffer.freeze())
}

/// The query with `pair` and no other token, piece by piece. Its first old token starts at `first`.
fn new_query<'a>(old: &'a [u8], first: usize, pair: &'a [u8], piece: &mut impl FnMut(&'a [u8])) {
    let mut copied = 0;
    let mut placed = false;
    for old_pair in tokens(old, first) {
        if placed {
            // Taken out with the `&` before it.
            piece(&old[copied..old_pair.start - 1]);
        } else {
            piece(&old[copied..old_pair.start]);
            piece(pair);
            placed = true;
        }
        copied = old_pair.end;
    }
    piece(&old[copied..]);
    if !placed {
        if !matches!(old.last(), None | Some(b'&')) {
            piece(b"&");
        }
        piece(pair);
    }
}

/// False, and nothing changed, where it would be too long for a URI.
fn set_path_and_query(uri: &mut Uri, text: Bytes) -> bool {
    let Ok(path_and_query) = PathAndQuery::from_maybe_shared(text) else {
        return false;
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(path_and_query);
    // Parts of a URI, with another path and query that begins with a slash, make a URI.
    let rebuilt = Uri::from_parts(parts);
    let done = rebuilt.is_ok();
    *uri = rebuilt.unwrap_or_default();
    done
}

fn has_token_cookie(value: &HeaderValue) -> bool {
    crumbs(value.as_bytes())
        .any(|crumb| is_token_crumb(crumb) && crumb.len() > TOKEN_COOKIE.len() + 1)
}

fn crumbs(cookies: &[u8]) -> impl Iterator<Item = &[u8]> {
    cookies
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|crumb| !crumb.is_empty())
}

fn is_token_crumb(crumb: &[u8]) -> bool {
    crumb
        .strip_prefix(TOKEN_COOKIE)
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
}

/// Joins the caller's cookies, less any `agstoken`, and `pair` into one `Cookie` header. HTTP/2 may have split them
/// over several.
fn merge_cookies(headers: &mut HeaderMap, pair: Option<&HeaderValue>) {
    let length: usize = headers
        .get_all(COOKIE)
        .iter()
        .map(|value| value.len() + 2)
        .sum();
    if length == 0 {
        if let Some(pair) = pair {
            headers.insert(COOKIE, pair.clone());
        }
        return;
    }
    let mut merged = BytesMut::with_capacity(length + pair.map_or(0, HeaderValue::len));
    for crumb in headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| crumbs(value.as_bytes()))
        .filter(|crumb| !is_token_crumb(crumb))
        .chain(pair.map(HeaderValue::as_bytes))
    {
        if !merged.is_empty() {
            merged.put_slice(b"; ");
        }
        merged.put_slice(crumb);
    }
    if merged.is_empty() {
        headers.remove(COOKIE);
    } else if let Ok(mut value) = HeaderValue::from_maybe_shared(merged.freeze()) {
        // Parts of valid values, joined by valid bytes, make a valid value.
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}
