//! A token source that a test scripts, and that counts.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tower_arcgis_auth::{IssuedToken, TokenError, TokenReason, TokenRequest, TokenSource};

use super::ValidTokens;

/// A token source that mints `secret-1`, `secret-2`, … and does what its script says first.
#[derive(Clone, Default)]
pub struct Source {
    pub valid: ValidTokens,
    logins: Arc<AtomicUsize>,
    reasons: Arc<Mutex<Vec<TokenReason>>>,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    always: Arc<Mutex<Option<Scripted>>>,
    pub lifetime: Option<Duration>,
    /// How long every login takes.
    pub takes: Duration,
}

#[derive(Clone)]
pub enum Scripted {
    Refuse,
    Fault,
    Panic,
    Hang,
    /// A token no server takes.
    Useless,
}

impl Source {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    pub fn takes(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    pub fn next(&self, scripted: Scripted) {
        self.script.lock().unwrap().push_back(scripted);
    }

    pub fn always(&self, scripted: Option<Scripted>) {
        *self.always.lock().unwrap() = scripted;
    }

    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    pub fn reasons(&self) -> Vec<TokenReason> {
        self.reasons.lock().unwrap().clone()
    }
}

impl TokenSource for Source {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let login = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.reasons.lock().unwrap().push(request.reason());
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let scripted = self.script.lock().unwrap().pop_front();
        let always = self.always.lock().unwrap().clone();
        let text = format!("secret-{login}");
        match scripted.or(always) {
            Some(Scripted::Refuse) => return Err(TokenError::refused("wrong password")),
            Some(Scripted::Fault) => return Err(TokenError::fault("token service down")),
            Some(Scripted::Panic) => panic!("the source panics, as scripted"),
            Some(Scripted::Hang) => std::future::pending::<()>().await,
            Some(Scripted::Useless) => {}
            None => self.valid.add(&text),
        }
        let issued = IssuedToken::try_new(text)?;
        Ok(match self.lifetime {
            Some(lifetime) => issued.valid_for(lifetime),
            None => issued,
        })
    }
}
