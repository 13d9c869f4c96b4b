//! The token service as a source of tokens, without HTTP.

use std::sync::atomic::Ordering;

use tokio::time::sleep;
use tower_arcgis_auth::{Fingerprint, IssuedToken, SignOut, TokenError, TokenRequest, TokenSource};

use super::{super::ROOT, Reply, TokenService};

impl TokenSource for TokenService {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let identity = request
            .identity()
            .map(|identity| identity.as_str().to_owned());
        self.shared.reasons.lock().unwrap().push(request.reason());
        let (asks_for_leave, lifetime) = {
            let script = self.script();
            (script.asks_for_leave, script.lifetime)
        };
        let mut leave = None;
        if asks_for_leave {
            let (account, secret) = {
                let script = self.script();
                (script.account.clone(), script.secret.clone())
            };
            let user = identity.clone().or(account);
            let (user, secret) = (
                user.as_deref().unwrap_or("reader"),
                secret.as_deref().unwrap_or("secret"),
            );
            let mut attempt = request.login_attempt(ROOT, user, secret).await?;
            attempt.sent();
            leave = Some(attempt);
        }
        let token = self.attempt(identity.as_deref(), true).await;
        let mut reply = self.settle(identity.as_deref(), None);
        while let Reply::After(time, then) = reply {
            sleep(time).await;
            reply = *then;
        }
        let error = match reply {
            Reply::Token => {
                self.shared.tokens.add(&token);
                None
            }
            Reply::Useless => None,
            Reply::Refused => Some(TokenError::refused("wrong password")),
            Reply::Fault => Some(TokenError::fault("token service down")),
            Reply::Hangs => std::future::pending().await,
            Reply::Panics => panic!("the token source panics, as scripted"),
            other => panic!("{other:?} is for HTTP"),
        };
        self.shared.answered.fetch_add(1, Ordering::SeqCst);
        match (leave, &error) {
            (None, _) => {}
            (Some(leave), None) => leave.succeeded(),
            (Some(leave), Some(error)) if error.is_refused() => leave.refused(error),
            (Some(leave), Some(_)) => leave.no_verdict(),
        }
        if let Some(error) = error {
            return Err(error);
        }
        let issued = IssuedToken::try_new(token)?;
        Ok(match lifetime {
            Some(lifetime) => issued.valid_for(lifetime),
            None => issued,
        })
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        let script = self.script();
        if let Some(account) = &script.account {
            fingerprint.account(account);
        }
        match &script.secret {
            Some(secret) => fingerprint.secret(secret),
            None => fingerprint.cannot_tell(),
        }
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.shared.sign_outs.fetch_add(1, Ordering::SeqCst);
        let takes = self.script().sign_out_takes;
        if !takes.is_zero() {
            sleep(takes).await;
        }
        if let Some(token) = sign_out.token() {
            self.shared.tokens.revoke(token.expose());
        }
        Ok(())
    }
}
