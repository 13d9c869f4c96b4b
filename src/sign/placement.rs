//! Putting a token on a request.

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{AUTHORIZATION, REFERER},
    uri::PathAndQuery,
};

use crate::{
    sign::{
        cookies,
        pairs::{QueryToken, rewrite, token_pairs},
    },
    token::Token,
};

/// Esri's own header for tokens, where `Authorization` belongs to a web tier (ArcGIS Enterprise 10.6 and later).
pub(super) static X_ESRI_AUTHORIZATION: HeaderName =
    HeaderName::from_static("x-esri-authorization");

/// IIS refuses longer queries with 404.15 unless told otherwise, in characters.
const LONGEST_QUERY: usize = 2048;

/// `http` takes no longer URIs, in bytes.
const LONGEST_URI: usize = 65_534;

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
    /// that print URLs. Where the token would make the query longer than 2,048 characters, which IIS refuses unless
    /// told otherwise, or the URL longer than 65,534, it goes as [`EsriHeader`](Self::EsriHeader).
    #[default]
    Query,
    /// The cookie `agstoken`, merged into the caller's `Cookie` header.
    Cookie,
    /// `X-Esri-Authorization: Bearer`, which Esri recommends from 10.6 on.
    EsriHeader,
    /// `Authorization: Bearer`. Not where a web tier (IWA, PKI, Basic) owns that header.
    Bearer,
}

/// Puts `token` on a request, and `referer` with it where the token is bound to one. Says where the token went: that is
/// not `placement` where the query would be too long with it. `takes_header` is false where the server is known to be
/// older than ArcGIS 10.6, or has not taken the header: then even a long query gets the token, but for one that makes no
/// URI. `query_token` is what this request's query has.
///
/// Empty `token` parameters make room for it, or go: a server that looks there first would look no further. All other
/// text of the query stays byte for byte.
#[inline]
pub(crate) fn sign<B>(
    request: &mut Request<B>,
    token: &Token,
    placement: TokenPlacement,
    takes_header: bool,
    query_token: QueryToken,
    referer: Option<&HeaderValue>,
) -> TokenPlacement {
    let replaces = query_token != QueryToken::None;
    let placed = match placement {
        TokenPlacement::Query
            if !put_into_query(
                request.uri_mut(),
                token.query_pair(),
                replaces,
                takes_header,
            ) =>
        {
            TokenPlacement::EsriHeader
        }
        placement => placement,
    };
    if replaces && placed != TokenPlacement::Query {
        remove_from_query(request.uri_mut());
    }
    let headers = request.headers_mut();
    match placed {
        TokenPlacement::Query => {}
        TokenPlacement::Cookie => cookies::merge(headers, Some(token.cookie_pair())),
        TokenPlacement::EsriHeader => insert_esri_header(headers, token),
        TokenPlacement::Bearer => {
            headers.insert(AUTHORIZATION, token.bearer().clone());
        }
    }
    if let Some(referer) = referer {
        headers.insert(REFERER, referer.clone());
    }
    placed
}

#[inline]
fn insert_esri_header(headers: &mut HeaderMap, token: &Token) {
    headers.insert(X_ESRI_AUTHORIZATION.clone(), token.bearer().clone());
}

/// Takes every `token` out of the query, in whatever spelling of its name.
pub(super) fn remove_from_query(uri: &mut Uri) {
    let Some(query) = uri.query() else {
        return;
    };
    if token_pairs(query.as_bytes()).next().is_none() {
        return;
    }
    let mut shorter = BytesMut::with_capacity(uri.path().len() + 1 + query.len());
    shorter.put_slice(uri.path().as_bytes());
    let path_length = shorter.len();
    rewrite(query.as_bytes(), None, |piece| {
        if shorter.len() == path_length && !piece.is_empty() {
            shorter.put_u8(b'?');
        }
        shorter.put_slice(piece);
    });
    set_path_and_query(uri, shorter.freeze());
}

/// Puts `pair` at the end of the query, or, where it `replaces` others, in the first one's place, and takes the rest out.
/// False, and nothing changed, where the result would be too long.
///
/// One allocation, of exactly the final length.
fn put_into_query(uri: &mut Uri, pair: &[u8], replaces: bool, may_be_moved: bool) -> bool {
    let path = uri.path().as_bytes();
    // An asterisk (`OPTIONS *`) and an authority (`CONNECT`) take no query.
    if path.first() != Some(&b'/') {
        return false;
    }
    let old = uri.query().unwrap_or_default().as_bytes();
    let separator: &[u8] = match old.last() {
        None | Some(b'&') => b"",
        Some(_) => b"&",
    };
    let length = if replaces {
        let mut length = 0;
        rewrite(old, Some(pair), |piece| length += piece.len());
        length
    } else {
        old.len() + separator.len() + pair.len()
    };
    if may_be_moved && length > LONGEST_QUERY && old.len() <= LONGEST_QUERY {
        return false;
    }
    if length_before_path(uri) + path.len() + 1 + length > LONGEST_URI {
        return false;
    }
    let mut buffer = BytesMut::with_capacity(path.len() + 1 + length);
    buffer.put_slice(path);
    buffer.put_u8(b'?');
    if replaces {
        rewrite(old, Some(pair), |piece| buffer.put_slice(piece));
    } else {
        buffer.put_slice(old);
        buffer.put_slice(separator);
        buffer.put_slice(pair);
    }
    set_path_and_query(uri, buffer.freeze())
}

