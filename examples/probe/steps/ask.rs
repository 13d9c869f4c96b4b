//! Asking: a URL without a token, and through the layer.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, RequestFacts, Site, SiteReport, SkipReason};

use super::{
    answer::{Answer, Kind, without},
    option_names::in_options,
    reach::{Http, Reach, chain},
};

/// More than a login may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of an answer is read.
const ENOUGH: usize = 64 * 1024;

/// What came of a login.
pub(crate) struct Login {
    /// A token was had.
    pub(crate) works: bool,
    /// The token service refused the credential.
    pub(crate) refused: bool,
    /// The layer's own words, with the probe's options.
    pub(crate) says: String,
}

/// What to ask: the URL, without the token in it; or, where it names nothing that wants one, something at its
/// site that may.
pub(crate) fn target(url: &str, site_report: &SiteReport) -> Uri {
    let url = url.split('#').next().unwrap_or_default();
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let query: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.to_ascii_lowercase().starts_with("token="))
        .collect();
    let root = site_report.root();
    let path = |url: &str| url.parse::<Uri>().map(|uri| uri.path().to_owned());
    let path_of_root = path(root).unwrap_or_default();
    let path = path(place).unwrap_or_default();
    let behind_root = path.get(path_of_root.trim_end_matches('/').len()..);
    if names_something(behind_root.unwrap_or_default()) {
        let question = if query.is_empty() { "" } else { "?" };
        if let Ok(uri) = format!("{place}{question}{}", query.join("&")).parse() {
            return uri;
        }
    }
    let something = if is_portal(site_report) {
        "sharing/rest/portals/self"
    } else {
        "rest/services"
    };
    format!("{root}/{something}?f=json")
        .parse()
        .unwrap_or_default()
}

/// Whether the server describes itself where portals do.
pub(crate) fn is_portal(site_report: &SiteReport) -> bool {
    let at = site_report.info_url().unwrap_or_default();
    at.ends_with("/sharing/rest/info")
}

/// Whether a path behind a site's root is that of a service, an item or the like, and no end point of logins.
fn names_something(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    match segments.as_slice() {
        ["rest", "services", _, ..] | ["services", _, ..] => true,
        ["sharing", "rest", at, ..] => !matches!(*at, "info" | "generatetoken" | "oauth2"),
        ["admin", at, ..] => !matches!(*at, "login" | "generatetoken"),
        _ => false,
    }
}

/// A URL as it may be shown.
pub(crate) fn shown(uri: &Uri) -> String {
    uri.to_string()
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Asks without a token. What REST answers with a page for browsers is asked again for JSON, which says more.
pub(crate) async fn without_token(reach: &Reach, uri: &Uri, secrets: &[String]) -> Answer {
    let answer = ask_plainly(reach, uri, secrets).await;
    match in_json(uri) {
        Some(in_json) if answer.kind == Kind::Page => ask_plainly(reach, &in_json, secrets).await,
        _ => answer,
    }
}

/// The URL with `f=json` behind it, if that asks for JSON where nothing else is asked for.
pub(crate) fn in_json(uri: &Uri) -> Option<Uri> {
    let path = uri.path().to_ascii_lowercase();
    let knows_formats = path.contains("/rest/") || path.contains("/admin/");
    let query = uri.query().unwrap_or_default();
    if !knows_formats || query.starts_with("f=") || query.contains("&f=") {
        return None;
    }
    let more = if uri.query().is_some() { '&' } else { '?' };
    format!("{uri}{more}f=json").parse().ok()
}

async fn ask_plainly(reach: &Reach, uri: &Uri, secrets: &[String]) -> Answer {
    let client = reach.client::<Full<Bytes>>();
    let asked = async {
        let response = client
            .request(get(uri))
            .await
            .map_err(|error| chain(&error))?;
        let (parts, body) = response.into_parts();
        Ok::<_, String>((parts, beginning(body).await))
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok((parts, body))) => {
            let facts = RequestFacts::new(&Method::GET, false);
            Answer::judge(&parts, &body, facts, secrets)
        }
        Ok(Err(error)) => Answer::unreachable(error),
        Err(_) => Answer::unreachable(no_answer()),
    }
}

