//! Which part of the server a request is for.

use std::io;
use std::net::IpAddr;

use http::header::SET_COOKIE;
use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::asked::{Arrived, Asked, Pairs};
use crate::challenge::{self, ChallengeShape, Demand};
use crate::export;
use crate::gate;
use crate::legacy;
use crate::pages;
use crate::personality::Personality;
use crate::prefixes::{SERVICES, covers};
use crate::presented::Presented;
use crate::resources;
use crate::server::Answers;
use crate::services::{Access, Refusal};
use crate::state::{State, lock};
use crate::token_service::{self, Door};
use crate::tokens::Standing;

impl Answers for State {
    /// Answers one request. An error breaks the connection off.
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> io::Result<Answer> {
        let mut asked = self.host.head(&request, peer);
        let body = request.into_body();
        if asked.path.starts_with("/stand-in/") {
            return Ok(control(self, &asked));
        }
        self.host.note(&mut asked);
        self.count(|counters| counters.requests += 1);
        let answer = route(self, &asked, body).await?;
        Ok(self.host.finish(&asked, answer))
    }
}

async fn route(state: &State, asked: &Asked, body: Incoming) -> io::Result<Answer> {
    let path = asked.path.as_str();
    if state.personality.lacks(path) {
        return Ok(not_there(state, asked, body).await);
    }
    match path {
        "/arcgis/rest/info" => Ok(info(state)),
        "/arcgis/tokens" | "/arcgis/tokens/" if state.personality == Personality::Legacy => {
            legacy::tokens(state, asked, body).await
        }
        "/arcgis/tokens" | "/arcgis/tokens/" => Ok(answer::html(pages::token_service())),
        "/arcgis/tokens/generateToken" => {
            token_service::generate(state, asked, body, Door::Services).await
        }
        "/arcgis/admin/generateToken" => {
            token_service::generate(state, asked, body, Door::Admin).await
        }
        "/arcgis/rest/login" if asked.method == Method::POST => {
            token_service::sign_in(state, asked, body).await
        }
        "/arcgis/rest/login" => Ok(answer::html(pages::login_page(
            asked
                .query
                .get("redirect")
                .unwrap_or("/arcgis/rest/services"),
        ))),
        "/arcgis/sharing/rest/oauth2/authorize" => {
            Ok(answer::html(pages::oauth_sign_in("/arcgis")))
        }
        "/arcgis/admin" => Ok(answer::redirect(&format!(
            "{}/arcgis/admin/",
            asked.origin()
        ))),
        _ if covers("/arcgis/admin", path) => admin(state, asked, body).await,
        _ if covers(export::OUTPUT, path) => Ok(export::output(state, path)),
        _ if covers(SERVICES, path) => service(state, asked, body).await,
        _ => Ok(not_there(state, asked, body).await),
    }
}

/// 404. The body is read all the same: the journal is to show what was sent astray.
async fn not_there(state: &State, asked: &Asked, body: Incoming) -> Answer {
    state.host.read(asked, body).await;
    answer::not_found()
}

