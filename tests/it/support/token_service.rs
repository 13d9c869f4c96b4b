//! A scripted token service. Over HTTP it is a `generateToken` with its `rest/info`; as a token source it issues the
//! same tokens without HTTP.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::{sync::Semaphore, time::sleep};
use tower::service_fn;
use tower_arcgis_auth::{
    Fingerprint, IssuedToken, SignOut, TokenClient, TokenError, TokenReason, TokenRequest,
    TokenSource,
};

use super::{Answer, ROOT, answer};

/// What a server at `http://gis.test/arcgis` says of itself.
pub(crate) const INFO: &str =
    r#"{"currentVersion":11,"authInfo":{"tokenServicesUrl":"http://gis.test/arcgis/tokens/"}}"#;
const WRONG: &str = r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#;

/// What a server says of itself whose token service is at `url`.
pub(crate) fn info_naming(url: &str) -> String {
    format!(
        r#"{{"currentVersion":11.3,"authInfo":{{"isTokenBasedSecurity":true,"tokenServicesUrl":"{url}"}}}}"#
    )
}

/// What becomes of a request to the token service.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A token of its own: `secret-1`, `secret-2`, … by the number of the attempt.
    Token,
    /// A token that no server takes.
    Useless,
    /// The password is wrong.
    Refused,
    /// The service is out of order.
    Fault,
    /// There is none.
    Hangs,
    Panics,
    /// The connection fails so, and nothing is heard of the service.
    Fails(io::ErrorKind),
    /// The connection breaks in the middle of the answer.
    BreaksOff,
    Says(Answer),
    /// What becomes of it is settled at once, and heard of so much later.
    After(Duration, Box<Reply>),
}

impl Reply {
    pub(crate) fn says(body: impl Into<Bytes>) -> Self {
        Self::Says(answer(body))
    }

    pub(crate) fn page(status: StatusCode, body: &'static str) -> Self {
        let mut page = answer(body);
        *page.status_mut() = status;
        Self::Says(page)
    }

