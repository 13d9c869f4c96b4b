//! The token service of ArcGIS 10.0: `request=getToken`, and the token as plain text.

use std::io;

use http::Method;
use hyper::body::Incoming;

use crate::answer::{self, Answer};
use crate::binding::Binding;
use crate::expiration;
use crate::issuer::TokenRequest;
use crate::pages;
use crate::request_parts::{Fields, RequestHead};
use crate::state::{State, lock};

const PLAIN: &str = "text/plain;charset=utf-8";

/// How a [`crate::Personality::Legacy`] server refuses a login. See [`crate::StandIn::set_legacy_refusal`].
///
/// ```
/// use arcgis_stand_in::{LegacyRefusal, Personality, StandIn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let arcgis = StandIn::builder().personality(Personality::Legacy).start().await?;
/// arcgis.set_legacy_refusal(LegacyRefusal::Forbidden);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LegacyRefusal {
    /// HTTP 200 and an HTML page that says so. The default.
    #[default]
    Page,
    /// HTTP 403 and an HTML page.
    Forbidden,
}

/// Its switches.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) get_allowed: bool,
    pub(crate) post_allowed: bool,
    pub(crate) refusal: LegacyRefusal,
    pub(crate) only_pages: bool,
}

impl Default for Legacy {
    fn default() -> Self {
        Self {
            get_allowed: true,
            post_allowed: true,
            refusal: LegacyRefusal::default(),
            only_pages: false,
        }
    }
}

/// `/arcgis/tokens`: a login, or the page a browser sees.
pub(crate) async fn tokens(
    state: &State,
    head: &RequestHead,
    body: Incoming,
) -> io::Result<Answer> {
    let form = state.host.read(head, body).await.form;
    let get_token = GetToken { state, head, form };
    if !get_token
        .field("request")
        .is_some_and(|request| request.eq_ignore_ascii_case("getToken"))
    {
        return Ok(answer::html(pages::token_service()));
    }
    state.count_attempt(get_token.field("username"));
    state.logins.serve(&get_token).await
}

/// One `request=getToken`.
struct GetToken<'a> {
    state: &'a State,
    head: &'a RequestHead,
    form: Fields,
}

impl GetToken<'_> {
    /// A field of the form or of the query.
    fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).or_else(|| self.head.query.get(name))
    }

    fn all_fields(&self) -> &Fields {
        if self.form.get("expiration").is_some() {
            &self.form
        } else {
            &self.head.query
        }
    }

    fn allowed(&self) -> bool {
        let legacy = lock(&self.state.legacy);
        match self.head.method {
            Method::GET => legacy.get_allowed,
            Method::POST => legacy.post_allowed,
            _ => false,
        }
    }

    fn refuse(&self, why: &str) -> Answer {
        self.count_refusal();
        let refusal = lock(&self.state.legacy).refusal;
        let page = answer::html(pages::plain(&format!("Unable to generate token. {why}")));
        match refusal {
            LegacyRefusal::Page => page,
            LegacyRefusal::Forbidden => answer::status(page, 403),
        }
    }
}

impl TokenRequest for GetToken<'_> {
    fn usual_answer(&self) -> Answer {
        if lock(&self.state.legacy).only_pages {
            return answer::html(pages::token_service());
        }
        if !self.allowed() {
            self.count_refusal();
            let page = pages::plain(&format!("{} is not allowed here.", self.head.method));
            return answer::status(answer::html(page), 403);
        }
        let binding = match self.field("clientid") {
            None => Some(Binding::Address(self.head.from)),
            Some(client_id) => Binding::of_client_id(client_id),
        };
        let Some(binding) = binding else {
            return self.refuse("Invalid client ID.");
        };
        let Ok(asked_for) = expiration::asked_for(self.all_fields()) else {
            return self.refuse("Invalid expiration.");
        };
        let user = self.field("username").unwrap_or_default();
        let password = self.field("password").unwrap_or_default();
        match self.state.log_in(user, password, binding, asked_for) {
            Some((text, _)) => answer::bytes(PLAIN, text),
            None => self.refusal(),
        }
    }

    fn refusal(&self) -> Answer {
        self.refuse("Invalid username or password.")
    }

    fn dead_token(&self) -> Answer {
        self.state.count_login(self.field("username"));
        answer::bytes(PLAIN, lock(&self.state.host.tokens).unused_text())
    }

    fn count_refusal(&self) {
        self.state.count(|counters| counters.login_refusals += 1);
    }
}
