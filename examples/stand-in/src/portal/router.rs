//! Which part of the portal a request is for.

use std::io;
use std::net::IpAddr;

use http::Request;
use hyper::body::Incoming;

use crate::answer::{self, Answer};
use crate::control;
use crate::pages;
use crate::portal::content::Content;
use crate::portal::exchange::Exchange;
use crate::portal::login::Login;
use crate::portal::oauth::{self, Grant};
use crate::portal::reply;
use crate::portal::state::{CONTEXT, PortalState};
use crate::prefixes::covers;
use crate::request_parts::RequestHead;
use crate::server::Answers;
use crate::state::lock;

impl Answers for PortalState {
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

async fn route(portal: &PortalState, head: &RequestHead, body: Incoming) -> io::Result<Answer> {
    let form = portal.host.read(head, body).await.form;
    let form = &form;
    match below_sharing(&head.path).unwrap_or_default() {
        "info" => Ok(info(portal)),
        "generateToken" if Exchange::is_meant(head, form) => {
            portal.count(|counters| counters.exchange_attempts += 1);
            let exchange = Exchange { portal, head, form };
            portal.exchanges.serve(&exchange).await
        }
        "generateToken" => {
            let user = form.get("username").unwrap_or_default();
            lock(&portal.host.user_counters).count(user, |of_user| of_user.login_attempts += 1);
            portal.count(|counters| counters.login_attempts += 1);
            let login = Login { portal, head, form };
            portal.logins.serve(&login).await
        }
        "oauth2/token" => {
            portal.count(|counters| counters.oauth_attempts += 1);
            let grant = Grant { portal, head, form };
            portal.grants.serve(&grant).await
        }
        "oauth2/revokeToken" => Ok(oauth::revoke(portal, head, form)),
        "oauth2/authorize" => {
            portal.count(|counters| counters.authorize_requests += 1);
            Ok(answer::html(pages::oauth_sign_in(CONTEXT)))
        }
        path => Ok(match Content::at(path) {
            Some(content) => content.answer(portal, head, form),
            None => answer::not_found(),
        }),
    }
}

/// What follows `/portal/sharing/rest/`, or the older `/portal/sharing/`.
fn below_sharing(path: &str) -> Option<&str> {
    let path = path.strip_prefix(CONTEXT)?.strip_prefix("/sharing/")?;
    Some(path.strip_prefix("rest/").unwrap_or(path))
}

fn info(portal: &PortalState) -> Answer {
    portal.count(|counters| counters.info_requests += 1);
    let info = lock(&portal.info);
    if info.present {
        reply::json(&info.portal_json())
    } else {
        answer::not_found()
    }
}