    pub(crate) fn token(text: &str) -> Self {
        Self::says(format!(r#"{{"token":"{text}","expires":4102444800000}}"#))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut form = form_urlencoded::parse(self.body.as_bytes());
        form.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// Asks what the server is. Everything else is an attempt to get a token.
    pub(crate) fn is_for_info(&self) -> bool {
        self.path().ends_with("info")
    }
}

/// The tokens that servers take. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Arc<Mutex<HashSet<String>>>);

impl Tokens {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap()
    }

    pub(crate) fn contains(&self, token: &str) -> bool {
        self.lock().contains(token)
    }

    pub(crate) fn add(&self, token: &str) {
        self.lock().insert(token.to_owned());
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.lock().remove(token);
    }

    pub(crate) fn revoke_all(&self) {
        self.lock().clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

type Rule = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Issues `secret-1`, `secret-2`, … to everybody, unless its script says otherwise; as a source of tokens for
/// identities, `NAME-1`, `NAME-2`, …. Counts what it is asked. Clones are the same service.
#[derive(Clone)]
pub(crate) struct TokenService {
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<Script>,
    tokens: Tokens,
    requests: Mutex<Vec<Asked>>,
    reasons: Mutex<Vec<TokenReason>>,
    attempts: AtomicUsize,
    attempts_of: Mutex<HashMap<String, usize>>,
    answered: AtomicUsize,
    sign_outs: AtomicUsize,
    /// A permit for each attempt that was made.
    begun: Semaphore,
    /// A permit for each attempt that may go on, where they are held.
    released: Semaphore,
}

struct Script {
    info: Rule,
    logins: Option<Rule>,
    next: VecDeque<Reply>,
    always: Option<Reply>,
    password: Option<String>,
    by_user: HashMap<String, Reply>,
    takes: Duration,
    is_held: bool,
    lifetime: Option<Duration>,
    sign_out_takes: Duration,
    asks_for_leave: bool,
    account: Option<String>,
    secret: Option<String>,
    when_answered: Option<Arc<dyn Fn() + Send + Sync>>,
}

// --- the script

impl TokenService {
    pub(crate) fn new() -> Self {
        let script = Script {
            info: Arc::new(|_| Reply::says(INFO)),
            logins: None,
            next: VecDeque::new(),
            always: None,
            password: None,
            by_user: HashMap::new(),
            takes: Duration::ZERO,
            is_held: false,
            lifetime: None,
            sign_out_takes: Duration::ZERO,
            asks_for_leave: false,
            account: None,
            secret: None,
            when_answered: None,
        };
        Self {
            shared: Arc::new(Shared {
                script: Mutex::new(script),
                tokens: Tokens::default(),
                requests: Mutex::default(),
                reasons: Mutex::default(),
                attempts: AtomicUsize::new(0),
                attempts_of: Mutex::default(),
                answered: AtomicUsize::new(0),
                sign_outs: AtomicUsize::new(0),
                begun: Semaphore::new(0),
                released: Semaphore::new(0),
            }),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap()
    }

    /// The server says so when it is asked what it is.
    pub(crate) fn info(self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.info_by(move |_| Reply::says(body.clone()))
    }

    pub(crate) fn info_by(self, rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        self.script().info = Arc::new(rule);
        self
    }

    /// What becomes of each login over HTTP. It is settled when [its time](Self::takes) is over.
    pub(crate) fn logins(self, rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        self.script().logins = Some(Arc::new(rule));
        self
    }

    /// What becomes of each login from now on; `None` for a token.
    pub(crate) fn always(&self, reply: impl Into<Option<Reply>>) {
        self.script().always = reply.into();
    }

    /// [`always`](Self::always), for a service as it is made.
    pub(crate) fn answering(self, reply: Reply) -> Self {
        self.always(reply);
        self
    }

    /// What becomes of the next logins, in this order.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script().next.extend(replies);
    }

    /// Only this password is right.
    pub(crate) fn knows(self, password: &str) -> Self {
        self.set_password(password);
        self
    }

    pub(crate) fn set_password(&self, password: &str) {
        self.script().password = Some(password.to_owned());
    }

    /// What becomes of each login of this user, or for this identity.
    pub(crate) fn answering_to(self, name: &str, reply: Reply) -> Self {
        self.script().by_user.insert(name.to_owned(), reply);
        self
    }

    /// How long each login takes.
    pub(crate) fn takes(self, time: Duration) -> Self {
        self.set_takes(time);
        self
    }

    pub(crate) fn set_takes(&self, time: Duration) {
        self.script().takes = time;
    }

    /// Done each time when an attempt over HTTP is answered.
    pub(crate) fn when_answered(&self, does: impl Fn() + Send + Sync + 'static) {
        self.script().when_answered = Some(Arc::new(does));
    }

    /// Each login waits until it is [released](Self::release).
    pub(crate) fn holding(self) -> Self {
        self.script().is_held = true;
        self
    }

    pub(crate) fn release(&self, logins: usize) {
        self.shared.released.add_permits(logins);
    }

    /// How long the tokens of the source are good for.
    pub(crate) fn lifetime(self, lifetime: Duration) -> Self {
        self.script().lifetime = Some(lifetime);
        self
    }

    /// How long the source takes to sign out.
    pub(crate) fn sign_out_takes(self, time: Duration) -> Self {
        self.script().sign_out_takes = time;
        self
    }

    /// The source asks for leave before each login, as sources should that send a name and a secret.
    pub(crate) fn asking_for_leave(self) -> Self {
        self.script().asks_for_leave = true;
        self
    }

    /// The source logs in as this user.
    pub(crate) fn account(self, name: &str) -> Self {
        self.script().account = Some(name.to_owned());
        self
    }

    /// What the source's credential is recognised by from now on, if by anything.
    pub(crate) fn set_secret<'a>(&self, secret: impl Into<Option<&'a str>>) {
        self.script().secret = secret.into().map(str::to_owned);
    }

    /// [`set_secret`](Self::set_secret), for a service as it is made.
    pub(crate) fn secret(self, secret: &str) -> Self {
        self.set_secret(secret);
        self
    }
}

// --- what it was asked

impl TokenService {
    /// The tokens that it has issued, and that were not revoked.
    pub(crate) fn tokens(&self) -> Tokens {
        self.shared.tokens.clone()
    }

    pub(crate) fn revoke_all(&self) {
        self.shared.tokens.revoke_all();
    }

    /// How often it was asked for a token.
    pub(crate) fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::SeqCst)
    }

    /// How often it was asked for a token by this user, or for this identity.
    pub(crate) fn attempts_of(&self, name: &str) -> usize {
        let attempts = self.shared.attempts_of.lock().unwrap();
        attempts.get(name).copied().unwrap_or(0)
    }

    /// How many attempts came to their end.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// All requests over HTTP.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// All attempts over HTTP.
    pub(crate) fn asked_for_tokens(&self) -> Vec<Asked> {
        let mut asked = self.requests();
        asked.retain(|asked| !asked.is_for_info());
        asked
    }

    /// How many attempts over HTTP had a password.
    pub(crate) fn passwords(&self) -> usize {
        let mut asked = self.requests();
        asked.retain(|asked| asked.field("password").is_some());
        asked.len()
    }

    /// How often it was asked what the server is.
    pub(crate) fn infos(&self) -> usize {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|asked| asked.is_for_info()).count()
    }