/// Asks through the layer, which logs in once. The error is a setting that cannot work.
pub(crate) async fn with_login(
    reach: &Reach,
    site: Site,
    uri: Uri,
    insist: bool,
    mut secrets: Vec<String>,
) -> Result<(Login, Option<Answer>), String> {
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(reach.token_client())
        .build()
        .map_err(|error| error.to_string())?;
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let inner = Insisting {
        client: reach.client(),
        insist,
        tokens: Arc::clone(&tokens),
    };
    let asked = async {
        let response = layer.layer(inner).oneshot(get(&uri)).await;
        let (parts, body) = response.map_err(|error| chain(&*error))?.into_parts();
        let outcome = body.outcome().clone();
        Ok::<_, String>((outcome, parts, beginning(body).await))
    };
    let asked = timeout(PATIENCE, asked).await;
    secrets.extend(
        tokens
            .lock()
            .map(|tokens| tokens.clone())
            .unwrap_or_default(),
    );
    let failed = |says: String| Login {
        works: false,
        refused: false,
        says: without(in_options(&says), &secrets),
    };
    let (outcome, parts, body) = match asked {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) => return Ok((failed(error), None)),
        Err(_) => return Ok((failed(no_answer()), None)),
    };
    if let Some(skip_reason) = outcome.skip_reason() {
        let cause = skip_reason.token_error().and_then(Error::source).map(chain);
        let says = [Some(skip_reason.to_string()), cause];
        let login = Login {
            refused: matches!(skip_reason, SkipReason::LoginRefused(_)),
            ..failed(says.into_iter().flatten().collect::<Vec<_>>().join(": "))
        };
        return Ok((login, None));
    }
    let facts = RequestFacts::new(&Method::GET, true);
    let answer = Answer::judge(&parts, &body, facts, &secrets);
    let login = Login {
        works: outcome.signed(),
        refused: false,
        says: if insist {
            "signed with a fresh token".to_owned()
        } else {
            outcome.to_string()
        },
    };
    Ok((login, Some(answer)))
}

fn no_answer() -> String {
    format!("no answer within {} seconds", PATIENCE.as_secs())
}

fn get(uri: &Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri.clone();
    request
}

/// As much of a body as it takes to judge it.
async fn beginning<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < ENOUGH {
        match body.frame().await {
            Some(Ok(frame)) => read.extend(frame.into_data().unwrap_or_default()),
            Some(Err(_)) | None => break,
        }
    }
    read
}

/// The client below the layer. Of a URL that is open it asks for a token itself, so that a login is seen to work; and it
/// notes the tokens it sends, so that none is printed should a server repeat it.
#[derive(Clone)]
struct Insisting {
    client: Http<ReplayBody<Full<Bytes>>>,
    insist: bool,
    tokens: Arc<Mutex<Vec<String>>>,
}

type Sent = Response<Either<Full<Bytes>, Incoming>>;

impl Service<Request<ReplayBody<Full<Bytes>>>> for Insisting {
    type Response = Sent;
    type Error = tower_arcgis_auth::BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Sent, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        if let (Some((_, token)), Ok(mut tokens)) = (&token, self.tokens.lock()) {
            tokens.push(token.to_string());
        }
        if self.insist && token.is_none() {
            let asks = Bytes::from_static(br#"{"error":{"code":499,"message":"Token Required"}}"#);
            return Box::pin(async { Ok(Response::new(Either::Left(Full::new(asks)))) });
        }
        let client = self.client.clone();
        Box::pin(async move { Ok(client.request(request).await?.map(Either::Right)) })
    }
}
