//! HTML pages: the services directory, login forms, errors, the token service.

/// Markup-safe text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The frame of every directory page, public or not: the words "Login" and "Get Token" prove nothing.
fn frame(title: &str, content: &str) -> String {
    let title = escaped(title);
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><title>{title}</title></head>
<body>
<div class="bar">Stand-in REST Services Directory | <a href="/arcgis/rest/login">Login</a> | <a href="/arcgis/tokens/">Get Token</a></div>
<h2>{title}</h2>
{content}
</body>
</html>
"#
    )
}

/// A list of services.
pub(crate) fn directory(services: &[String]) -> String {
    let items: String = services
        .iter()
        .map(|path| {
            let path = escaped(path);
            format!("<li><a href=\"{path}\">{path}</a></li>\n")
        })
        .collect();
    frame("Folder: /", &format!("<ul>\n{items}</ul>"))
}

/// One service, layer or query page.
pub(crate) fn resource(path: &str) -> String {
    let name = path.rsplit("/services/").next().unwrap_or(path);
    frame(
        name,
        "<p>Supported operations: <a href=\"?f=json\">JSON</a>. Secured services need a token: Login first.</p>",
    )
}

/// The page of an exported map.
pub(crate) fn exported(path: &str, href: &str) -> String {
    let name = path.rsplit("/services/").next().unwrap_or(path);
    let href = escaped(href);
    frame(
        name,
        &format!("<p><img src=\"{href}\" alt=\"\"></p>\n<p><a href=\"{href}\">Image</a></p>"),
    )
}

/// The page of a failed request.
pub(crate) fn error_page(code: u16, message: &str) -> String {
    frame(
        &format!("Error: {message}"),
        &format!(
            "<p><b>Error: </b>{}<br/>\n<b>Code: </b>{code}<br/></p>",
            escaped(message)
        ),
    )
}

/// The login form.
pub(crate) fn login_page(redirect: &str) -> String {
    frame(
        "Stand-in REST Services Directory Login",
        &format!(
            r#"<form id="login" method="post" action="/arcgis/rest/login">
<label>User name <input type="text" name="username"></label>
<label>Password <input type="password" name="password"></label>
<input type="hidden" name="redirect" value="{}">
<button type="submit">Login</button>
</form>"#,
            escaped(redirect)
        ),
    )
}

/// The login form as old servers wrote it: capitals, single quotes, no closing tags.
pub(crate) fn login_page_100(redirect: &str) -> String {
    format!(
        "<HTML>\n<HEAD><TITLE>Stand-in REST Services Directory Login</TITLE></HEAD>\n<BODY>\n\
         <FORM METHOD='POST' ACTION='/arcgis/rest/login'>\n\
         <TABLE><TR><TD>Username:<TD><INPUT NAME='username' TYPE='text'>\n\
         <TR><TD>Password:<TD><INPUT NAME='password' TYPE='password'></TABLE>\n\
         <INPUT TYPE='hidden' NAME='redirect' VALUE='{}'>\n\
         <INPUT TYPE='submit' VALUE='Log In'>\n</FORM>\n</BODY>\n</HTML>\n",
        escaped(redirect)
    )
}

/// The page a browser sees at the token service.
pub(crate) fn token_service() -> String {
    frame(
        "Generate Token",
        r#"<img src="data:," alt="ArcGIS Token Service">
<form method="post" action="/arcgis/tokens/generateToken">
<label>User name <input type="text" name="username"></label>
<label>Password <input type="password" name="password"></label>
<button type="submit">Generate Token</button>
</form>"#,
    )
}

/// A portal's OAuth sign-in, below `context`.
pub(crate) fn oauth_sign_in(context: &str) -> String {
    r#"<!DOCTYPE html>
<html lang="en">
<head><title>Sign In</title><script>var oAuthInfo = {"oauth_state":"stand-in","client_id":"stand-in"};</script></head>
<body><form method="post" action="CONTEXT/sharing/oauth2/signin">
<input type="text" name="username"><input type="password" name="password"><button>Sign In</button>
</form></body>
</html>
"#
    .replace("CONTEXT", context)
}

/// A page that is no answer to any question.
pub(crate) fn plain(title: &str) -> String {
    let title = escaped(title);
    format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n")
}