/// The little API for a person with curl.
fn control(state: &State, asked: &Asked) -> Answer {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/stand-in/revoke") => {
            answer::json(&json!({ "revoked": lock(&state.tokens).revoke_all() }))
        }
        ("GET", "/stand-in/counters") => {
            let counters = *state.counters.borrow();
            answer::json(&json!({
                "requests": counters.requests,
                "serviceRequests": counters.service_requests,
                "signedRequests": counters.signed_requests,
                "challenges": counters.challenges,
                "loginAttempts": counters.login_attempts,
                "logins": counters.logins,
                "loginRefusals": counters.login_refusals,
                "infoRequests": counters.info_requests,
                "conflictingTokens": counters.conflicting_tokens,
                "refererMismatches": counters.referer_mismatches,
                "addressMismatches": counters.address_mismatches,
                "edits": counters.edits,
                "liveTokens": lock(&state.tokens).live(state.host.clock.now()),
            }))
        }
        _ => answer::not_found(),
    }
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
fn judge(state: &State, asked: &Asked, presented: &Presented) -> Result<String, Demand> {
    let Some(token) = &presented.token else {
        return Err(Demand::Required);
    };
    state.count(|counters| {
        counters.signed_requests += 1;
        counters.conflicting_tokens += u64::from(presented.conflicting);
    });
    match standing(state, asked, token) {
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
fn standing(state: &State, asked: &Asked, token: &str) -> Standing {
    let now = state.host.clock.now();
    let own = lock(&state.tokens).standing(token, asked.caller(), now);
    let takes_portal_tokens = lock(&state.settings).takes_portal_tokens;
    match (own, &state.portal) {
        (Standing::Dead, Some(portal)) if takes_portal_tokens => {
            portal.standing(token, asked.caller())
        }
        (Standing::Dead, Some(portal)) => portal.key_standing(token, asked.caller()),
        (own, _) => own,
    }
}

fn challenge(state: &State, shape: ChallengeShape, demand: Demand, asked: &Asked) -> Answer {
    state.count(|counters| counters.challenges += 1);
    challenge::render(shape, demand, asked)
}

/// The administrator API: its own error shape, and deaf to tokens in forms.
async fn admin(state: &State, asked: &Asked, body: Incoming) -> io::Result<Answer> {
    state.host.read(asked, body).await;
    let presented = Presented::find(asked, &Pairs::default());
    Ok(match judge(state, asked, &presented) {
        Ok(_) => answer::json(&json!({ "status": "success", "currentVersion": 10.91 })),
        Err(demand) => challenge(state, ChallengeShape::AdminJson, demand, asked),
    })
}

async fn service(state: &State, asked: &Asked, body: Incoming) -> io::Result<Answer> {
    state.count(|counters| counters.service_requests += 1);
    gate::pass(&state.services_held).await;

    let arrived = if !asked.path.ends_with("/early") {
        state.host.read(asked, body).await
    } else {
        if asked.query.get("hold") == Some("true") {
            // Kept but not read: a dropped body would be drained (HTTP/1) or reset (HTTP/2).
            lock(&state.unread).push(body);
        }
        Arrived::unread()
    };
    if !arrived.complete {
        return Ok(answer::status(
            answer::error(400, "The request body broke off"),
            400,
        ));
    }

    let found = lock(&state.services).find(&asked.path);
    let presented = Presented::find(asked, &arrived.form);
    let judged = judge(state, asked, &presented);
    let Some((tail, access)) = found else {
        return Ok(unpublished(state, asked));
    };

    let checked = access == Access::Secured
        || (presented.token.is_some() && lock(&state.settings).public_checks_tokens);
    if checked {
        let shape = lock(&state.services).shape(&asked.path);
        let user = match &judged {
            Ok(user) => user,
            Err(demand) => return Ok(challenge(state, shape, *demand, asked)),
        };
        let refusal = lock(&state.services).refusal(user, &asked.path);
        match refusal {
            Some(Refusal::TokenRequired) => {
                return Ok(challenge(state, shape, Demand::Required, asked));
            }
            Some(Refusal::Forbidden) => return Ok(challenge::forbidden()),
            None => {}
        }
    }

    let canned = lock(&state.services).answer(&asked.path);
    let mut answer = match canned {
        Some(canned) => {
            let (parts, body) = canned.into_parts();
            let mut answer = answer::bytes(answer::JSON, body);
            *answer.status_mut() = parts.status;
            *answer.headers_mut() = parts.headers;
            answer
        }
        None => resources::answer(state, asked, &arrived, tail, judged.as_deref().ok()),
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
fn unpublished(state: &State, asked: &Asked) -> Answer {
    let path = asked.path.trim_end_matches('/');
    let services = lock(&state.services).paths();
    if path == SERVICES {
        return if resources::wants_html(asked) {
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
