//! Error pages of the Portal Directory, and directories that are disabled.

use tower_arcgis_auth::Verdict;

use crate::support::received::{INVALID, REQUIRED, Received, page, received};

/// An error page of the Portal Directory.
fn portal(error: &str) -> Received {
    page(format!(
        "<html><head><title>ArcGIS Portal Directory</title></head><body>\
         <div class=\"bar\">ArcGIS Portal Directory</div>{error}</body></html>"
    ))
}

#[test]
fn an_error_page_of_the_portal_directory_is_known_by_its_code() {
    let error = |code: &str| {
        portal(&format!(
            "<h2>Error</h2>\nIt says why.<br/>\nError: {code}\n"
        ))
    };
    assert_eq!(error("499").verdict(), REQUIRED);
    assert_eq!(error("498").verdict(), INVALID);
    assert_eq!(error("498").signed().verdict(), INVALID);
    assert_eq!(error("403").verdict(), REQUIRED);
    assert_eq!(error("403").signed().verdict(), Verdict::Clean);
    for other in ["400", "404", "500", "4990", "soon", ""] {
        assert_eq!(error(other).verdict(), Verdict::Clean, "{other}");
    }
}

#[test]
fn an_error_page_of_the_portal_directory_may_be_written_in_many_ways() {
    for error in [
        "<H2 class='x'>\n  ERROR\n</H2><p>Why.</p><p>error:499</p>",
        "<h1><span>Error</span></h1>Why. Error: 499",
        "<h2>Error</h2>Error: no token\n<br>Error&#58;&nbsp;499",
        "<h3>Error</h3><div>An error.</div><b>Error:</b> <i>499</i>",
        "<h2>Error</h2>Why.<br/>Error : 499",
    ] {
        assert_eq!(portal(error).verdict(), REQUIRED, "{error}");
    }
    let shouted = "<HTML><HEAD><TITLE>\n arcgis  portal directory </TITLE></HEAD>\
        <BODY><H2>Error</H2>Error: 499</BODY></HTML>";
    assert_eq!(page(shouted).verdict(), REQUIRED);
}

#[test]
fn a_page_of_the_portal_directory_that_only_speaks_of_errors_is_none() {
    for content in [
        "Error: 499",
        "<h2>Item</h2>Error: 499",
        "<h2>Errors</h2>Error: 499",
        "<p>Error</p>Error: 499",
        "<h2>Error</h2><!-- Error: 499 -->",
        "<h2>Error</h2>Error: 499 trees",
    ] {
        assert_eq!(portal(content).verdict(), Verdict::Clean, "{content}");
    }
    let elsewhere = "<html><title>My portal</title><h2>Error</h2>Error: 499</html>";
    assert_eq!(page(elsewhere).verdict(), Verdict::Clean);
}

#[test]
fn a_directory_that_is_disabled_wants_no_token() {
    let said = "Services Directory has been disabled.";
    let server = format!(
        "<html><head><title>Error: {said}</title></head>\
         <body><b>Error: </b>{said}<br/><b>Code: </b>403<br/></body></html>"
    );
    for page in [page(&server), received(403, &server)] {
        assert_eq!(page.verdict(), Verdict::Clean);
    }
    let portal = portal(&format!("<h2>Error</h2>{said}<br/>Error: 403"));
    assert_eq!(portal.verdict(), Verdict::Clean);
    for json in [
        format!(r#"{{"error":{{"code":403,"message":"{said}","details":[]}}}}"#),
        format!(r#"{{"error":{{"message":"{said}","code":403}}}}"#),
        format!(r#"{{"status":"error","messages":["{said}"],"code":403}}"#),
    ] {
        assert_eq!(received(403, &json).verdict(), Verdict::Clean, "{json}");
        assert_eq!(received(200, &json).verdict(), Verdict::Clean, "{json}");
    }
    // Another 403 without a token may well be cured by one.
    for other in ["You may not.", "Editing is disabled.", "No such directory."] {
        let json = format!(r#"{{"error":{{"code":403,"message":"{other}"}}}}"#);
        assert_eq!(received(200, json).verdict(), REQUIRED, "{other}");
    }
}
