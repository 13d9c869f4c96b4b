//! What wants a portal token: items, `portals/self`, `community/self`.

use serde_json::json;

use crate::answer::Answer;
use crate::portal::reply;
use crate::portal::state::PortalState;
use crate::presented_token::PresentedToken;
use crate::request_parts::{Fields, RequestHead};
use crate::tokens::Standing;

/// A thing that wants a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// `content/items/<id>`: 403 without a token.
    Item(&'a str),
    /// `portals/self`
    Portal,
    /// `community/self`
    Community,
}

impl<'a> Content<'a> {
    /// What is at `path` below `sharing/rest/`.
    pub(crate) fn at(path: &'a str) -> Option<Self> {
        match path {
            "portals/self" => Some(Self::Portal),
            "community/self" => Some(Self::Community),
            _ => path
                .strip_prefix("content/items/")
                .map(|rest| rest.split('/').next().unwrap_or_default())
                .filter(|id| !id.is_empty())
                .map(Self::Item),
        }
    }

    pub(crate) fn answer(self, portal: &PortalState, head: &RequestHead, form: &Fields) -> Answer {
        portal.count(|counters| counters.content_requests += 1);
        let presented = PresentedToken::find(head, form);
        let Some(token) = &presented.token else {
            return refused(
                portal,
                match self {
                    Self::Item(_) => reply::forbidden(),
                    Self::Portal | Self::Community => reply::token_required(),
                },
            );
        };
        portal.count(|counters| {
            counters.signed_requests += 1;
            counters.conflicting_tokens += u64::from(presented.conflicting);
        });
        let standing = portal.standing(token, head.caller());
        portal.count_mismatch(&standing);
        match standing {
            Standing::Good { user } => self.shown_to(&user),
            // A key that is locked to other pages is a good one.
            Standing::WrongReferer if matches!(self, Self::Item(_)) => {
                refused(portal, reply::forbidden())
            }
            _ => refused(portal, reply::invalid_token()),
        }
    }

    fn shown_to(self, user: &str) -> Answer {
        reply::json(&match self {
            Self::Item(id) => json!({
                "id": id,
                "owner": user,
                "title": "An item",
                "type": "Feature Service",
                "access": "org",
            }),
            Self::Portal => json!({
                "id": "0123456789ABCDEF",
                "name": "Stand-in portal",
                "user": { "username": user },
            }),
            Self::Community => json!({ "username": user, "role": "org_user" }),
        })
    }
}

fn refused(portal: &PortalState, answer: Answer) -> Answer {
    portal.count(|counters| counters.challenges += 1);
    answer
}
