//! What every listening server has: an address, a clock, a journal, accounts and tokens, and an eye for who is asking.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use bytes::Bytes;
use http::Request;
use http::header::{DATE, HeaderValue};
use hyper::body::Incoming;

use crate::accounts::Accounts;
use crate::answer::Answer;
use crate::clock::Clock;
use crate::cors::Cors;
use crate::gate::Gate;
use crate::journal::{Journal, Received};
use crate::request_parts::{RequestBody, RequestHead};
use crate::state::lock;
use crate::tokens::Tokens;
use crate::user_counters::CountersByUser;

/// Called with each request once it is answered.
pub(crate) type Observer = Box<dyn Fn(&Received) + Send + Sync>;

/// One server on one port.
pub(crate) struct Host {
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) user_counters: Mutex<CountersByUser>,
    pub(crate) tokens: Mutex<Tokens>,
    /// Gates that were closed from outside of the process.
    pub(crate) gates: Mutex<Vec<Gate>>,
    journal: Mutex<Journal>,
    observer: Option<Observer>,
    scheme: &'static str,
    cors: Mutex<Cors>,
    /// The address all requests seem to come from; none: where they do come from.
    seen_address: Mutex<Option<IpAddr>>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(
        addr: SocketAddr,
        scheme: &'static str,
        cors: Cors,
        clock: Clock,
        observer: Option<Observer>,
        accounts: Accounts,
    ) -> Self {
        Self {
            scheme,
            cors: Mutex::new(cors),
            addr,
            clock,
            accounts: Mutex::new(accounts),
            user_counters: Mutex::default(),
            tokens: Mutex::default(),
            gates: Mutex::default(),
            journal: Mutex::default(),
            observer,
            seen_address: Mutex::default(),
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// The URL of `path`: below the origin if it starts with `/`, below `context` if not.
    pub(crate) fn url(&self, context: &str, path: &str) -> String {
        if path.starts_with('/') {
            format!("{}{path}", self.origin())
        } else {
            format!("{}{context}/{path}", self.origin())
        }
    }

    /// The head of a request that came from `peer`.
    pub(crate) fn head(&self, request: &Request<Incoming>, peer: IpAddr) -> RequestHead {
        let from = (*lock(&self.seen_address)).unwrap_or(peer);
        RequestHead::new(request, self.scheme, &self.addr.to_string(), from)
    }

    /// The answer to a preflight; none if the request is none.
    pub(crate) fn preflight(&self, head: &RequestHead) -> Option<Answer> {
        lock(&self.cors).preflight(head)
    }

    /// Lets pages of other origins read an answer.
    pub(crate) fn allow(&self, head: &RequestHead, answer: &mut Answer) {
        lock(&self.cors).allow(head, answer);
    }

    pub(crate) fn set_cors(&self, cors: Cors) {
        *lock(&self.cors) = cors;
    }

    /// Notes a request in the journal.
    pub(crate) fn note(&self, head: &mut RequestHead) {
        head.number = lock(&self.journal).note(Received {
            version: head.version,
            method: head.method.clone(),
            path_and_query: head.path_and_query.clone(),
            headers: head.headers.clone(),
            body: Bytes::new(),
            status: None,
        });
    }

    /// Reads a body and notes it in the journal.
    pub(crate) async fn read(&self, head: &RequestHead, body: Incoming) -> RequestBody {
        let body = RequestBody::read(body, head.is_form()).await;
        if let Some(kept) = &body.kept {
            let noted = kept.slice(..kept.len().min(Journal::BODY));
            lock(&self.journal).amend(head.number, |received| received.body = noted);
        }
        body
    }

    /// Dates an answer, lets pages of other origins read it, notes its status, and shows the request to the observer.
    pub(crate) fn finish(&self, head: &RequestHead, mut answer: Answer) -> Answer {
        let date = httpdate::fmt_http_date(self.clock.wall(self.clock.now()));
        if let Ok(date) = HeaderValue::from_str(&date) {
            answer.headers_mut().insert(DATE, date);
        }
        self.allow(head, &mut answer);
        let status = answer.status();
        let seen = lock(&self.journal)
            .amend(head.number, |received| received.status = Some(status))
            .cloned();
        if let (Some(observe), Some(received)) = (&self.observer, seen) {
            observe(&received);
        }
        answer
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.journal).all()
    }

    pub(crate) fn clear_received(&self) {
        lock(&self.journal).clear();
    }

    pub(crate) fn set_seen_address(&self, address: Option<IpAddr>) {
        *lock(&self.seen_address) = address.map(|address| address.to_canonical());
    }
}
