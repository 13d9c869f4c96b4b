//! A scripted token service. Over HTTP it is a `generateToken` with its `rest/info`; as a token source it issues the
//! same tokens without HTTP.

mod counts;
mod http_client;
mod reply;
mod source;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::sleep};
use tower_arcgis_auth::TokenReason;

pub(crate) use self::reply::{Asked, INFO, Reply, info_naming};

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
    text: Option<String>,
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
            text: None,
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

    /// Every token is this one.
    pub(crate) fn issuing(self, text: impl Into<String>) -> Self {
        self.script().text = Some(text.into());
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
    #[cfg(feature = "shared-cache")]
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
    #[cfg(feature = "shared-cache")]
    pub(crate) fn account(self, name: &str) -> Self {
        self.script().account = Some(name.to_owned());
        self
    }

    /// What the source's credential is recognised by from now on, if by anything.
    pub(crate) fn set_secret<'a>(&self, secret: impl Into<Option<&'a str>>) {
        self.script().secret = secret.into().map(str::to_owned);
    }

    /// [`set_secret`](Self::set_secret), for a service as it is made.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn secret(self, secret: &str) -> Self {
        self.set_secret(secret);
        self
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
            if let Some(text) = &script.text {
                token.clone_from(text);
            }
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
}