    /// Why the source was asked.
    pub(crate) fn reasons(&self) -> Vec<TokenReason> {
        self.shared.reasons.lock().unwrap().clone()
    }

    /// How often the source was told of a sign-out.
    pub(crate) fn sign_outs(&self) -> usize {
        self.shared.sign_outs.load(Ordering::SeqCst)
    }

    /// Waits for an attempt that was not waited for before.
    pub(crate) async fn begun(&self) {
        self.shared.begun.acquire().await.unwrap().forget();
    }
}

// --- an attempt

impl TokenService {
    /// Counts an attempt, and lets it take its time. Returns its number, and the name of its token.
    async fn attempt(&self, user: Option<&str>, names_tokens: bool) -> String {
        let number = self.shared.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        let mut token = format!("secret-{number}");
        if let Some(user) = user {
            let mut attempts = self.shared.attempts_of.lock().unwrap();
            let number = attempts.entry(user.to_owned()).or_default();
            *number += 1;
            if names_tokens {
                token = format!("{user}-{number}");
            }
        }
        self.shared.begun.add_permits(1);
        let (takes, is_held) = {
            let script = self.script();
            (script.takes, script.is_held)
        };
        if !takes.is_zero() {
            sleep(takes).await;
        }
        if is_held {
            self.shared.released.acquire().await.unwrap().forget();
        }
        token
    }

    fn settle(&self, user: Option<&str>, asked: Option<&Asked>) -> Reply {
        let (rule, password) = {
            let mut script = self.script();
            if let Some(next) = script.next.pop_front() {
                return next;
            }
            if let Some(always) = &script.always {
                return always.clone();
            }
            if let Some(reply) = user.and_then(|user| script.by_user.get(user)) {
                return reply.clone();
            }
            (script.logins.clone(), script.password.clone())
        };
        let Some(asked) = asked else {
            return Reply::Token;
        };
        let is_wrong = match (password, asked.field("password")) {
            (Some(right), Some(given)) => right != given,
            _ => false,
        };
        if is_wrong {
            return Reply::Refused;
        }
        rule.map_or(Reply::Token, |rule| rule(asked))
    }

