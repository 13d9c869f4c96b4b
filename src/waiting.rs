//! A request's wait for a login.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::{
    metrics::Waiting,
    session::{LoginResult, SiteEvents, broken_off},
};

/// A login that a request waits for.
pub(crate) struct Login {
    result: oneshot::Receiver<LoginResult>,
    _is_counted: Waiting,
}

impl Login {
    pub(crate) fn new(result: oneshot::Receiver<LoginResult>, events: &SiteEvents) -> Self {
        Self {
            result,
            _is_counted: events.waiting(),
        }
    }
}

impl Future for Login {
    type Output = LoginResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<LoginResult> {
        let result = Pin::new(&mut self.result).poll(context);
        result.map(|result| result.unwrap_or_else(|_| Err(broken_off())))
    }
}
