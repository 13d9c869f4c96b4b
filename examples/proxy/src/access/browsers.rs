//! What browsers say of the page that asks. A page can make its visitor's browser ask the proxy, and cannot change this.

use std::net::SocketAddr;

use http::{
    HeaderValue,
    header::{HOST, ORIGIN, REFERER},
    request::Parts,
};

use crate::{
    access::{
        host_name::{HostName, host_of, is_loopback_name},
        referers::RefererPattern,
        web_origin::{AllowedOrigin, WebOrigin},
    },
    headers::{Present, SEC_FETCH_SITE},
    refusal::Refusal,
};

/// The rules for requests of browsers. Other programs send none of these headers, and pass.
#[derive(Debug)]
pub(super) struct Browsers {
    /// The address that the proxy listens at, where that is loopback's.
    loopback: Option<String>,
    public_hosts: Vec<HostName>,
    allowed: Vec<AllowedOrigin>,
    /// Pages whose origins are allowed too.
    pages: Vec<RefererPattern>,
}

impl Browsers {
    pub(super) fn new(
        listen: SocketAddr,
        public_hosts: Vec<HostName>,
        allowed: Vec<AllowedOrigin>,
        pages: Vec<RefererPattern>,
    ) -> Self {
        let is_loopback = listen.ip().to_canonical().is_loopback();
        Self {
            loopback: is_loopback.then(|| listen.to_string()),
            public_hosts,
            allowed,
            pages,
        }
    }

    pub(super) fn allows_any(&self) -> bool {
        self.allowed.contains(&AllowedOrigin::Any) || self.pages.contains(&RefererPattern::Any)
    }

    pub(super) fn check(&self, head: &Parts, present: Present) -> Result<(), Refusal> {
        if let Some(own) = &self.loopback {
            if !authorities(head).all(|host| host == own || self.is_own(host_of(host))) {
                return Err(Refusal::Host);
            }
        }
        if !present.has(Present::PAGE) {
            return Ok(());
        }
        let mut is_cross_site = false;
        let mut is_own_page = None;
        for site in head.headers.get_all(&SEC_FETCH_SITE) {
            let is_own = site == "same-origin" || site == "none";
            is_own_page = Some(is_own && is_own_page.unwrap_or(true));
            is_cross_site |= site == "cross-site";
        }
        if is_own_page == Some(true) {
            return Ok(());
        }
        let mut origins = head.headers.get_all(ORIGIN).iter().peekable();
        if origins.peek().is_some() {
            return if origins.all(|origin| self.origin_may(origin, head)) {
                Ok(())
            } else {
                Err(Refusal::Origin)
            };
        }
        // Images and links have no Origin, but mostly a Referer.
        let may = |page: Option<&HeaderValue>| match page {
            Some(page) => self.origin_may(page, head),
            None => self.allows_any(),
        };
        if is_cross_site && !may(head.headers.get(REFERER)) {
            return Err(Refusal::CrossSite);
        }
        Ok(())
    }

    /// Whether the pages of the origin that a URL has may ask.
    pub(super) fn origin_may(&self, url: &HeaderValue, head: &Parts) -> bool {
        if self.allows_any() {
            return true;
        }
        let Ok(url) = url.to_str() else {
            return false;
        };
        let Some(origin) = WebOrigin::of(url) else {
            return false;
        };
        if self.pages.iter().any(|page| page.has_origin(url)) {
            return true;
        }
        let own = |host: &HostName| {
            self.public_hosts.contains(host) || authorities(head).any(|it| host.is(host_of(it)))
        };
        (origin.is_web()
            && (own(origin.host())
                || (self.loopback.is_some() && is_loopback_name(origin.host().as_str()))))
            || self.allowed.contains(&AllowedOrigin::One(origin))
    }

    fn is_own(&self, host: &str) -> bool {
        is_loopback_name(host) || self.public_hosts.iter().any(|public| public.is(host))
    }
}

