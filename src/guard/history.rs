//! The rule itself: one user name's logins of the last 15 minutes, and whether one more may be made. No clock, no lock and
//! no runtime of its own, so that every order of events can be tested, and so that a process and several processes
//! together keep to the same rule.

use std::time::Duration;

use crate::error::TokenError;

/// ArcGIS Server's built-in store and Portal count failed logins for 15 minutes, and lock an account for 15 minutes (ArcGIS
/// Enterprise documentation, account lock-out).
pub(crate) const REFUSAL_REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Milliseconds on the clock of those who keep the history.
pub(crate) type Millis = u64;

/// One less than ArcGIS takes: one failure may come from elsewhere.
const MOST_FAILURES: usize = 4;
/// Where another credential works for the account: the fourth is that one's.
const MOST_FAILURES_OF_OTHERS: usize = 3;
/// Refused credentials that are remembered beside each other, and token services that a credential works at.
const MOST_REMEMBERED: usize = 64;

/// A credential at a token service; hashes, comparable only in one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "shared-cache", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Login {
    pub(crate) service: u64,
    pub(crate) credential: u64,
}

/// The logins of one user name.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "shared-cache", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct History {
    attempts: Vec<Attempt>,
    /// What worked last, the newest last.
    proven: Vec<Login>,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "shared-cache", derive(serde::Serialize, serde::Deserialize))]
struct Attempt {
    number: u64,
    login: Login,
    /// When it began; when it ended, once it has.
    at: Millis,
    outcome: Outcome,
    /// Since then the account had no success.
    counts_for_account: bool,
    /// Since then the credential had no success.
    counts_for_credential: bool,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "shared-cache", derive(serde::Serialize, serde::Deserialize))]
enum Outcome {
    UnderWay,
    /// The token service may have counted a failure.
    Unknown,
    Refused {
        message: String,
    },
}

/// Whether a login may be made.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Now. It counts as failed from here on.
    Go,
    /// Once another has ended.
    Wait,
    /// Not for a while, and this is why.
    Denied(TokenError),
}

/// What came of a login.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Succeeded,
    /// In the token service's words, until then at most.
    Refused {
        message: String,
    },
    /// The credential was sent, and what the token service made of it is unknown.
    Unknown,
    /// The token service said nothing of the credential, or never got it.
    None,
}

impl History {
    /// Whether `login` may be made now; it is entered as `number` then. An attempt that has been under way for longer than
    /// `lease` is not waited for: the process that made it is gone. It counts.
    pub(crate) fn begin(
        &mut self,
        login: Login,
        number: u64,
        now: Millis,
        lease: Option<Millis>,
    ) -> Decision {
        self.sweep(now, lease);
        let decision = self.decide(login, now);
        if matches!(decision, Decision::Go) {
            self.attempts.push(Attempt {
                number,
                login,
                at: now,
                outcome: Outcome::UnderWay,
                counts_for_account: true,
                counts_for_credential: true,
            });
        }
        decision
    }

    /// The attempt `number` came to this.
    pub(crate) fn end(&mut self, number: u64, verdict: &Verdict, now: Millis) {
        let Some(at) = self
            .attempts
            .iter()
            .position(|attempt| attempt.number == number)
        else {
            return;
        };
        let login = self.attempts[at].login;
        match verdict {
            Verdict::None => {
                self.attempts.remove(at);
            }
            Verdict::Succeeded => {
                let began = self.attempts.remove(at).at;
                self.succeeded(login, began);
            }
            Verdict::Unknown => {
                self.attempts[at].outcome = Outcome::Unknown;
                self.attempts[at].at = now;
            }
            Verdict::Refused { message } => {
                self.attempts[at].outcome = Outcome::Refused {
                    message: message.clone(),
                };
                self.attempts[at].at = now;
                self.proven.retain(|proven| *proven != login);
            }
        }
    }

    /// Failures that had ended before this login began are no failures in a row any more. Later ones may be.
    fn succeeded(&mut self, login: Login, began: Millis) {
        for attempt in &mut self.attempts {
            if attempt.outcome != Outcome::UnderWay && attempt.at <= began {
                attempt.counts_for_account &= attempt.login.service != login.service;
                attempt.counts_for_credential &= attempt.login.credential != login.credential;
            }
        }
        // What was refused before, this token service takes now.
        self.attempts.retain(|attempt| {
            attempt.login != login || attempt.counts_for_account || attempt.counts_for_credential
        });
        self.proven.retain(|proven| *proven != login);
        if self.proven.len() >= MOST_REMEMBERED {
            self.proven.remove(0);
        }
        self.proven.push(login);
    }

