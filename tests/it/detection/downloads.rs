//! `HEAD`, and downloads.

use http::{Method, header};
use tower_arcgis_auth::Verdict;

use crate::support::received::{CHALLENGE, INVALID, LOGIN_REDIRECT, REQUIRED, SIGN_IN, received};

#[test]
fn a_head_is_judged_by_status_and_headers() {
    let head = |status| received(status, "").to(Method::HEAD);
    assert_eq!(head(499).verdict(), REQUIRED);
    assert_eq!(head(498).signed().verdict(), INVALID);
    assert_eq!(head(401).verdict(), REQUIRED);
    for status in [301, 302, 303, 307, 308] {
        let redirect = head(status).header(header::LOCATION, "/arcgis/rest/login?redirect=x");
        assert_eq!(redirect.verdict(), LOGIN_REDIRECT, "{status}");
    }
    // Nothing is waited for: no body follows, whatever the headers promise.
    let promised = head(499)
        .header(header::CONTENT_LENGTH, "62")
        .header(header::CONTENT_ENCODING, "br");
    assert_eq!(promised.after(0, false), REQUIRED);

    for status in [200, 204, 304, 400, 403, 404, 500] {
        assert_eq!(head(status).verdict(), Verdict::Clean, "{status}");
    }
    let web_tier = head(401).header(header::WWW_AUTHENTICATE, "Negotiate");
    assert_eq!(web_tier.verdict(), Verdict::Clean);
    let closed = head(499).header(header::SERVER, "nginx");
    assert_eq!(closed.verdict(), Verdict::Clean);
    let elsewhere = head(302).header(header::LOCATION, "/arcgis/rest/services/");
    assert_eq!(elsewhere.verdict(), Verdict::Clean);
}

#[test]
fn a_download_passes_whatever_is_in_it() {
    for disposition in [
        "attachment",
        "attachment; filename=\"error.json\"",
        "Attachment ;filename=login.html",
        " ATTACHMENT;filename*=UTF-8''a",
    ] {
        let file =
            |body: &str| received(200, body).header(header::CONTENT_DISPOSITION, disposition);
        assert_eq!(file(CHALLENGE).verdict(), Verdict::Clean, "{disposition}");
        assert_eq!(
            file(SIGN_IN).after(0, false),
            Verdict::Clean,
            "{disposition}"
        );
        let coded = file(CHALLENGE).coded("br");
        assert_eq!(coded.verdict(), Verdict::Clean, "{disposition}");
    }
    for disposition in ["inline", "inline; filename=\"attachment\"", "attachments"] {
        let shown = received(200, CHALLENGE).header(header::CONTENT_DISPOSITION, disposition);
        assert_eq!(shown.verdict(), REQUIRED, "{disposition}");
    }
    // The status is the server's own.
    let refused = received(499, "").header(header::CONTENT_DISPOSITION, "attachment");
    assert_eq!(refused.verdict(), REQUIRED);
}
