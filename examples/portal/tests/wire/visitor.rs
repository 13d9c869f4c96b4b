//! A browser without a screen: keeps cookies, follows no redirect, and sends what a test wants sent.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::support::Running;

pub(crate) struct Visitor {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: String,
    /// `name=value`
    pub(crate) cookie: Option<String>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header(LOCATION)
    }

    /// The token in the page's form.
    pub(crate) fn form_token(&self) -> &str {
        let (_, behind) = self
            .text()
            .split_once(r#"name="form_token" value=""#)
            .unwrap();
        behind.split_once('"').unwrap().0
    }

    pub(crate) fn is_png(&self) -> bool {
        self.status == StatusCode::OK
            && self.header(CONTENT_TYPE) == "image/png"
            && self.body.starts_with(b"\x89PNG")
    }
}

impl Visitor {
    pub(crate) fn of(running: &Running) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            origin: running.url(""),
            cookie: None,
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn get_page(&mut self, path: &str) -> Answer {
        let header = ("sec-fetch-mode", "navigate");
        self.send(Method::GET, path, &[header], "").await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let header = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, path, &[header], &form).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = self
            .client
            .request(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = answer.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            self.keep(cookie);
        }
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    fn keep(&mut self, cookie: &HeaderValue) {
        let cookie = cookie.to_str().unwrap();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let is_removed = attributes.contains("Max-Age=0");
        self.cookie = (!is_removed).then(|| pair.to_owned());
    }

    /// Opens the login page and sends its form.
    pub(crate) async fn sign_in(&mut self, (name, password): (&str, &str)) -> Answer {
        let page = self.get("/sign-in").await;
        let fields = [
            ("form_token", page.form_token()),
            ("name", name),
            ("password", password),
        ];
        self.post("/sign-in", &fields).await
    }

    /// Signs in, and fails where that does not work.
    pub(crate) async fn signed_in(running: &Running, who: (&str, &str)) -> Self {
        let mut visitor = Self::of(running);
        let answer = visitor.sign_in(who).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        visitor
    }

    pub(crate) async fn sign_out(&mut self) -> Answer {
        let page = self.get_page("/").await;
        let fields = [("form_token", page.form_token())];
        self.post("/sign-out", &fields).await
    }
}