    fn decide(&self, login: Login, now: Millis) -> Decision {
        let refusal = self
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| match &attempt.outcome {
                Outcome::Refused { message } if attempt.login == login => {
                    Some((message, attempt.at))
                }
                _ => None,
            });
        if let Some((message, at)) = refusal {
            let left = (at + WINDOW).saturating_sub(now);
            return Decision::Denied(
                TokenError::refused(message.clone()).remember_for(Duration::from_millis(left)),
            );
        }
        let at_account = |attempt: &&Attempt| {
            attempt.counts_for_account && attempt.login.service == login.service
        };
        let with_credential = |attempt: &&Attempt| {
            attempt.counts_for_credential && attempt.login.credential == login.credential
        };
        let works_here = self.proven.contains(&login);
        let is_account_known = self
            .proven
            .iter()
            .any(|proven| proven.service == login.service);
        let works_somewhere = self
            .proven
            .iter()
            .any(|proven| proven.credential == login.credential);
        let account_limit = if is_account_known && !works_here {
            MOST_FAILURES_OF_OTHERS
        } else {
            MOST_FAILURES
        };
        let account = room(
            self.attempts.iter().filter(at_account),
            account_limit,
            works_here,
        );
        let credential = room(
            self.attempts.iter().filter(with_credential),
            MOST_FAILURES,
            works_somewhere,
        );
        match (account, credential) {
            (Room::None, _) | (_, Room::None) => Decision::Denied(too_many_failures()),
            (Room::Later, _) | (_, Room::Later) => Decision::Wait,
            (Room::Now, Room::Now) => Decision::Go,
        }
    }

    /// Forgets what is over, and counts attempts that no login waits for any more.
    fn sweep(&mut self, now: Millis, lease: Option<Millis>) {
        for attempt in &mut self.attempts {
            // Processes' clocks may differ, in either direction.
            let is_abandoned = lease.is_some_and(|lease| attempt.at.abs_diff(now) >= lease);
            if attempt.outcome == Outcome::UnderWay && is_abandoned {
                attempt.outcome = Outcome::Unknown;
            }
        }
        self.attempts
            .retain(|attempt| attempt.outcome == Outcome::UnderWay || now < attempt.at + WINDOW);
        while self.attempts.len() > MOST_REMEMBERED {
            let forgettable = self
                .attempts
                .iter()
                .position(|attempt| !attempt.counts_for_account && !attempt.counts_for_credential);
            match forgettable {
                Some(at) => self.attempts.remove(at),
                None => break,
            };
        }
    }

    /// Whether a failure counts, a login is under way, or a refusal is remembered.
    pub(crate) fn counts_anything(&self, now: Millis) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.outcome == Outcome::UnderWay || now < attempt.at + WINDOW)
    }

    /// Whether it knows nothing that a new history would not.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        self.proven.is_empty() && !self.counts_anything(now)
    }
}

const WINDOW: Millis = millis(REFUSAL_REMEMBERED);

pub(crate) const fn millis(duration: Duration) -> Millis {
    duration
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(duration.subsec_millis() as Millis)
}

/// Whether one more may fail.
enum Room {
    Now,
    /// Once one of those under way has ended.
    Later,
    None,
}

/// Of those that count: one at a time until the credential has worked; then as many as could all fail without reaching the
/// limit.
fn room<'a>(counted: impl Iterator<Item = &'a Attempt>, limit: usize, works: bool) -> Room {
    let (mut failed, mut under_way) = (0, 0);
    for attempt in counted {
        match attempt.outcome {
            Outcome::UnderWay => under_way += 1,
            Outcome::Unknown | Outcome::Refused { .. } => failed += 1,
        }
    }
    let is_crowded = under_way > 0 && (!works || failed + under_way + 1 >= limit);
    if failed >= limit {
        Room::None
    } else if is_crowded {
        Room::Later
    } else {
        Room::Now
    }
}

fn too_many_failures() -> TokenError {
    TokenError::fault(
        "several logins of this account were refused or left without an answer in the last 15 minutes, and one more might \
         lock it; nothing was sent; check user name and password, and that the token service answers",
    )
}

#[cfg(test)]
mod tests;