fn length_before_path(uri: &Uri) -> usize {
    let scheme = uri
        .scheme_str()
        .map_or(0, |scheme| scheme.len() + "://".len());
    scheme
        + uri
            .authority()
            .map_or(0, |authority| authority.as_str().len())
}

/// False, and nothing changed, where `http` does not take it.
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

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use tokio::time::Instant;

    use super::*;
    use crate::token::IssuedToken;

    const TEXT: &str = "a.b_c-d~e+f/g=";
    const PAIR: &str = "token=a.b_c-d~e%2Bf%2Fg%3D";

    fn token() -> Token {
        Token::new(IssuedToken::try_new(TEXT).unwrap(), 1, Instant::now()).unwrap()
    }

    fn signed(uri: &str, placement: TokenPlacement, takes_header: bool) -> Signed {
        let mut request = Request::get(uri).body(()).unwrap();
        let query_token = QueryToken::of(request.uri());
        let placed = sign(
            &mut request,
            &token(),
            placement,
            takes_header,
            query_token,
            None,
        );
        Signed { request, placed }
    }

    struct Signed {
        request: Request<()>,
        placed: TokenPlacement,
    }

    impl Signed {
        fn query(&self) -> &str {
            self.request.uri().query().unwrap_or_default()
        }

        fn has_header(&self) -> bool {
            self.request.headers().contains_key(&X_ESRI_AUTHORIZATION)
        }
    }

    #[test]
    fn an_empty_token_in_any_spelling_makes_room_for_ours() {
        for (before, after) in [
            ("/x", "/x?T"),
            ("/x?TOKEN=&f=json", "/x?T&f=json"),
            ("/x?f=json&%74oken=", "/x?f=json&T"),
            ("/x?f=json&Token&x=%20+'&token=", "/x?f=json&T&x=%20+'"),
            ("https://gis.test?token=", "https://gis.test/?T"),
        ] {
            let signed = signed(before, TokenPlacement::Query, true);
            assert_eq!(
                signed.request.uri().to_string(),
                after.replace('T', PAIR),
                "{before}"
            );
            assert_eq!(signed.placed, TokenPlacement::Query);
            assert!(!signed.has_header());
        }
    }

    #[test]
    fn an_empty_token_is_gone_where_ours_stands_elsewhere() {
        for placement in [
            TokenPlacement::Cookie,
            TokenPlacement::EsriHeader,
            TokenPlacement::Bearer,
        ] {
            for (before, after) in [
                ("/x?TOKEN=", "/x"),
                ("/x?%74oken=&f=json&token", "/x?f=json"),
                ("/x?f=json", "/x?f=json"),
            ] {
                let signed = signed(before, placement, true);
                assert_eq!(signed.request.uri(), after, "{before}");
                assert_eq!(signed.placed, placement);
            }
        }
        let cookie = signed("/x", TokenPlacement::Cookie, true);
        assert!(cookie.request.headers().contains_key(COOKIE));
    }

    fn with_query(length: usize) -> String {
        let start = "https://gis.test/arcgis/rest?where=";
        let rest = length - "where=".len();
        format!("{start}{}", "x".repeat(rest))
    }

    #[test]
    fn a_query_that_is_too_long_only_with_the_token_keeps_it_out() {
        let room = LONGEST_QUERY - PAIR.len() - 1;
        for (length, in_query) in [
            (room, true),
            (room + 1, false),
            (LONGEST_QUERY, false),
            // Longer than IIS takes anyway: a server that takes it takes a little more.
            (LONGEST_QUERY + 1, true),
        ] {
            let signed = signed(&with_query(length), TokenPlacement::Query, true);
            assert_eq!(signed.query().contains(PAIR), in_query, "{length}");
            assert_eq!(signed.has_header(), !in_query, "{length}");
            assert_eq!(
                signed.placed,
                if in_query {
                    TokenPlacement::Query
                } else {
                    TokenPlacement::EsriHeader
                }
            );
        }
        let moved = signed(
            &format!("{}&TOKEN=", with_query(room)),
            TokenPlacement::Query,
            true,
        );
        assert_eq!(moved.placed, TokenPlacement::Query);
        let moved = signed(
            &format!("{}&TOKEN=", with_query(room + 1)),
            TokenPlacement::Query,
            true,
        );
        assert_eq!(moved.placed, TokenPlacement::EsriHeader);
        assert!(!moved.query().contains("TOKEN"));
    }

    #[test]
    fn a_server_that_knows_no_header_gets_a_long_query() {
        let signed = signed(&with_query(LONGEST_QUERY), TokenPlacement::Query, false);
        assert_eq!(signed.placed, TokenPlacement::Query);
        assert!(signed.query().ends_with(PAIR));
    }

    #[test]
    fn a_uri_that_would_be_too_long_gets_the_header_from_any_server() {
        let longest = LONGEST_URI - "https://gis.test/arcgis/rest?".len();
        for takes_header in [true, false] {
            let at_most = signed(
                &with_query(longest - PAIR.len() - 1),
                TokenPlacement::Query,
                takes_header,
            );
            assert_eq!(at_most.placed, TokenPlacement::Query);
            assert!(at_most.request.uri().to_string().parse::<Uri>().is_ok());
            let over = signed(
                &with_query(longest - PAIR.len()),
                TokenPlacement::Query,
                takes_header,
            );
            assert_eq!(over.placed, TokenPlacement::EsriHeader);
        }
        let asterisk = signed("*", TokenPlacement::Query, false);
        assert_eq!(asterisk.placed, TokenPlacement::EsriHeader);
    }
}
