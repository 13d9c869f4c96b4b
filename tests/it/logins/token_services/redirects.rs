//! Redirects of a login are not followed.

use http::StatusCode;
use tower_arcgis_auth::Site;

use super::{
    PORTAL_INFO, ROOT, TOKEN, answering_by, ask, handle, info, is_legacy, password_places,
    redirect, server, site, status,
};
use crate::support::{answer, reader};

#[tokio::test]
async fn a_login_that_is_redirected_is_not_followed_and_names_the_place() {
    const END: &str = "secure.test/arcgis/tokens/generateToken";
    for code in [301, 302, 303, 307, 308] {
        for (legacy, user, shown) in [
            (false, "", ""),
            (true, "", ""),
            (false, "user:hunter2@", "…@"),
        ] {
            let service = server(info("https://gis.test/arcgis/tokens"), move |asked| {
                if legacy && !is_legacy(asked) {
                    return status(StatusCode::NOT_FOUND, "<html>404</html>");
                }
                redirect(code, &format!("https://{user}{END}?token=hunter2"))
            });
            let handle = handle(site(), &service);
            for _ in 0..6 {
                // A redirect says nothing of the credential: none of them counts.
                let error = handle.renew().await.unwrap_err().to_string();
                let place = format!("https://{shown}{END}");
                assert!(error.contains(&place), "{error}");
                assert!(error.contains("`token_url`"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
            let places = password_places(&service);
            assert!(places.iter().all(|url| url.starts_with(ROOT)), "{places:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_redirects_all_of_http_is_not_followed_and_names_the_place() {
    for (user, shown) in [("", ""), ("user:hunter2@", "…@")] {
        let service = answering_by(move |asked| {
            redirect(301, &format!("https://{user}gis.test{}", asked.path()))
        });
        let site = Site::new("http://gis.test/arcgis")
            .allow_insecure_http()
            .credential(reader());
        let renewed = handle(site, &service).renew().await;
        let error = renewed.unwrap_err().to_string();
        let place = format!("https://{shown}gis.test/arcgis/rest/info");
        assert!(error.contains(&place), "{error}");
        assert!(error.contains("root as it is there"), "{error}");
        assert!(error.contains("`token_url`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(password_places(&service).is_empty());
        let asked = service.requests();
        let mut schemes = asked.iter().map(|asked| asked.uri.scheme_str());
        assert!(schemes.all(|scheme| scheme == Some("http")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_portal_that_redirects_what_it_does_not_know_is_found() {
    let service = answering_by(|asked| match asked.path() {
        "/arcgis/rest/info" => redirect(302, "https://gis.test/arcgis/home/"),
        "/arcgis/sharing/rest/info" => answer(PORTAL_INFO),
        _ => answer(TOKEN),
    });
    assert!(ask(site(), &service).await.is_clean());
    let places = password_places(&service);
    assert_eq!(
        places,
        ["https://gis.test/arcgis/sharing/rest/generateToken"]
    );
}
