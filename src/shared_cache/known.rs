//! What a process knows of tokens that the vault does not: which it saw die or replaced, and which it got by itself.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{LazyLock, Mutex},
};

use crate::lock::lock;

/// Tokens are known by their hashes: what is dead is not kept in memory.
#[derive(Default)]
pub(super) struct KnownTokens {
    /// Those that were replaced, too. One that died while the vault was out of reach is in it still when it comes back.
    dead: Mutex<Hashes>,
    /// Tokens that are in no vault.
    own: Mutex<Hashes>,
}

/// The last of them. Those before have ended by themselves: tokens live for minutes, and logins pause after failures.
#[derive(Default)]
struct Hashes(VecDeque<u64>);

const MOST: usize = 1024;

impl KnownTokens {
    pub(super) fn add_dead(&self, token: &str) {
        lock(&self.dead).add(hash(token));
    }

    pub(super) fn is_dead(&self, token: &str) -> bool {
        lock(&self.dead).0.contains(&hash(token))
    }

    pub(super) fn add_own(&self, token: &str) {
        lock(&self.own).add(hash(token));
    }

    pub(super) fn remove_own(&self, token: &str) {
        let token = hash(token);
        lock(&self.own).0.retain(|own| *own != token);
    }

    pub(super) fn is_own(&self, token: &str) -> bool {
        lock(&self.own).0.contains(&hash(token))
    }
}

impl Hashes {
    fn add(&mut self, hash: u64) {
        if self.0.contains(&hash) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(hash);
    }
}

fn hash(token: &str) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(token)
}
