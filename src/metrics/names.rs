//! The names of all metrics and the values of their labels, in one place: what is described, registered and recorded.

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use crate::{challenge::Challenge, outcome::SkipReason, token::TokenReason};

pub(super) const CHALLENGES: &str = "arcgis_auth_challenges_total";
pub(super) const CHALLENGES_RETURNED: &str = "arcgis_auth_challenges_returned_total";
pub(super) const RESENDS: &str = "arcgis_auth_resends_total";
pub(super) const LOGINS_STARTED: &str = "arcgis_auth_logins_started_total";
pub(super) const LOGINS: &str = "arcgis_auth_logins_total";
pub(super) const LOGIN_DURATION: &str = "arcgis_auth_login_duration_seconds";
pub(super) const LOGINS_WITHHELD: &str = "arcgis_auth_logins_withheld_total";
pub(super) const REQUESTS_WAITING: &str = "arcgis_auth_requests_waiting";
pub(super) const TOKEN_OBTAINED: &str = "arcgis_auth_token_obtained_timestamp_seconds";
pub(super) const TOKEN_EXPIRY: &str = "arcgis_auth_token_expiry_timestamp_seconds";
pub(super) const LOGIN_BUDGET: &str = "arcgis_auth_login_budget_remaining";
#[cfg(feature = "shared-cache")]
pub(super) const SHARED_CACHE_LOOKUPS: &str = "arcgis_auth_shared_cache_lookups_total";
pub(super) const SIGN_OUTS: &str = "arcgis_auth_sign_outs_total";

/// Counters with a second label: name, label, and the values that are registered with zero.
pub(super) const COUNTERS: [(&str, &str, &[&str]); 6] = [
    (CHALLENGES, "kind", &KINDS),
    (CHALLENGES_RETURNED, "reason", &RETURNED_BECAUSE),
    (RESENDS, "outcome", &["answered", "challenged", "failed"]),
    (LOGINS_STARTED, "reason", &STARTED_BECAUSE),
    (LOGINS, "outcome", &LOGIN_OUTCOMES),
    (LOGINS_WITHHELD, "reason", &WITHHELD_BECAUSE),
];

const KINDS: [&str; 4] = [
    Challenge::TokenRequired.as_str(),
    Challenge::TokenInvalid.as_str(),
    Challenge::LoginPage.as_str(),
    Challenge::LoginRedirect.as_str(),
];
const RETURNED_BECAUSE: [&str; 8] = [
    AFTER_RESEND,
    "login_refused",
    "login_failed",
    "login_budget_spent",
    "signed_out",
    "service_refused",
    "body_not_replayable",
    "service_is_open",
];
const STARTED_BECAUSE: [&str; 6] = [
    "missing",
    "expiring",
    "expired",
    "rejected",
    "required_despite_token",
    "forced",
];
const LOGIN_OUTCOMES: [&str; 6] = [SUCCEEDED, SHARED, REFUSED, FAILED, WITHHELD, SIGNED_OUT];
const WITHHELD_BECAUSE: [&str; 6] = [
    "refused_before",
    "back_off",
    "login_budget_spent",
    LOCKOUT_GUARD,
    "service_refused",
    "signed_out",
];

pub(super) const AFTER_RESEND: &str = "after_resend";
pub(super) const LOCKOUT_GUARD: &str = "lockout_guard";
pub(super) const SUCCEEDED: &str = "succeeded";
pub(super) const SHARED: &str = "shared";
pub(super) const REFUSED: &str = "refused";
pub(super) const FAILED: &str = "failed";
pub(super) const WITHHELD: &str = "withheld";
pub(super) const SIGNED_OUT: &str = "signed_out";

/// Why a request was not sent again.
pub(super) fn skipped_because(reason: &SkipReason) -> &'static str {
    match reason {
        SkipReason::NoCredential => "no_credential",
        SkipReason::CallersToken => "callers_token",
        SkipReason::Exempt => "exempt",
        SkipReason::BodyNotReplayable => "body_not_replayable",
        SkipReason::ServiceRefused => "service_refused",
        SkipReason::LoginRefused(_) => "login_refused",
        SkipReason::LoginFailed(_) => "login_failed",
        SkipReason::SignedOut => "signed_out",
        SkipReason::NoIdentity => "no_identity",
        SkipReason::LoginBudgetSpent => "login_budget_spent",
        SkipReason::ServiceIsOpen => "service_is_open",
    }
}

