//! What arrived: counters, and the last thousand requests.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

/// How many requests are remembered.
const KEPT: usize = 1_000;

/// How often things happened since the start, or since [`crate::StandIn::reset_counters`].
///
/// Requests under `/stand-in/` are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// All requests, counted when their head arrives.
    pub requests: u64,
    /// Requests under `/arcgis/rest/services`, public ones too.
    pub service_requests: u64,
    /// Requests to services or to the administrator API that carried a token, good or bad.
    pub signed_requests: u64,
    /// Answers that asked for a token or refused one, in whatever shape, or that refused the account with a 499.
    pub challenges: u64,
    /// Requests to `generateToken` (or `getToken`) and sign-ins on the login page, counted when they have arrived in full.
    pub login_attempts: u64,
    /// Login attempts that were given a token.
    pub logins: u64,
    /// Login attempts refused for their credential, their form, or a locked account.
    pub login_refusals: u64,
    /// Requests for `rest/info`.
    pub info_requests: u64,
    /// Requests that carried two or more tokens that differ.
    pub conflicting_tokens: u64,
    /// Requests whose token was good but bound to another `Referer`.
    pub referer_mismatches: u64,
    /// Requests whose token was good but bound to another address.
    pub address_mismatches: u64,
    /// Edits carried out (`applyEdits`, `addFeatures`, `addAttachment` and their like).
    pub edits: u64,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Received {
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Its method.
    pub method: Method,
    /// Path and query, unchanged, with whatever token is in it.
    pub path_and_query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The first 8 KiB of its body, once it was read.
    pub body: Bytes,
    /// The status it was answered with, once it was.
    pub status: Option<StatusCode>,
}

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<(u64, Received)>,
    next: u64,
}

impl Journal {
    /// How much of a body is remembered.
    pub(crate) const BODY: usize = 8 * 1024;

    /// Notes a request and returns the number it goes by.
    pub(crate) fn note(&mut self, received: Received) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back((number, received));
        number
    }

    /// Changes what is noted of a request, if it is still remembered.
    pub(crate) fn amend(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut Received),
    ) -> Option<&Received> {
        let (_, received) = self
            .entries
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == number)?;
        change(received);
        Some(received)
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.entries
            .iter()
            .map(|(_, received)| received.clone())
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
