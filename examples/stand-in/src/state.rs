//! All that a running stand-in knows, shared by its connections and its handles.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use tokio::sync::watch;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::fault::TokenFault;
use crate::info::Info;
use crate::journal::{Counters, Journal, Received};
use crate::services::Services;
use crate::tokens::Tokens;

/// Called with each request once it is answered.
pub(crate) type Observer = Box<dyn Fn(&Received) + Send + Sync>;

/// Switches that are none of the parts' own.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) token_lifetime: Duration,
    pub(crate) string_expires: bool,
    pub(crate) set_cookies: bool,
    pub(crate) public_checks_tokens: bool,
}

pub(crate) struct State {
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) info: Mutex<Info>,
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) services: Mutex<Services>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) counters: watch::Sender<Counters>,
    pub(crate) fault: watch::Sender<Option<TokenFault>>,
    pub(crate) logins_held: watch::Sender<usize>,
    pub(crate) services_held: watch::Sender<usize>,
    /// Bodies that are never to be read.
    pub(crate) unread: Mutex<Vec<Incoming>>,
    pub(crate) observer: Option<Observer>,
}

impl State {
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        self.counters.send_modify(change);
    }
}

/// Locks; a panic elsewhere does not spoil the stand-in.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
