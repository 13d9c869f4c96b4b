//! What the layer does, seen from outside: one program, a folder or a file for each subject.
//!
//! A new test goes to the subject whose rule it checks, not to the module that it covers:
//!
//! | subject | rule |
//! | --- | --- |
//! | `detection` | what is a challenge; a response of a real server is a line of `detection/responses.jsonl` |
//! | `response_body`, `scrubbing` | what is returned: the server's own answer, without tokens and sessions |
//! | `replay` | what is sent again, whole; what is kept for that |
//! | `placement`, `sites` | where the token stands; which requests are signed |
//! | `logins` | how a credential becomes a token, one file a method; what is made of the answers |
//! | `lock_out` | how often a credential is sent: anything that ArcGIS may count as a failed login |
//! | `token_store` | single flight, renewal, back-off, the budget of logins, refused services |
//! | `identities`, `sharing`, `handle` | a token for each identity; a cache for several processes; the handle |
//! | `failures` | what a challenge that could not be answered becomes: a status, or an error |
//! | `service`, `redaction` | tower's contract; no secret in a `Debug` or an error |
//! | `over_reqwest` | reqwest below the layer: what is sent, and what errors say |
//! | `house` | no circle of files or folders in `src` |
//! | `end_to_end` | all of it over sockets, with the stand-in for ArcGIS |
//!
//! `support` has one scripted token service, one scripted upstream and the layer between the two: a test scripts those,
//! and sends requests. A test is named as the statement that it checks. Time is paused, and nothing sleeps for real.
//!
//! Programs of their own are tests that start processes, that count allocations, and that look at what is logged.

mod detection;
mod end_to_end;
mod failures;
mod handle;
mod house;
mod identities;
mod lock_out;
mod logins;
#[cfg(feature = "reqwest")]
mod over_reqwest;
mod placement;
mod redaction;
mod replay;
mod response_body;
mod scrubbing;
mod service;
#[cfg(feature = "shared-cache")]
mod sharing;
mod sites;
mod support;
mod token_store;