/// Why a login was not made.
pub(super) fn withheld_because(reason: &SkipReason) -> &'static str {
    match reason {
        SkipReason::LoginRefused(_) => "refused_before",
        SkipReason::LoginFailed(_) => "back_off",
        other => skipped_because(other),
    }
}

/// Why a login was made.
pub(super) fn started_because(reason: TokenReason) -> &'static str {
    match reason {
        TokenReason::RequiredDespiteToken => "required_despite_token",
        other => other.as_str(),
    }
}

/// Tells the recorder what each metric means, and its unit. Call it once, after the recorder is installed; exporters show
/// it as the metrics' help texts.
///
/// ```
/// tower_arcgis_auth::metrics::describe();
/// ```
pub fn describe() {
    let counters = [
        (CHALLENGES, "Answers of ArcGIS that were challenges"),
        (
            CHALLENGES_RETURNED,
            "Requests whose answer is a challenge all the same, by the reason",
        ),
        (RESENDS, "Requests that were sent again, by the last answer"),
        (
            LOGINS_STARTED,
            "Logins that began, by why a token was wanted",
        ),
        (LOGINS, "Logins that ended, by what came of them"),
        (
            LOGINS_WITHHELD,
            "Times that a login was wanted and not made, by the reason",
        ),
        (SIGN_OUTS, "Sessions signed out"),
        #[cfg(feature = "shared-cache")]
        (
            SHARED_CACHE_LOOKUPS,
            "Searches for a token in the shared cache, by the result",
        ),
    ];
    for (name, text) in counters {
        describe_counter!(name, Unit::Count, text);
    }
    describe_histogram!(LOGIN_DURATION, Unit::Seconds, "How long logins took");
    let gauges = [
        (
            REQUESTS_WAITING,
            Unit::Count,
            "Requests that wait for a login now",
        ),
        (
            TOKEN_OBTAINED,
            Unit::Seconds,
            "When the token was got, in seconds since 1970",
        ),
        (
            TOKEN_EXPIRY,
            Unit::Seconds,
            "When the token expires by what the server said, in seconds since 1970",
        ),
        (
            LOGIN_BUDGET,
            Unit::Count,
            "Logins that challenges may cause now",
        ),
    ];
    for (name, unit, text) in gauges {
        describe_gauge!(name, unit, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TokenError;

    const PAGE: &str = include_str!("mod.rs");

    #[test]
    fn every_name_and_every_value_of_a_label_is_documented() {
        for (name, label, values) in COUNTERS {
            for documented in [&name, &label].into_iter().chain(values) {
                assert!(PAGE.contains(&format!("`{documented}`")), "{documented}");
            }
        }
        for name in [
            LOGIN_DURATION,
            REQUESTS_WAITING,
            TOKEN_OBTAINED,
            TOKEN_EXPIRY,
            LOGIN_BUDGET,
            SIGN_OUTS,
            #[cfg(feature = "shared-cache")]
            SHARED_CACHE_LOOKUPS,
        ] {
            assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn what_is_recorded_is_registered() {
        let error = || TokenError::fault("down");
        for reason in [
            SkipReason::LoginRefused(error()),
            SkipReason::LoginFailed(error()),
            SkipReason::LoginBudgetSpent,
            SkipReason::SignedOut,
            SkipReason::ServiceRefused,
        ] {
            assert!(WITHHELD_BECAUSE.contains(&withheld_because(&reason)));
            assert!(RETURNED_BECAUSE.contains(&skipped_because(&reason)));
        }
        for reason in [SkipReason::BodyNotReplayable, SkipReason::ServiceIsOpen] {
            assert!(RETURNED_BECAUSE.contains(&skipped_because(&reason)));
        }
        for reason in [
            TokenReason::Missing,
            TokenReason::Expiring,
            TokenReason::Expired,
            TokenReason::Rejected,
            TokenReason::RequiredDespiteToken,
            TokenReason::Forced,
        ] {
            assert!(STARTED_BECAUSE.contains(&started_because(reason)));
        }
    }
}
