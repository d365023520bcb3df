//! The second tier of the cache: scores that all instances share.

use std::sync::{Mutex, PoisonError};

use redis::{Connection, RedisResult, cmd};

use super::link::Link;
use crate::clock::Monotonic;
use crate::reference::model::Key;
use crate::service::Shared as Setup;

/// Scores in Redis, over a few connections that workers take turns with.
#[derive(Debug)]
pub(in crate::reference) struct Store {
    link: Link,
    idle: Mutex<Vec<Pooled>>,
    most: usize,
    ttl_ms: u64,
}

struct Pooled(Connection);

impl std::fmt::Debug for Pooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a connection to Redis")
    }
}

impl Store {
    /// A store that has not been tried.
    ///
    /// # Errors
    /// If its address is none of a Redis.
    pub(in crate::reference) fn new(setup: &Setup, clock: Monotonic) -> RedisResult<Self> {
        Ok(Self {
            link: Link::new(&setup.redis, setup.timeout.as_duration(), clock)?,
            idle: Mutex::default(),
            most: setup.connections.max(1),
            ttl_ms: (setup.ttl.as_ns() / 1_000_000).max(1),
        })
    }

    /// The score of a key, if it is there and Redis answers in time.
    pub(in crate::reference) fn get(&self, key: &Key) -> Option<f64> {
        self.ask(|connection| cmd("GET").arg(name(key)).query::<Option<f64>>(connection)).flatten()
    }

    /// Shares a score.
    pub(in crate::reference) fn put(&self, key: &Key, score: f64) {
        self.ask(|connection| {
            cmd("SET").arg(name(key)).arg(score).arg("PX").arg(self.ttl_ms).exec(connection)
        });
    }

    /// What it leads over.
    pub(in crate::reference) const fn link(&self) -> &Link {
        &self.link
    }

    /// Asks over a connection of the pool; one that failed is not put back.
    fn ask<T>(&self, question: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Option<T> {
        if !self.link.is_open() {
            return None;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(Pooled(connection)) => connection,
            None => self.link.note(self.link.connect())?,
        };
        let answer = self.link.note(question(&mut connection))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(Pooled(connection));
        }
        Some(answer)
    }
}

/// The version is part of the name: no score crosses it.
fn name(key: &Key) -> String {
    format!("squall:score:{}:{}", key.version, key.encode())
}