/// The hosts that a request is for: HTTP/2 has it in the URI, HTTP/1 in `Host`, and some requests in both.
fn authorities(head: &Parts) -> impl Iterator<Item = &str> {
    let in_headers = head
        .headers
        .get_all(HOST)
        .iter()
        // What is not text is no host.
        .map(|host| host.to_str().unwrap_or("?"));
    head.uri
        .authority()
        .map(|authority| authority.as_str())
        .into_iter()
        .chain(in_headers)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const HERE: (&str, &str) = ("host", "127.0.0.1:8080");

    fn browsers(on_loopback: bool, public: &[&str], allowed: &[&str]) -> Browsers {
        let listen = if on_loopback {
            "127.0.0.1:8080"
        } else {
            "10.0.0.5:8080"
        };
        Browsers::new(
            listen.parse().unwrap(),
            public.iter().map(|name| name.parse().unwrap()).collect(),
            allowed
                .iter()
                .map(|origin| origin.parse().unwrap())
                .collect(),
            Vec::new(),
        )
    }

    fn check(rules: &Browsers, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut request = Request::get("/a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        rules
            .check(&head, Present::of(&head.headers))
            .map_err(|refusal| format!("{refusal:?}"))
    }

    #[test]
    fn on_loopback_only_its_own_names_are_served() {
        let rules = browsers(true, &["maps.example.com"], &[]);
        for host in [
            "localhost",
            "127.0.0.1:8080",
            "[::1]:8080",
            "app.localhost",
            "Maps.example.com:80",
        ] {
            assert_eq!(check(&rules, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "maps.example.com.evil.example",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(
                check(&rules, &[("host", host)]),
                Err("Host".to_owned()),
                "{host}"
            );
        }
        assert_eq!(
            check(&rules, &[("host", "localhost"), ("host", "evil.example")]),
            Err("Host".to_owned())
        );
        assert_eq!(check(&rules, &[]), Ok(()));
        assert_eq!(
            check(&browsers(false, &[], &[]), &[("host", "evil.example")]),
            Ok(())
        );
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let rules = browsers(true, &[], &["https://maps.example.com"]);
        for (origin, may) in [
            ("https://maps.example.com", true),
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("https://evil.example", false),
            ("https://maps.example.com:8443", false),
            ("http://maps.example.com", false),
            ("capacitor://localhost", false),
            ("null", false),
            ("", false),
        ] {
            let refused = if may {
                Ok(())
            } else {
                Err("Origin".to_owned())
            };
            assert_eq!(
                check(&rules, &[HERE, ("origin", origin)]),
                refused,
                "{origin}"
            );
        }
        let both = [
            HERE,
            ("origin", "http://localhost"),
            ("origin", "https://evil.example"),
        ];
        assert_eq!(check(&rules, &both), Err("Origin".to_owned()));
    }

    #[test]
    fn a_page_of_the_proxys_own_host_may_ask() {
        let rules = browsers(false, &["maps.example.com"], &[]);
        let host = ("host", "10.0.0.5:8080");
        for (origin, may) in [
            ("http://10.0.0.5", true),
            ("https://maps.example.com", true),
            ("http://localhost:3000", false),
            ("https://evil.example", false),
        ] {
            assert_eq!(
                check(&rules, &[host, ("origin", origin)]).is_ok(),
                may,
                "{origin}"
            );
        }
    }

    #[test]
    fn the_browsers_word_that_the_page_is_the_proxys_own_is_enough() {
        let rules = browsers(false, &[], &[]);
        for site in ["same-origin", "none"] {
            let headers = [
                ("sec-fetch-site", site),
                ("origin", "https://maps.example.com"),
            ];
            assert_eq!(check(&rules, &headers), Ok(()), "{site}");
        }
    }

    #[test]
    fn an_image_in_a_page_of_another_site_is_refused_unless_its_referer_may() {
        let rules = browsers(true, &[], &["https://maps.example.com"]);
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(check(&rules, &[HERE, cross]), Err("CrossSite".to_owned()));
        for (page, may) in [
            ("https://maps.example.com/viewer/", true),
            ("http://localhost:3000/", true),
            ("https://evil.example/", false),
            ("about:blank", false),
        ] {
            assert_eq!(
                check(&rules, &[HERE, cross, ("referer", page)]).is_ok(),
                may,
                "{page}"
            );
        }
        assert_eq!(
            check(&rules, &[HERE, ("sec-fetch-site", "same-site")]),
            Ok(())
        );
        assert_eq!(check(&browsers(true, &[], &["*"]), &[HERE, cross]), Ok(()));
    }
}
