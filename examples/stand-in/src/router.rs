//! Which part of the server a request is for.

use std::io;
use std::net::IpAddr;

use http::header::SET_COOKIE;
use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::challenge::{self, Demand};
use crate::challenge_shape::ChallengeShape;
use crate::control;
use crate::export;
use crate::gate;
use crate::legacy;
use crate::pages;
use crate::personality::Personality;
use crate::prefixes::{SERVICES, covers};
use crate::presented_token::PresentedToken;
use crate::request_parts::{Fields, RequestBody, RequestHead};
use crate::resources;
use crate::server::Answers;
use crate::services::{Access, Refusal};
use crate::state::{State, lock};
use crate::token_service::{self, EndPoint};
use crate::tokens::Standing;

impl Answers for State {
    /// Answers one request. An error breaks the connection off.
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> io::Result<Answer> {
        let mut head = self.host.head(&request, peer);
        let body = request.into_body();
        if covers("/stand-in", &head.path) {
            return Ok(control::answer(self, &head, body).await);
        }
        self.host.note(&mut head);
        self.count(|counters| counters.requests += 1);
        if let Some(answer) = self.host.preflight(&head) {
            return Ok(self.host.finish(&head, answer));
        }
        let answer = route(self, &head, body).await?;
        Ok(self.host.finish(&head, answer))
    }
}

async fn route(state: &State, head: &RequestHead, body: Incoming) -> io::Result<Answer> {
    let path = head.path.as_str();
    if state.personality.lacks(path) {
        return Ok(not_there(state, head, body).await);
    }
    match path {
        "/arcgis/rest/info" => Ok(info(state)),
        "/arcgis/tokens" | "/arcgis/tokens/" if state.personality == Personality::Legacy => {
            legacy::tokens(state, head, body).await
        }
        "/arcgis/tokens" | "/arcgis/tokens/" => Ok(answer::html(pages::token_service())),
        "/arcgis/tokens/generateToken" => {
            token_service::generate(state, head, body, EndPoint::Services).await
        }
        "/arcgis/admin/generateToken" => {
            token_service::generate(state, head, body, EndPoint::Admin).await
        }
        "/arcgis/rest/login" if head.method == Method::POST => {
            token_service::sign_in(state, head, body).await
        }
        "/arcgis/rest/login" => Ok(answer::html(pages::login_page(
            head.query
                .get("redirect")
                .unwrap_or("/arcgis/rest/services"),
        ))),
        "/arcgis/sharing/rest/oauth2/authorize" => {
            Ok(answer::html(pages::oauth_sign_in("/arcgis")))
        }
        "/arcgis/admin" => Ok(answer::redirect(&format!(
            "{}/arcgis/admin/",
            head.origin()
        ))),
        _ if covers("/arcgis/admin", path) => admin(state, head, body).await,
        _ if covers(export::OUTPUT, path) => Ok(export::output(state, path)),
        _ if covers(SERVICES, path) => service(state, head, body).await,
        _ => Ok(not_there(state, head, body).await),
    }
}

/// 404. The body is read all the same: the journal is to show what was sent astray.
async fn not_there(state: &State, head: &RequestHead, body: Incoming) -> Answer {
    state.host.read(head, body).await;
    answer::not_found()
}

fn info(state: &State) -> Answer {
    state.count(|counters| counters.info_requests += 1);
    let minutes = lock(&state.settings).token_lifetime.as_secs().div_ceil(60);
    let info = lock(&state.info);
    if info.present {
        answer::json(&info.json(minutes))
    } else {
        answer::not_found()
    }
}

/// Finds the token of a request, counts what is to be counted, and says whose it is or what is wrong with it.
fn judge(state: &State, head: &RequestHead, presented: &PresentedToken) -> Result<String, Demand> {
    let Some(token) = &presented.token else {
        return Err(Demand::Required);
    };
    state.count(|counters| {
        counters.signed_requests += 1;
        counters.conflicting_tokens += u64::from(presented.conflicting);
    });
    match standing(state, head, token) {
        Standing::Good { user } => Ok(user),
        Standing::Dead => Err(Demand::Invalid),
        Standing::WrongReferer => {
            state.count(|counters| counters.referer_mismatches += 1);
            Err(Demand::Invalid)
        }
        Standing::WrongAddress => {
            state.count(|counters| counters.address_mismatches += 1);
            Err(Demand::Invalid)
        }
    }
}

