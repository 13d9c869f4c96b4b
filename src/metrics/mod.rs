//! What the layer records for the [`metrics`](https://docs.rs/metrics) facade: challenges, logins, re-sends, waiting
//! requests, tokens and login budgets of each site. Feature `metrics`.
//!
//! Install a recorder, such as `metrics-exporter-prometheus`, before the layer is built: its counters then start at zero, so
//! that Prometheus sees their first increase. Call [`describe`] once after that, for the help texts and units.
//!
//! ```
//! use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The recorder of your exporter is installed here.
//! tower_arcgis_auth::metrics::describe();
//! let site = Site::new("https://gis.example.com/arcgis").credential(Credential::user("reader", "secret"));
//! let layer = ArcgisAuthLayer::try_new(site)?;
//! # drop(layer);
//! # Ok(())
//! # }
//! ```
//!
//! A request that is answered without a challenge, with a token that is not near its end, records nothing.
//!
//! # Names
//!
//! Counters have no unit: they count.
//!
//! | name | kind, unit | labels | what it says |
//! | --- | --- | --- | --- |
//! | `arcgis_auth_challenges_total` | counter | `site`, `kind` | answers that were challenges, those to re-sends included |
//! | `arcgis_auth_challenges_returned_total` | counter | `site`, `reason` | requests whose answer is a challenge all the same: what callers see of a login |
//! | `arcgis_auth_resends_total` | counter | `site`, `outcome` | requests that were sent again, once each, by their last answer. A caller that hangs up before it counts nowhere |
//! | `arcgis_auth_logins_started_total` | counter | `site`, `reason` | logins that began, by why a token was wanted |
//! | `arcgis_auth_logins_total` | counter | `site`, `outcome` | logins that ended, by what came of them. Those that began and did not end are under way |
//! | `arcgis_auth_login_duration_seconds` | histogram, seconds | `site`, `outcome` | how long logins took, discovery and the wait for other logins of the account included |
//! | `arcgis_auth_logins_withheld_total` | counter | `site`, `reason` | times that a login was wanted and not made |
//! | `arcgis_auth_requests_waiting` | gauge, requests | `site` | requests that wait for a login now |
//! | `arcgis_auth_token_obtained_timestamp_seconds` | gauge, seconds since 1970 | `site` | when the token was got |
//! | `arcgis_auth_token_expiry_timestamp_seconds` | gauge, seconds since 1970 | `site` | when the token expires by what the server said; `+Inf` where it did not say |
//! | `arcgis_auth_login_budget_remaining` | gauge, logins | `site` | logins that challenges may cause now: 20 at most, one more every 30 seconds |
//! | `arcgis_auth_shared_cache_lookups_total` | counter | `site`, `result` | searches for a token in the shared cache (feature `shared-cache`) |
//! | `arcgis_auth_sign_outs_total` | counter | `site` | sessions signed out |
//!
//! # Labels
//!
//! | label | of | values |
//! | --- | --- | --- |
//! | `site` | all | the site's first root, as [`SiteHandle::root`](crate::SiteHandle::root) has it. The login at a portal, which serves all the portal's sites, has `…/sharing/rest` of the portal |
//! | `kind` | challenges | `token_required`, `token_invalid`, `login_page`, `login_redirect`: [`Challenge::as_str`](crate::Challenge::as_str) |
//! | `reason` | challenges returned | `after_resend`: the re-send was challenged too. `login_refused`, `login_failed`, `login_budget_spent`, `signed_out`, `service_refused`, `body_not_replayable`, `service_is_open`: as in [`SkipReason`](crate::SkipReason) |
//! | `outcome` | re-sends | `answered`; `challenged`: with a challenge; `failed`: the inner service failed |
//! | `reason` | logins started | `missing`, `expiring` (ahead of time: requests do not wait), `expired`, `rejected`, `required_despite_token`, `forced`: as in [`TokenReason`](crate::TokenReason) |
//! | `outcome` | logins, duration | `succeeded`; `shared`: a token out of the shared cache; `refused`: the fault is the credential's; `failed`: a fault; `withheld`: the lock-out guard let nothing be sent; `signed_out`: a sign-out ended it (without a duration) |
//! | `reason` | logins withheld | `refused_before`: a refusal is remembered; `back_off`: the pause after a failed login; `login_budget_spent`; `lockout_guard`: one more failure might lock the account, or it was refused there before; `service_refused`; `signed_out`: a sign-out is under way |
//! | `result` | shared cache lookups | `hit`; `miss`: this process logs in; `error`: the cache cannot be asked, and this process logs in |
//!
//! No label has an identity, a user name, a token or the URL of a request, so that their number is bounded by the number
//! of sites. Where each identity has a token, the site's numbers are those of all of them: the token is the one that was
//! got last, and the login budget that of the session that has least.
//!
//! # Why points in time
//!
//! A token's age is not recorded, but when it was got and when it expires. Such a value stays right however long nothing
//! happens, where an age would be as old as its last recording. Prometheus computes the rest:
//!
//! ```text
//! age              time() - arcgis_auth_token_obtained_timestamp_seconds
//! left             arcgis_auth_token_expiry_timestamp_seconds - time()
//! callers see it   sum by (site, reason) (rate(arcgis_auth_challenges_returned_total[5m])) > 0
//! wrong password   increase(arcgis_auth_logins_total{outcome="refused"}[15m]) > 0
//! ```
//!
//! A token is renewed when a request needs it: that a token of an idle site has expired is no fault. After a sign-out both
//! are `NaN` until the next login, but not where each identity has a token.

#[cfg(feature = "metrics")]
mod names;
#[cfg(not(feature = "metrics"))]
mod off;
mod outcomes;
#[cfg(feature = "metrics")]
mod site;

#[cfg(feature = "metrics")]
pub use self::names::describe;
#[cfg(all(not(feature = "metrics"), feature = "shared-cache"))]
pub(crate) use self::off::shared_cache_asked;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::{SiteMetrics, Waiting};
#[cfg(feature = "shared-cache")]
pub(crate) use self::outcomes::Lookup;
pub(crate) use self::outcomes::Resent;
#[cfg(all(feature = "metrics", feature = "shared-cache"))]
pub(crate) use self::site::shared_cache_asked;
#[cfg(feature = "metrics")]
pub(crate) use self::site::{SiteMetrics, Waiting};
