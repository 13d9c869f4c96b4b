//! What happened at a portal.

/// How often things happened at a portal since the start, or since [`crate::Portal::reset_counters`].
///
/// Requests under `/stand-in/` are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortalCounters {
    /// All requests, counted when their head arrives.
    pub requests: u64,
    /// Requests for `sharing/rest/info`.
    pub info_requests: u64,
    /// Requests to `generateToken` with a user name and a password, counted when they have arrived in full.
    pub login_attempts: u64,
    /// Login attempts that were given a token.
    pub logins: u64,
    /// Login attempts refused for their credential, their form, or a locked account.
    pub login_refusals: u64,
    /// Requests for a server token (`request=getToken`), counted when they have arrived in full.
    pub exchange_attempts: u64,
    /// Server tokens given out.
    pub exchanges: u64,
    /// Requests for a server token refused: for their form, the portal token, or the server.
    pub exchange_refusals: u64,
    /// Requests to `oauth2/token`, counted when they have arrived in full.
    pub oauth_attempts: u64,
    /// `client_credentials` grants that were given a token.
    pub client_credentials: u64,
    /// `authorization_code` grants that were given a token.
    pub authorization_codes: u64,
    /// `refresh_token` grants that were given a token.
    pub refreshes: u64,
    /// `exchange_refresh_token` grants that were given a token.
    pub refresh_token_exchanges: u64,
    /// OAuth grants refused.
    pub oauth_refusals: u64,
    /// Requests for the sign-in page, `oauth2/authorize`.
    pub authorize_requests: u64,
    /// Requests to `oauth2/revokeToken` that were answered with success.
    pub revocations: u64,
    /// Requests to items, `portals/self` and `community/self`.
    pub content_requests: u64,
    /// Those of them that carried a token or an API key, good or bad.
    pub signed_requests: u64,
    /// Those of them that were refused for want of a token or for a bad one.
    pub challenges: u64,
    /// Requests that carried two or more tokens that differ.
    pub conflicting_tokens: u64,
    /// Requests whose portal token or API key was good but bound to another `Referer`.
    pub referer_mismatches: u64,
    /// Requests whose portal token was good but bound to another address.
    pub address_mismatches: u64,
}
