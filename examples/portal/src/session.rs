//! What a browser's session holds: the forms' token against forgery, and who is signed in.

use axum::{
    extract::FromRequestParts,
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use form_urlencoded::byte_serialize;
use subtle::ConstantTimeEq;
use tower_arcgis_auth::Identity;
use tower_sessions::{
    Expiry, Session,
    cookie::time::{Duration, OffsetDateTime},
    session::{Error, Id},
};

use crate::{next::HOME, people::Person, portal::Shared};

const FORM_TOKEN: &str = "form_token";
const IDENTITY: &str = "identity";

/// The token that this session's forms carry; other sites cannot read it, and so cannot send the forms.
pub(crate) async fn form_token(session: &Session) -> Result<String, Error> {
    if let Some(token) = session.get(FORM_TOKEN).await? {
        return Ok(token);
    }
    new_form_token(session).await
}

async fn new_form_token(session: &Session) -> Result<String, Error> {
    let token = Id::default().to_string();
    session.insert(FORM_TOKEN, &token).await?;
    Ok(token)
}

/// Whether a form came from a page that this session was shown.
pub(crate) async fn is_own_form(session: &Session, token: &str) -> Result<bool, Error> {
    let own: Option<String> = session.get(FORM_TOKEN).await?;
    Ok(own.is_some_and(|own| own.as_bytes().ct_eq(token.as_bytes()).into()))
}

/// Makes the session one of `person`'s. Its id and its forms' token are new: whoever knew the old ones knows nothing.
pub(crate) async fn begin(
    session: &Session,
    person: &Person,
    life: std::time::Duration,
) -> Result<(), Error> {
    session.cycle_id().await?;
    new_form_token(session).await?;
    session.insert(IDENTITY, person.identity.as_str()).await?;
    let life = Duration::try_from(life).unwrap_or(Duration::MAX);
    let end = OffsetDateTime::now_utc().saturating_add(life);
    session.set_expiry(Some(Expiry::AtDateTime(end)));
    Ok(())
}

/// Who the session says is signed in, whether that is still so or not.
pub(crate) async fn identity(session: &Session) -> Result<Option<Identity>, Error> {
    let identity: Option<String> = session.get(IDENTITY).await?;
    Ok(identity.map(Identity::from))
}

/// The person who asks. Others are led to the login page, or refused where they asked for something else than a page.
pub(crate) struct SignedIn(pub(crate) Person);

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, shared)
            .await
            .map_err(IntoResponse::into_response)?;
        let identity = identity(&session).await.map_err(failed)?;
        if let Some(person) = identity.and_then(|identity| shared.people.get(&identity)) {
            return Ok(Self(person));
        }
        if !is_page(parts) {
            return Err((StatusCode::FORBIDDEN, "Sign in first.\n").into_response());
        }
        let asked = parts.uri.path_and_query();
        let asked = asked.map_or(HOME, |asked| asked.as_str());
        let next: String = byte_serialize(asked.as_bytes()).collect();
        Err(Redirect::to(&format!("/sign-in?next={next}")).into_response())
    }
}

/// Whether a browser asks for a page to show, and not for an image in one.
fn is_page(parts: &Parts) -> bool {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    parts.method == Method::GET
        && match header("sec-fetch-mode") {
            Some(mode) => mode == "navigate",
            None => header("accept").is_some_and(|types| types.contains("text/html")),
        }
}

/// A session that cannot be read or written.
pub(crate) fn failed(error: Error) -> Response {
    tracing::error!(%error, "a session cannot be read or written");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "The session cannot be read.\n",
    )
        .into_response()
}
