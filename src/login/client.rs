//! The HTTP client that logins use: any tower service, its type erased, its answers bounded.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::Instant;
use tower_service::Service;

use super::{answer::Failure, in_minutes};
use crate::{
    error::{BoxError, TokenError},
    guard::LoginAttempt,
    token::TokenBinding,
    url::redact,
};

/// Answers of token services are 100 to 2,000 bytes, `rest/info` likewise. A longer one comes from something else.
const LONGEST_ANSWER: usize = 64 * 1024;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Unanswered>> + Send>>;

/// The HTTP client that logins use, apart from the one that the layer wraps.
///
/// Unless you give one, the layer makes one (feature `client`): rustls with the platform's root certificates; it follows no
/// redirects and takes no proxy from the environment. Yours must verify certificates and must not follow redirects either: a
/// redirect would take the password to another host. It must not send through the layer that it serves.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site, TokenClient};
///
/// // Any `Service<Request<Full<Bytes>>>` does: hyper-util's client, a tower stack, a fake.
/// let client = tower::service_fn(|request: Request<Full<Bytes>>| async move {
///     println!("{} {}", request.method(), request.uri());
///     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from_static(b"{}"))))
/// });
/// let layer = ArcgisAuthLayer::builder()
///     .add_site(Site::new("https://gis.example.com/arcgis").credential(Credential::user("u", "p")))
///     .token_client(TokenClient::new(client))
///     .build()
///     .unwrap();
/// # drop(layer);
/// ```
#[derive(Clone)]
pub struct TokenClient {
    client: Arc<dyn DynClient>,
}

impl TokenClient {
    /// A client from any tower service. Each request gets a clone of it, which is polled ready first.
    pub fn new<C, B>(client: C) -> Self
    where
        C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self {
            client: Arc::new(Erased(client)),
        }
    }

    /// Sends one request and returns its answer with the whole body, of 64 KiB at most. It has no time limit of its own.
    ///
    /// # Errors
    ///
    /// A [fault](TokenError::fault) where the server cannot be reached, or its answer breaks off or is longer. It names the
    /// request's URL without the query, never its body.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, TokenError> {
        self.client
            .send(request)
            .await
            .map_err(|failure| failure.error)
    }

    /// Makes one login: sends `request`, in which the credential of the `attempt` is, and says there what came of it. `read`
    /// takes the token out of the answer.
    pub(super) async fn log_in<T>(
        &self,
        mut attempt: LoginAttempt,
        request: Request<Full<Bytes>>,
        read: impl FnOnce(&Response<Bytes>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        attempt.sent();
        let started = Instant::now();
        let answer = match self.client.send(request).await {
            Ok(answer) => answer,
            Err(unanswered) => {
                if unanswered.is_unconnected {
                    attempt.no_verdict();
                }
                return Err(unanswered.error.into());
            }
        };
        let token = read(&answer);
        match &token {
            Ok(_) => attempt.succeeded(),
            // A dropped attempt counts as one whose outcome is unknown.
            Err(_) if is_given_up(answer.status(), started.elapsed()) => drop(attempt),
            Err(failure) if failure.error.is_refused() && !failure.is_about_lifetime => {
                attempt.refused(&failure.error);
            }
            Err(_) => attempt.no_verdict(),
        }
        token
    }
}

/// Whether a gateway gave up on the token service behind it, which may have counted a failure by then. IIS and Apache
/// answer 502 in that case too, and at once where nothing is behind them.
fn is_given_up(status: StatusCode, after: Duration) -> bool {
    status == StatusCode::GATEWAY_TIMEOUT
        || (status == StatusCode::BAD_GATEWAY && after >= LONGER_THAN_AT_ONCE)
}

const LONGER_THAN_AT_ONCE: Duration = Duration::from_secs(2);

/// Why there is no answer.
struct Unanswered {
    error: TokenError,
    /// The request was not sent.
    is_unconnected: bool,
}

/// Whether a client's error is about making the connection. An unknown error is not.
fn is_unconnected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        #[cfg(feature = "client")]
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        let is_refused = error.downcast_ref().is_some_and(|error: &io::Error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
            )
        });
        if is_refused {
            return true;
        }
        cause = error.source();
    }
    false
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient").finish_non_exhaustive()
    }
}

trait DynClient: Send + Sync {
    fn send(&self, request: Request<Full<Bytes>>) -> Answer;
}

struct Erased<C>(C);

impl<C, B> DynClient for Erased<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let mut client = self.0.clone();
        let place = redact(request.uri());
        Box::pin(async move {
            let unreachable = |error: C::Error, is_sent: bool| {
                let error: BoxError = error.into();
                let is_unconnected = !is_sent || is_unconnected(&*error);
                let message =
                    format!("{place} cannot be reached; check the URL and that the server is up");
                Unanswered {
                    error: TokenError::fault(message).with_source(error),
                    is_unconnected,
                }
            };
            std::future::poll_fn(|context| client.poll_ready(context))
                .await
                .map_err(|error| unreachable(error, false))?;
            let response = client.call(request).await;
            let response = response.map_err(|error| unreachable(error, true))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            let body = body.map_err(|error| {
                let message = format!(
                    "the answer of {place} broke off or is longer than a token service's; check the URL"
                );
                Unanswered {
                    error: TokenError::fault(message).with_source(error),
                    is_unconnected: false,
                }
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        })
    }
}

pub(super) fn get(uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    request.headers_mut().insert(
        header::ACCEPT,
        http::HeaderValue::from_static("application/json"),
    );
    request
}

/// Puts on a token request what its token is bound to: some servers compare the header with the parameter.
pub(super) fn bind<B>(request: &mut Request<B>, binding: &TokenBinding) -> Result<(), TokenError> {
    let referer = binding
        .referer()
        .map_err(|error| TokenError::fault(error.to_string()))?;
    if let Some(referer) = referer {
        request.headers_mut().insert(header::REFERER, referer);
    }
    Ok(())
}

/// A form, encoded pair by pair.
#[derive(Default)]
pub(super) struct Form {
    text: String,
}

impl Form {
    pub(super) fn pair(self, name: &str, value: &str) -> Self {
        let mut text = form_urlencoded::Serializer::for_suffix(self.text, 0);
        text.append_pair(name, value);
        Self {
            text: text.finish(),
        }
    }

    /// What the token is bound to, as `generateToken` has it.
    pub(super) fn bound_to(self, binding: &TokenBinding) -> Self {
        match binding {
            TokenBinding::Referer(referer) => {
                self.pair("client", "referer").pair("referer", referer)
            }
            TokenBinding::Ip(address) => self.pair("client", "ip").pair("ip", &address.to_string()),
            TokenBinding::RequestIp => self.pair("client", "requestip"),
        }
    }

    /// How long the token is asked for, if that is said.
    pub(super) fn lasting(self, lifetime: Option<Duration>) -> Self {
        match lifetime {
            Some(lifetime) => self.pair("expiration", &in_minutes(lifetime)),
            None => self,
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

pub(super) fn post_form(uri: Uri, form: Form) -> Request<Full<Bytes>> {
    let form = form.text;
    let mut request = get(uri);
    *request.method_mut() = http::Method::POST;
    request.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    *request.body_mut() = Full::new(Bytes::from(form));
    request
}