/// What a token is worth here: as one of the server's own, or as one the portal vouches for.
fn standing(state: &State, head: &RequestHead, token: &str) -> Standing {
    let now = state.host.clock.now();
    let own = lock(&state.host.tokens).standing(token, head.caller(), now);
    let takes_portal_tokens = lock(&state.settings).takes_portal_tokens;
    match (own, &state.portal) {
        (Standing::Dead, Some(portal)) if takes_portal_tokens => {
            portal.standing(token, head.caller())
        }
        (Standing::Dead, Some(portal)) => portal.key_standing(token, head.caller()),
        (own, _) => own,
    }
}

fn challenge(state: &State, shape: ChallengeShape, demand: Demand, head: &RequestHead) -> Answer {
    state.count(|counters| counters.challenges += 1);
    challenge::render(shape, demand, head)
}

/// The administrator API: its own error shape, and deaf to tokens in forms.
async fn admin(state: &State, head: &RequestHead, body: Incoming) -> io::Result<Answer> {
    state.host.read(head, body).await;
    let presented = PresentedToken::find(head, &Fields::default());
    Ok(match judge(state, head, &presented) {
        Ok(_) => answer::json(&json!({ "status": "success", "currentVersion": 10.91 })),
        Err(demand) => challenge(state, ChallengeShape::AdminJson, demand, head),
    })
}

async fn service(state: &State, head: &RequestHead, body: Incoming) -> io::Result<Answer> {
    state.count(|counters| counters.service_requests += 1);
    gate::pass(&state.services_held).await;

    let body = if !head.path.ends_with("/early") {
        state.host.read(head, body).await
    } else {
        if head.query.get("hold") == Some("true") {
            // Kept but not read: a dropped body would be drained (HTTP/1) or reset (HTTP/2).
            lock(&state.unread).push(body);
        }
        RequestBody::unread()
    };
    if !body.complete {
        return Ok(answer::status(
            answer::error(400, "The request body broke off"),
            400,
        ));
    }

    let found = lock(&state.services).find(&head.path);
    let presented = PresentedToken::find(head, &body.form);
    let judged = judge(state, head, &presented);
    let Some((tail, access)) = found else {
        return Ok(unpublished(state, head));
    };

    let checked = access == Access::Secured
        || (presented.token.is_some() && lock(&state.settings).public_checks_tokens);
    if checked {
        let shape = lock(&state.services).shape(&head.path);
        let user = match &judged {
            Ok(user) => user,
            Err(demand) => return Ok(challenge(state, shape, *demand, head)),
        };
        let refusal = lock(&state.services).refusal(user, &head.path);
        match refusal {
            Some(Refusal::TokenRequired) => {
                return Ok(challenge(state, shape, Demand::Required, head));
            }
            Some(Refusal::Forbidden) => return Ok(challenge::forbidden()),
            None => {}
        }
    }

    let canned = lock(&state.services).answer(&head.path);
    let mut answer = match canned {
        Some(canned) => {
            let (parts, body) = canned.into_parts();
            let mut answer = answer::bytes(answer::JSON, body);
            *answer.status_mut() = parts.status;
            *answer.headers_mut() = parts.headers;
            answer
        }
        None => resources::answer(state, head, &body, tail, judged.as_deref().ok()),
    };
    if let Some(token) = &presented.token {
        if lock(&state.settings).set_cookies {
            for cookie in [
                format!("agstoken={token}; Path=/arcgis/rest; HttpOnly"),
                format!("esri_auth=%7B%22token%22%3A%22{token}%22%7D; Path=/"),
                format!("esri_aopc={token}; Path=/; HttpOnly"),
                "AGS_ROLES=\"x\"; Path=/arcgis".to_owned(),
            ] {
                answer = answer::with_header(answer, SET_COOKIE, &cookie);
            }
        }
    }
    Ok(answer)
}

/// The directory, or a service that is not there.
fn unpublished(state: &State, head: &RequestHead) -> Answer {
    let path = head.path.trim_end_matches('/');
    let services = lock(&state.services).paths();
    if path == SERVICES {
        return if resources::wants_html(head) {
            answer::html(pages::directory(&services))
        } else {
            resources::directory(&services)
        };
    }
    let name = path
        .strip_prefix(SERVICES)
        .unwrap_or(path)
        .trim_start_matches('/');
    answer::error(404, &format!("Service {name} not found "))
}