    /// The client that logs in at this service.
    pub(crate) fn client(&self) -> TokenClient {
        let service = self.clone();
        TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
            let service = service.clone();
            async move { service.respond(request).await }
        }))
    }

    async fn respond(
        &self,
        request: Request<Full<Bytes>>,
    ) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let asked = Asked {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        };
        self.shared.requests.lock().unwrap().push(asked.clone());
        if asked.is_for_info() {
            let rule = self.script().info.clone();
            return self.deliver(rule(&asked), &asked, "").await;
        }
        let user = asked.field("username");
        let token = self.attempt(user.as_deref(), false).await;
        let reply = self.settle(user.as_deref(), Some(&asked));
        let answer = self.deliver(reply, &asked, &token).await;
        self.shared.answered.fetch_add(1, Ordering::SeqCst);
        let when_answered = self.script().when_answered.clone();
        if let Some(does) = when_answered {
            does();
        }
        answer
    }

    async fn deliver(
        &self,
        reply: Reply,
        asked: &Asked,
        token: &str,
    ) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        let mut reply = reply;
        let answer = loop {
            match reply {
                Reply::After(time, then) => {
                    sleep(time).await;
                    reply = *then;
                }
                Reply::Token | Reply::Useless => {
                    if matches!(reply, Reply::Token) {
                        self.shared.tokens.add(token);
                    }
                    break answer(if asked.field("grant_type").is_some() {
                        format!(r#"{{"access_token":"{token}","expires_in":1800}}"#)
                    } else {
                        format!(r#"{{"token":"{token}","expires":4102444800000}}"#)
                    });
                }
                Reply::Refused => break answer(WRONG),
                Reply::Fault => reply = Reply::page(StatusCode::SERVICE_UNAVAILABLE, "down"),
                Reply::Hangs => std::future::pending().await,
                Reply::Panics => panic!("the token service panics, as scripted"),
                Reply::Fails(kind) => return Err(kind.into()),
                Reply::BreaksOff => {
                    let broken = io::ErrorKind::ConnectionReset.into();
                    let start = Frame::data(Bytes::from_static(b"{\"err"));
                    let body = StreamBody::new(stream::iter([Ok(start), Err(broken)]));
                    return Ok(Response::new(body.boxed_unsync()));
                }
                Reply::Says(answer) => break answer,
            }
        };
        Ok(answer.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
    }
}

impl TokenSource for TokenService {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let identity = request
            .identity()
            .map(|identity| identity.as_str().to_owned());
        self.shared.reasons.lock().unwrap().push(request.reason());
        let (asks_for_leave, lifetime) = {
            let script = self.script();
            (script.asks_for_leave, script.lifetime)
        };
        let mut leave = None;
        if asks_for_leave {
            let (account, secret) = {
                let script = self.script();
                (script.account.clone(), script.secret.clone())
            };
            let user = identity.clone().or(account);
            let (user, secret) = (
                user.as_deref().unwrap_or("reader"),
                secret.as_deref().unwrap_or("secret"),
            );
            let mut attempt = request.login_attempt(ROOT, user, secret).await?;
            attempt.sent();
            leave = Some(attempt);
        }
        let token = self.attempt(identity.as_deref(), true).await;
        let mut reply = self.settle(identity.as_deref(), None);
        while let Reply::After(time, then) = reply {
            sleep(time).await;
            reply = *then;
        }
        let error = match reply {
            Reply::Token => {
                self.shared.tokens.add(&token);
                None
            }
            Reply::Useless => None,
            Reply::Refused => Some(TokenError::refused("wrong password")),
            Reply::Fault => Some(TokenError::fault("token service down")),
            Reply::Hangs => std::future::pending().await,
            Reply::Panics => panic!("the token source panics, as scripted"),
            other => panic!("{other:?} is for HTTP"),
        };
        self.shared.answered.fetch_add(1, Ordering::SeqCst);
        match (leave, &error) {
            (None, _) => {}
            (Some(leave), None) => leave.succeeded(),
            (Some(leave), Some(error)) if error.is_refused() => leave.refused(error),
            (Some(leave), Some(_)) => leave.no_verdict(),
        }
        if let Some(error) = error {
            return Err(error);
        }
        let issued = IssuedToken::try_new(token)?;
        Ok(match lifetime {
            Some(lifetime) => issued.valid_for(lifetime),
            None => issued,
        })
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        let script = self.script();
        if let Some(account) = &script.account {
            fingerprint.account(account);
        }
        match &script.secret {
            Some(secret) => fingerprint.secret(secret),
            None => fingerprint.cannot_tell(),
        }
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.shared.sign_outs.fetch_add(1, Ordering::SeqCst);
        let takes = self.script().sign_out_takes;
        if !takes.is_zero() {
            sleep(takes).await;
        }
        if let Some(token) = sign_out.token() {
            self.shared.tokens.revoke(token.expose());
        }
        Ok(())
    }
}
