//! Signing in and out: the login page, its form, and the way back to where the person wanted to go.

use askama::Template;
use axum::{
    extract::{Form, Query, State},
    http::{HeaderName, StatusCode},
    response::{Html, IntoResponse, Redirect, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tower_sessions::Session;

use crate::{
    login::Refused,
    next::path_or_home,
    portal::Shared,
    session::{self, failed, form_token, is_own_form},
};

/// Names that are longer are nobody's.
const LONGEST_NAME: usize = 256;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct SignInForm {
    #[serde(default)]
    form_token: String,
    name: String,
    password: SecretString,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct SignOutForm {
    #[serde(default)]
    form_token: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    form_token: &'a str,
    next: &'a str,
    name: &'a str,
    message: &'a str,
}

/// `GET /sign-in`
pub(crate) async fn form(
    State(shared): State<Shared>,
    session: Session,
    Query(wanted): Query<Wanted>,
) -> Response {
    let next = path_or_home(&wanted.next);
    match session::identity(&session).await {
        Ok(Some(identity)) if shared.people.get(&identity).is_some() => {
            Redirect::to(next).into_response()
        }
        Ok(_) => page(&session, StatusCode::OK, next, "", "").await,
        Err(error) => failed(error),
    }
}

/// `POST /sign-in`
pub(crate) async fn sign_in(
    State(shared): State<Shared>,
    session: Session,
    Form(form): Form<SignInForm>,
) -> Response {
    let next = path_or_home(&form.next).to_owned();
    let name = form.name.trim().to_owned();
    match is_own_form(&session, &form.form_token).await {
        Ok(true) => {}
        Ok(false) => {
            let message = "This page was open for too long. Please try again.";
            return page(&session, StatusCode::FORBIDDEN, &next, &name, message).await;
        }
        Err(error) => return failed(error),
    }
    if name.is_empty() || form.password.expose_secret().is_empty() {
        let message = "Type your user name and your password.";
        return page(&session, StatusCode::FORBIDDEN, &next, &name, message).await;
    }
    let pending = |person| shared.pending(person);
    let signed_in = if name.len() > LONGEST_NAME {
        Err(Refused::Password)
    } else {
        shared
            .check
            .sign_in(name.clone(), form.password, pending)
            .await
    };
    let pending = match signed_in {
        Ok(pending) => pending,
        Err(refused) => {
            let (status, message) = in_words(refused);
            return page(&session, status, &next, &name, message).await;
        }
    };
    // Who signs in as another person is the first one no longer.
    match session::identity(&session).await {
        Ok(Some(before)) => shared.end(&before).await,
        Ok(None) => {}
        Err(error) => return failed(error),
    }
    if let Err(error) = session::begin(&session, pending.person(), shared.session_life).await {
        return failed(error);
    }
    pending.keep();
    tracing::info!(?name, "signed in");
    Redirect::to(&next).into_response()
}

/// `POST /sign-out`
pub(crate) async fn sign_out(
    State(shared): State<Shared>,
    session: Session,
    Form(form): Form<SignOutForm>,
) -> Response {
    match is_own_form(&session, &form.form_token).await {
        Ok(true) => {}
        Ok(false) => {
            let message = "This page is an old one. Load it again to sign out.\n";
            return (StatusCode::FORBIDDEN, message).into_response();
        }
        Err(error) => return failed(error),
    }
    match session::identity(&session).await {
        Ok(Some(identity)) => shared.end(&identity).await,
        Ok(None) => {}
        Err(error) => return failed(error),
    }
    if let Err(error) = session.flush().await {
        return failed(error);
    }
    // Browsers forget pages they kept to go back to.
    let clear = [(HeaderName::from_static("clear-site-data"), "\"cache\"")];
    (clear, Redirect::to("/sign-in")).into_response()
}

fn in_words(refused: Refused) -> (StatusCode, &'static str) {
    match refused {
        Refused::Password => (
            StatusCode::FORBIDDEN,
            "The user name or the password is not right.",
        ),
        Refused::TooManyFailures => (
            StatusCode::FORBIDDEN,
            "There were too many wrong passwords for this user name. Try again in 15 minutes.",
        ),
        Refused::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many people sign in at this moment. Try again in a minute.",
        ),
        Refused::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Your password cannot be checked at this moment. Try again in some minutes.",
        ),
    }
}

async fn page(
    session: &Session,
    status: StatusCode,
    next: &str,
    name: &str,
    message: &str,
) -> Response {
    let form_token = match form_token(session).await {
        Ok(token) => token,
        Err(error) => return failed(error),
    };
    let page = SignInPage {
        form_token: &form_token,
        next,
        name,
        message,
    };
    show(status, &page)
}

/// A page in HTML.
pub(crate) fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
