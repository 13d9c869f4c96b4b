//! The issuer of a token service: it answers each request for a token, holds it at a gate, or answers with a fault.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::sync::watch;

use crate::answer::{self, Answer, HTML, JSON};
use crate::body::{self, Step};
use crate::fault::TokenFault;
use crate::gate;
use crate::pages;

const MIB: usize = 1024 * 1024;
const HUGE_MIB: u64 = 64;

/// One request for a token, and the answers that its service has for it.
pub(crate) trait TokenRequest {
    /// What the answer calls the token.
    const FIELD: &'static str = "token";

    /// The answer when no fault is set: a token, or a refusal of what was asked.
    fn usual_answer(&self) -> Answer;

    /// The refusal, in the service's own words. Counts one.
    fn refusal(&self) -> Answer;

    /// A well-formed token that no service accepts. Counts as issued.
    fn dead_token(&self) -> Answer;

    /// Counts a refusal in words that are not the service's own.
    fn count_refusal(&self);
}

/// Issues the tokens of one end point.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) fault: watch::Sender<Option<TokenFault>>,
    pub(crate) held: watch::Sender<usize>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            fault: watch::Sender::new(None),
            held: watch::Sender::new(0),
        }
    }
}

impl Issuer {
    /// Answers once no gate is closed, in the way of the fault that is set. An error breaks the connection off.
    pub(crate) async fn serve<M: TokenRequest + Sync>(&self, request: &M) -> io::Result<Answer> {
        gate::pass(&self.held).await;
        Ok(match self.past_hanging().await {
            None => request.usual_answer(),
            Some(TokenFault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                request.usual_answer()
            }
            Some(TokenFault::Mislabelled) => {
                let mut answer = request.usual_answer();
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
                answer
            }
            Some(TokenFault::Huge) => {
                let mut answer = request.usual_answer();
                let blank = Bytes::from(vec![b' '; MIB]);
                *answer.body_mut() = body::scripted([Step::Repeat(blank, HUGE_MIB)]);
                answer
            }
            Some(TokenFault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(TokenFault::Refuse) => request.refusal(),
            Some(TokenFault::PortalRefuse) => {
                request.count_refusal();
                let details = Value::from(vec!["Invalid username or password."]);
                answer::bytes(
                    JSON,
                    answer::error_text(400, "Unable to generate token.", &details),
                )
            }
            Some(TokenFault::DeadToken) => request.dead_token(),
            Some(fault) => broken(fault, M::FIELD),
        })
    }

    /// The fault now set, once it is not [`TokenFault::Hang`].
    async fn past_hanging(&self) -> Option<TokenFault> {
        let mut faults = self.fault.subscribe();
        match faults
            .wait_for(|fault| *fault != Some(TokenFault::Hang))
            .await
        {
            Ok(fault) => fault.clone(),
            Err(_) => None,
        }
    }
}

/// Faults that have nothing to do with what was asked.
fn broken(fault: TokenFault, field: &str) -> Answer {
    match fault {
        TokenFault::Status(code) => answer::status(answer::html(pages::plain("Trouble")), code),
        TokenFault::Html => answer::html(pages::plain("Maintenance")),
        TokenFault::Garbage => answer::bytes(
            JSON,
            Bytes::from_static(&[0x00, 0xff, 0xfe, b'{', 0x80, 0x01, b'"', 0xc3]),
        ),
        TokenFault::Empty => answer::bytes(JSON, Bytes::new()),
        TokenFault::Truncated => {
            let start = Bytes::from(format!(r#"{{"{field}":"AAAA"#));
            // Two pauses: one for the head, one for the start of the body.
            let body = body::scripted([Step::Data(start), Step::Pause, Step::Pause, Step::Fail]);
            answer::with_header(answer::labelled(JSON, body), CONTENT_LENGTH, "256")
        }
        TokenFault::NoToken => answer::bytes(JSON, "{}"),
        TokenFault::OddToken => answer::bytes(
            JSON,
            format!(r#"{{"{field}":"<b>not a\r\ntoken</b>","expires":4102444800000}}"#),
        ),
        TokenFault::Redirect(url) => answer::status(answer::redirect(&url), 307),
        // Handled before.
        _ => answer::status(answer::html(pages::plain("Trouble")), 500),
    }
}
