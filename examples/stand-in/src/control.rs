//! The control end points, below `/stand-in/`: for programs that are no Rust, and for a person with curl.

use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answer::{self, Answer};
use crate::gate::Gate;
use crate::host::Host;
use crate::issuer::Issuer;
use crate::journal::Received;
use crate::request_parts::{Fields, RequestBody, RequestHead};
use crate::state::lock;

/// What an end point says: JSON, or what was wrong with the request.
pub(crate) type Outcome = Result<Value, String>;

/// A server that is controlled over HTTP.
pub(crate) trait Controlled: Sync {
    /// The end points that only this kind of server has, as [`HELP`] lists the others.
    const OWN_HELP: &'static str;

    fn host(&self) -> &Host;

    /// What issues tokens, by name.
    fn issuers(&self) -> Vec<(&'static str, &Issuer)>;

    /// What can be held, by name.
    fn holds(&self) -> Vec<(&'static str, &watch::Sender<usize>)> {
        let issuers = self.issuers().into_iter();
        issuers.map(|(name, issuer)| (name, &issuer.held)).collect()
    }

    /// An end point to read that only this kind of server has; none if there is no such.
    fn own_to_read(&self, name: &str) -> Option<Value>;

    /// All counters.
    fn counters(&self) -> Value;

    /// Puts what no other server has back, and the counters.
    fn reset(&self);

    /// An end point to change something that only this kind of server has; none if there is no such.
    fn own(&self, name: &str, fields: &Fields) -> Option<Outcome>;
}

const HELP: &str = "\
GET  counters                              what was counted; of one user with ?user=NAME
GET  requests                              the last 1,000 requests, oldest first
POST revoke        [token=TOKEN]           makes that token, or all tokens, invalid
POST expire                                lets all tokens expire
POST token-fault   [fault=FAULT] [what=W]  how logins (or another W) go wrong; without a fault: no longer
POST hold          [what=W]                lets logins (or another W) wait
POST release                               lets all go on that wait
POST unlock        user=NAME               unlocks an account and forgets its failures
POST reset                                 a fresh server: no tokens, faults, locks, counts, requests, challenges set
";

/// Answers a request below `/stand-in`.
pub(crate) async fn answer<C: Controlled>(
    server: &C,
    head: &RequestHead,
    body: Incoming,
) -> Answer {
    let mut answer = match server.host().preflight(head) {
        Some(answer) => answer,
        None => route(server, head, body).await,
    };
    server.host().allow(head, &mut answer);
    answer
}

async fn route<C: Controlled>(server: &C, head: &RequestHead, body: Incoming) -> Answer {
    let name = head.path.strip_prefix("/stand-in").unwrap_or_default();
    let body = RequestBody::read(body, head.is_form()).await;
    let outcome = match (head.method.as_str(), name.trim_matches('/')) {
        ("GET", "") => return answer::bytes("text/plain;charset=utf-8", help::<C>()),
        ("GET", "counters") => Ok(counters(server, &head.query)),
        ("GET", "requests") => Ok(requests(server.host())),
        ("GET", name) => server.own_to_read(name).ok_or_else(|| no_end_point(head)),
        ("POST", _) if body.length > 0 && !head.is_form() => {
            Err("send the fields as application/x-www-form-urlencoded".to_owned())
        }
        ("POST", name) => common(server, name, &body.form)
            .or_else(|| server.own(name, &body.form))
            .unwrap_or_else(|| Err(no_end_point(head))),
        _ => Err(no_end_point(head)),
    };
    match outcome {
        Ok(value) => answer::bytes("application/json", value.to_string()),
        Err(why) => {
            let body = json!({ "error": why }).to_string();
            answer::status(answer::bytes("application/json", body), 400)
        }
    }
}

fn help<C: Controlled>() -> String {
    format!("{HELP}{}", C::OWN_HELP)
}

fn no_end_point(head: &RequestHead) -> String {
    format!(
        "there is no {} {}; GET /stand-in/ lists what there is",
        head.method, head.path
    )
}

/// A field that has to be there.
pub(crate) fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, String> {
    fields.get(name).ok_or_else(|| format!("say which {name}"))
}

/// An end point that every server has.
fn common<C: Controlled>(server: &C, name: &str, fields: &Fields) -> Option<Outcome> {
    Some(match name {
        "revoke" => {
            let mut tokens = lock(&server.host().tokens);
            let revoked = match fields.get("token") {
                Some(token) => usize::from(tokens.revoke(token)),
                None => tokens.revoke_all(),
            };
            Ok(json!({ "revoked": revoked }))
        }
        "expire" => {
            let now = server.host().clock.now();
            let mut tokens = lock(&server.host().tokens);
            let expired = tokens.live(now);
            tokens.expire_all(now);
            Ok(json!({ "expired": expired }))
        }
        "token-fault" => token_fault(server, fields),
        "hold" => hold(server, fields),
        "release" => {
            let gates = std::mem::take(&mut *lock(&server.host().gates));
            Ok(json!({ "released": gates.len() }))
        }
        "unlock" => required(fields, "user").map(|user| {
            lock(&server.host().accounts).unlock(user);
            json!({ "unlocked": user })
        }),
        "reset" => {
            reset(server);
            Ok(json!({ "reset": true }))
        }
        _ => return None,
    })
}

/// What `what` names, logins unless said otherwise.
fn named<T: Copy>(
    known: &[(&'static str, T)],
    fields: &Fields,
) -> Result<(&'static str, T), String> {
    let what = fields.get("what").unwrap_or("logins");
    known
        .iter()
        .copied()
        .find(|(name, _)| *name == what)
        .ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            format!(
                "there is no \"{what}\" here; there are {}",
                names.join(", ")
            )
        })
}

fn token_fault<C: Controlled>(server: &C, fields: &Fields) -> Outcome {
    let (what, issuer) = named(&server.issuers(), fields)?;
    let fault = fields.get("fault").map(str::parse).transpose();
    let fault = fault.map_err(|error: crate::UnknownName| error.to_string())?;
    issuer.fault.send_replace(fault);
    Ok(json!({ "what": what, "fault": fields.get("fault") }))
}

fn hold<C: Controlled>(server: &C, fields: &Fields) -> Outcome {
    let (what, held) = named(&server.holds(), fields)?;
    lock(&server.host().gates).push(Gate::close(held));
    Ok(json!({ "held": what }))
}

/// Users, passwords, apps, keys, lifetimes and what is published stay as they are.
pub(crate) fn reset<C: Controlled>(server: &C) {
    let host = server.host();
    lock(&host.tokens).revoke_all();
    lock(&host.accounts).unlock_all();
    lock(&host.user_counters).clear();
    for (_, issuer) in server.issuers() {
        issuer.fault.send_replace(None);
    }
    lock(&host.gates).clear();
    host.clear_received();
    server.reset();
}

fn counters<C: Controlled>(server: &C, query: &Fields) -> Value {
    match query.get("user") {
        None => server.counters(),
        Some(user) => {
            let counters = lock(&server.host().user_counters).of(user);
            let now = server.host().clock.now();
            let accounts = lock(&server.host().accounts);
            json!({
                "user": user,
                "loginAttempts": counters.login_attempts,
                "logins": counters.logins,
                "exchanges": counters.exchanges,
                "failures": accounts.failures(user, now),
                "locked": accounts.locked(user, now),
            })
        }
    }
}

fn requests(host: &Host) -> Value {
    host.received().iter().map(request).collect()
}

fn request(received: &Received) -> Value {
    let headers: Vec<[String; 2]> = received
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            [name.to_string(), value.into_owned()]
        })
        .collect();
    json!({
        "method": received.method.as_str(),
        "pathAndQuery": received.path_and_query,
        "headers": headers,
        "body": String::from_utf8_lossy(&received.body),
        "status": received.status.map(|status| status.as_u16()),
    })
}
