//! The guide: pages of documentation, and no code. The tests it shows are those that are run.

#![doc = include_str!("challenges.md")]
//!
#![doc = "```rust,no_run"]
#![doc = include_str!("../../tests/every_challenge.rs")]
#![doc = "```"]
//!
#![doc = include_str!("languages.md")]
//!
#![doc = "```python"]
#![doc = include_str!("../../clients/test_every_challenge.py")]
#![doc = "```"]
//!
//! In JavaScript, with nothing but Node.js:
//!
#![doc = "```javascript"]
#![doc = include_str!("../../clients/every_challenge.test.mjs")]
#![doc = "```"]
//!
#![doc = include_str!("control.md")]
//!
#![doc = include_str!("server.md")]
