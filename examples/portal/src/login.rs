//! Who may sign in: the two kinds of login, and how a password is checked.

use std::thread;

use secrecy::SecretString;
use tokio::task::spawn_blocking;
use tower_arcgis_auth::{Credential, RenewError, SiteHandle};

use crate::{
    attempts::{Failures, Turns},
    people::Person,
    portal::Pending,
    users::UsersFile,
};

/// Who the people are that sign in.
#[derive(Clone, Debug)]
pub enum Login {
    /// People with ArcGIS accounts of their own. The first service's site checks their passwords.
    Arcgis,
    /// The service's own users, in front of an ArcGIS account that nobody sees.
    Own {
        /// Who they are.
        users: UsersFile,
        /// What all sites are asked with.
        account: Credential,
    },
}

/// Logins at ArcGIS at once: they cost this machine nothing, and ArcGIS little.
const ARCGIS_LOGINS: usize = 16;

/// Why nobody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Name and password do not fit.
    Password,
    /// The name had too many wrong passwords lately; this one was not tried.
    TooManyFailures,
    /// Too many sign in at the same time.
    Busy,
    /// The check could not be made; the log says why.
    Unavailable,
}

/// Checks names and passwords.
pub(crate) struct Check {
    turns: Turns,
    by: By,
}

enum By {
    Arcgis(SiteHandle),
    Own {
        users: UsersFile,
        failures: Failures,
    },
}

impl Check {
    pub(crate) fn at_arcgis(site: SiteHandle) -> Self {
        Self {
            turns: Turns::new(ARCGIS_LOGINS),
            by: By::Arcgis(site),
        }
    }

    pub(crate) fn of_own(users: UsersFile) -> Self {
        Self {
            // A hash takes all of a processor, and 19 MiB.
            turns: Turns::new(thread::available_parallelism().map_or(1, Into::into)),
            by: By::Own {
                users,
                failures: Failures::new(),
            },
        }
    }

    /// The person with this name and password. ArcGIS is asked once at most.
    pub(crate) async fn sign_in(
        &self,
        name: String,
        password: SecretString,
        pending: impl FnOnce(Person) -> Pending,
    ) -> Result<Pending, Refused> {
        let _turn = self.turns.next().await.ok_or(Refused::Busy)?;
        match &self.by {
            By::Arcgis(site) => {
                let credential = Credential::user(name.as_str(), password);
                let pending = pending(Person::new(name, Some(credential)));
                match site.renew_identity(&pending.person().identity).await {
                    Ok(_) => Ok(pending),
                    Err(error) => Err(refused(&error)),
                }
            }
            By::Own { users, failures } => {
                if failures.are_too_many(&name) {
                    return Err(Refused::TooManyFailures);
                }
                // Counted before it is tried: many at once are no more than one after the other.
                failures.count(&name);
                let (users, user) = (users.clone(), name.clone());
                let accepted = spawn_blocking(move || users.accepts(&user, &password)).await;
                match accepted {
                    Ok(Ok(true)) => {
                        failures.forget(&name);
                        Ok(pending(Person::new(name, None)))
                    }
                    Ok(Ok(false)) => Err(Refused::Password),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "nobody can sign in");
                        Err(Refused::Unavailable)
                    }
                    Err(error) => {
                        tracing::error!(%error, "the check of a password broke off");
                        Err(Refused::Unavailable)
                    }
                }
            }
        }
    }
}

fn refused(error: &RenewError) -> Refused {
    match error {
        RenewError::Refused(_) => Refused::Password,
        error => {
            tracing::warn!(%error, "ArcGIS's token service did not check a password");
            Refused::Unavailable
        }
    }
}
