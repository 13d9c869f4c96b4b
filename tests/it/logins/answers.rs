//! What is made of the answers of token services.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::time::advance;
use tower_arcgis_auth::SkipReason;

use super::{SECURE_ROADS, error_of, log_in, named_secure_site};
use crate::support::{MINUTE, REQUIRED, Reply, TokenService, answer, client, get, send};

/// Answers of token services, and whether the account was refused or the service is broken.
#[tokio::test]
async fn refusals_of_every_product_are_distinguished_from_faults() {
    let refusals = [
        (
            200,
            r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":400,"messageCode":"GWM_0003","message":"Unable to generate token.","details":["Invalid username or password."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Too many invalid attempts. Please try again later."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":401,"message":"You are not authorized to access this information","details":"Invalid credentials"}}"#,
        ),
        (
            200,
            r#"{"error":{"code":201,"message":"Exception in generating token","details":[]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":403,"message":"SSL required","details":[]}}"#,
        ),
        (200, r#"{"error":{"code":"401","message":"no"}}"#),
        (
            200,
            r#"{"error":{"message":"You do not have permissions","details":[]}}"#,
        ),
        (
            200,
            r#"{"status":"error","messages":["Invalid username or password"],"code":401}"#,
        ),
        (
            400,
            r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
        ),
        (401, "<html>401</html>"),
        (403, "<html>Invalid credentials</html>"),
        (401, r#"{"detail":"Incorrect username or password"}"#),
        (403, r#"{"title":"Forbidden","status":403}"#),
    ];
    let faults = [
        (500, ""),
        (502, "<html>Bad Gateway</html>"),
        (200, "<html><title>ArcGIS Token Service</title></html>"),
        (200, ""),
        (200, "not json"),
        (200, "{\"token\":"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"token":""}"#),
        (200, r#"{"token":"<html>"}"#),
        (200, r#"{"token":"a b"}"#),
        (200, r#"{"token":12}"#),
        (404, "<html>404</html>"),
        (200, r#"{"error":{"code":500,"message":"x"}}"#),
        (200, r#"{"error":{"code":429,"message":"x"}}"#),
        (200, r#"{"error":{"code":404,"message":"x"}}"#),
        (
            200,
            r#"{"error":{"code":405,"message":"Method not supported","details":"x"}}"#,
        ),
        (
            200,
            r#"{"status":"error","messages":["The machine does not participate in any Site."],"code":500}"#,
        ),
        (503, r#"{"error":"temporarily_unavailable"}"#),
        (302, ""),
    ];
    let all = refusals
        .iter()
        .map(|answer| (answer, true))
        .chain(faults.iter().map(|answer| (answer, false)));
    for ((status, body), refused) in all {
        let (status, body) = (StatusCode::from_u16(*status).unwrap(), *body);
        let service = TokenService::new().answering(Reply::page(status, body));
        let named = named_secure_site();
        let (got, _) = log_in(named, &service, SECURE_ROADS).await;
        let error = error_of(&got);
        assert_eq!(error.is_refused(), refused, "{status} {body}: {error}");
        assert!(
            error
                .to_string()
                .contains("gis.city.gov/arcgis/tokens/generateToken")
                || error.to_string().contains("token"),
            "{error}"
        );
        assert_eq!(got.body, REQUIRED, "the challenge itself is returned");
        assert_eq!(
            matches!(got.outcome.skip_reason(), Some(SkipReason::LoginRefused(_))),
            refused
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_a_fault() {
    let service = TokenService::new().answering(Reply::says(vec![b' '; 1024 * 1024]));
    let named = named_secure_site();
    let (got, _) = log_in(named, &service, SECURE_ROADS).await;
    assert!(error_of(&got).to_string().contains("longer"));
}

/// Sends, waits `wait`, sends again: how many logins were made?
async fn logins_after(login: String, date: SystemTime, wait: Duration) -> usize {
    let mut says = answer(login);
    let date = httpdate::fmt_http_date(date).parse().unwrap();
    says.headers_mut().insert("date", date);
    let service = TokenService::new().answering(Reply::Says(says));
    let client = client(named_secure_site(), &service);
    send(&client, get(SECURE_ROADS)).await;
    advance(wait).await;
    tokio::task::yield_now().await;
    assert!(send(&client, get(SECURE_ROADS)).await.is_clean());
    service.attempts()
}

#[tokio::test(start_paused = true)]
async fn expiry_is_counted_from_the_servers_own_date_and_read_as_number_or_string() {
    // The server's clock is years off; an hour of its own is an hour.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_255_462_750);
    for expires in ["1255466350000", "\"1255466350000\""] {
        let login = format!(r#"{{"token":"abc","expires":{expires}}}"#);
        assert_eq!(logins_after(login.clone(), date, 50 * MINUTE).await, 1);
        assert_eq!(logins_after(login, date, 61 * MINUTE).await, 2);
    }
    // An end that has passed is a clock gone wrong, and no reason to log in for every request.
    for expires in ["0", "1255462750000", "-5", "\"soon\"", "null"] {
        let login = format!(r#"{{"token":"abc","expires":{expires}}}"#);
        assert_eq!(
            logins_after(login, date, 600 * MINUTE).await,
            1,
            "{expires}"
        );
    }
}
