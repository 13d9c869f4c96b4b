//! Pages that may ask, by the Referer their requests have.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri, header::GetAll};
use tower_arcgis_auth::PathPrefix;

use crate::{
    access::{HostName, web_origin::default_port},
    refusal::Refusal,
};

/// What `--allow-referer` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefererPattern {
    /// Any, and none.
    Any,
    Pages(Pages),
}

/// Pages by their URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    /// As it was written.
    text: String,
    scheme: String,
    /// With `*` for any characters.
    host: String,
    port: u16,
    path: Option<PathPrefix>,
}

/// Every Referer of a request must be one of the pages.
pub(super) fn check(
    allowed: &[RefererPattern],
    referers: GetAll<'_, HeaderValue>,
) -> Result<(), Refusal> {
    if allowed.contains(&RefererPattern::Any) {
        return Ok(());
    }
    let mut referers = referers.iter().peekable();
    let is_one = |referer: &HeaderValue| {
        let uri: Option<Uri> = referer.to_str().ok().and_then(|it| it.parse().ok());
        uri.is_some_and(|uri| allowed.iter().any(|pattern| pattern.matches(&uri)))
    };
    if referers.peek().is_none() || !referers.all(is_one) {
        return Err(Refusal::Referer);
    }
    Ok(())
}

impl RefererPattern {
    fn matches(&self, page: &Uri) -> bool {
        match self {
            Self::Any => true,
            Self::Pages(pages) => pages.contain(page),
        }
    }
}

impl RefererPattern {
    /// Whether pages of this URL's origin may be meant.
    pub(super) fn has_origin(&self, url: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Pages(pages) => url.parse().is_ok_and(|url| pages.have_origin(&url)),
        }
    }
}

impl Pages {
    fn contain(&self, page: &Uri) -> bool {
        self.have_origin(page)
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.covers(page.path()))
    }

    fn have_origin(&self, page: &Uri) -> bool {
        let (Some(scheme), Some(authority)) = (page.scheme_str(), page.authority()) else {
            return false;
        };
        let host = HostName::of_authority(authority.as_str());
        let port = authority.port_u16().unwrap_or(default_port(scheme));
        scheme.eq_ignore_ascii_case(&self.scheme)
            && port == self.port
            && matches_wildcards(&self.host, host.as_str())
    }
}

/// Whether the text is the pattern with something, at least one character, in place of each `*`.
fn matches_wildcards(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(behind) = text.strip_prefix(start) else {
        return false;
    };
    behind
        .char_indices()
        .skip(1)
        .map(|(at, _)| at)
        .chain((!behind.is_empty()).then_some(behind.len()))
        .any(|at| {
            behind
                .get(at..)
                .is_some_and(|behind| matches_wildcards(rest, behind))
        })
}

impl fmt::Display for RefererPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Pages(pages) => f.write_str(&pages.text),
        }
    }
}

impl FromStr for RefererPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        pages(text)
            .map(Self::Pages)
            .ok_or("write the page's URL, like https://maps.example.com/viewer or https://*.example.com, or `*` for all")
    }
}

fn pages(text: &str) -> Option<Pages> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = HostName::of_authority(authority);
    let behind_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, port)| port);
    let port = match behind_host.rsplit_once(':') {
        Some((_, port)) => port.parse().ok()?,
        None => default_port(&scheme),
    };
    let is_usable = matches!(scheme.as_str(), "http" | "https")
        && !host.as_str().is_empty()
        && !authority.contains('@')
        // Each adds a dimension to the search; no list has more.
        && authority.matches('*').count() <= 2;
    let path = match path {
        "" | "/" => None,
        // The slash at its end says that there is more behind it, as whole segments do.
        path => Some(PathPrefix::try_new(path.strip_suffix('*').unwrap_or(path)).ok()?),
    };
    is_usable.then(|| Pages {
        text: text.to_owned(),
        scheme,
        host: host.as_str().to_owned(),
        port,
        path,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header::REFERER};

    use super::*;

    fn may(allowed: &[&str], referers: &[&str]) -> bool {
        let allowed: Vec<RefererPattern> = allowed.iter().map(|it| it.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for referer in referers {
            headers.append(REFERER, referer.parse().unwrap());
        }
        check(&allowed, headers.get_all(REFERER)).is_ok()
    }

    #[test]
    fn scheme_host_and_port_must_be_those_of_the_entry() {
        let allowed = ["https://maps.example.com"];
        for page in [
            "https://maps.example.com/",
            "https://maps.example.com",
            "https://MAPS.example.com:443/viewer?a#b",
        ] {
            assert!(may(&allowed, &[page]), "{page}");
        }
        for page in [
            "http://maps.example.com/",
            "https://maps.example.com:8443/",
            "https://maps.example.com.evil.example/",
            "https://maps.example.com@evil.example/",
            "https://evil.example/https://maps.example.com/",
            "maps.example.com",
            "",
        ] {
            assert!(!may(&allowed, &[page]), "{page}");
        }
        assert!(!may(&allowed, &[]));
        assert!(!may(
            &allowed,
            &["https://maps.example.com/", "https://evil.example/"]
        ));
    }

    #[test]
    fn a_path_is_compared_where_the_entry_has_one() {
        let allowed = ["https://maps.example.com/viewer/"];
        for (page, is_one) in [
            ("https://maps.example.com/viewer", true),
            ("https://maps.example.com/viewer/index.html", true),
            ("https://maps.example.com/viewer2", false),
            ("https://maps.example.com/viewer/../other", false),
            ("https://maps.example.com/", false),
        ] {
            assert_eq!(may(&allowed, &[page]), is_one, "{page}");
        }
    }

    #[test]
    fn a_host_may_have_wildcards() {
        for (entry, page, is_one) in [
            ("https://*.example.com", "https://a.example.com/", true),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("https://*.example.com", "https://.example.com/", false),
            (
                "https://*.example.com",
                "https://evil.example/.example.com/",
                false,
            ),
            (
                "https://*.example.com",
                "https://a.example.com.evil.example/",
                false,
            ),
            ("https://gis*.example.*", "https://gis1.example.org/", true),
            ("http://*:8080/app", "http://anything:8080/app/x", true),
            ("http://*:8080/app", "http://anything/app/x", false),
            ("https://[::1]:8443", "https://[::1]:8443/", true),
        ] {
            assert_eq!(may(&[entry], &[page]), is_one, "{entry} {page}");
        }
    }

    #[test]
    fn a_star_lets_all_through_and_those_without_a_referer() {
        assert!(may(&["*"], &[]));
        assert!(may(
            &["https://maps.example.com", "*"],
            &["https://evil.example/"]
        ));
    }

    #[test]
    fn what_names_no_page_is_refused() {
        for text in [
            "",
            "maps.example.com",
            "ftp://maps.example.com",
            "https://",
            "https://u@h",
            "https://h:x",
            "https://***",
        ] {
            assert!(text.parse::<RefererPattern>().is_err(), "{text}");
        }
    }
}
