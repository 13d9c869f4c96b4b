//! `/proxy?https://host/path?query`, as pages ask that were written for resource-proxy.

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The last names of the pages that resource-proxy had.
const PAGES: [&str; 5] = ["proxy", "proxy.ashx", "proxy.php", "proxy.jsp", "proxy.do"];

/// What pages write into targets, and URLs have no place for.
const NOT_IN_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A request to the proxy's page.
#[derive(Debug)]
pub(super) enum Page {
    Ping,
    Target {
        /// The page's own path.
        page: Box<str>,
        /// `None` for what is no URL.
        target: Option<Uri>,
    },
}

impl Page {
    /// `None` for a request that is to no such page.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let path = uri.path();
        let name = path.rsplit('/').next().unwrap_or_default();
        if !PAGES.iter().any(|page| name.eq_ignore_ascii_case(page)) {
            return None;
        }
        let query = uri.query().unwrap_or_default();
        if query.eq_ignore_ascii_case("ping") {
            return Some(Self::Ping);
        }
        Some(Self::Target {
            page: path.into(),
            target: target(query),
        })
    }
}

/// The URL in a query, plain or percent-encoded.
fn target(query: &str) -> Option<Uri> {
    let is_plain = |text: &str| {
        text.get(..8).is_some_and(|start| {
            start.to_ascii_lowercase().starts_with("http://")
                || start.eq_ignore_ascii_case("https://")
        })
    };
    let decoded;
    let text = if is_plain(query) {
        query
    } else {
        decoded = percent_decode_str(query).decode_utf8().ok()?;
        &*decoded
    };
    if !is_plain(text) {
        return None;
    }
    // A fragment is the browser's own.
    let text = text.split('#').next().unwrap_or(text);
    let uri: Uri = utf8_percent_encode(text, NOT_IN_URLS)
        .to_string()
        .parse()
        .ok()?;
    let authority = uri.authority()?.as_str();
    (!authority.contains('@')).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(asked: &str) -> Option<String> {
        match Page::of(&asked.parse().unwrap()) {
            Some(Page::Target { target, .. }) => target.map(|uri| uri.to_string()),
            _ => None,
        }
    }

    #[test]
    fn what_stands_behind_the_first_question_mark_is_the_target() {
        for (asked, target) in [
            (
                "/proxy?https://gis.test/a?f=json&where=1%3D1",
                "https://gis.test/a?f=json&where=1%3D1",
            ),
            ("/DotNet/Proxy.ashx?http://gis.test/a", "http://gis.test/a"),
            ("/a/b/proxy.php?https://gis.test", "https://gis.test/"),
            (
                "/proxy.jsp?https%3A%2F%2Fgis.test%2Fa%20b%3Fwhere%3Dx%20y",
                "https://gis.test/a%20b?where=x%20y",
            ),
            (
                "/proxy?HTTP://gis.test/a?url=http://b/c?d",
                "http://gis.test/a?url=http://b/c?d",
            ),
            ("/proxy?https%3a//gis.test/a", "https://gis.test/a"),
        ] {
            let found = target_of(asked).unwrap();
            assert!(found.eq_ignore_ascii_case(target), "{asked}: {found}");
        }
    }

    #[test]
    fn what_is_no_url_is_no_target() {
        for asked in [
            "/proxy",
            "/proxy?",
            "/proxy?gis.test/a",
            "/proxy?file:///etc/passwd",
            "/proxy?//gis.test/a",
            "/proxy?https://u:p@gis.test/",
            "/proxy?%ff",
            "/proxy?https:/gis.test",
        ] {
            assert_eq!(target_of(asked), None, "{asked}");
        }
        assert!(Page::of(&"/proxies?https://gis.test".parse().unwrap()).is_none());
        assert!(matches!(
            Page::of(&"/x/proxy.ashx?ping".parse().unwrap()),
            Some(Page::Ping)
        ));
    }
}
