//! The second tier of the cache: scores that all instances share.

use redis::{RedisResult, cmd};

use super::link::Link;
use super::pool::Pool;
use crate::clock::Monotonic;
use crate::reference::model::Key;
use crate::service::Shared as Setup;

/// Scores in Redis.
#[derive(Debug)]
pub(in crate::reference) struct ScoreStore {
    pool: Pool,
    ttl_ms: u64,
}

impl ScoreStore {
    /// A store that has not been tried.
    ///
    /// # Errors
    /// If its address is none of a Redis.
    pub(in crate::reference) fn new(setup: &Setup, clock: Monotonic) -> RedisResult<Self> {
        let link = Link::new(&setup.redis, setup.timeout.as_duration(), clock)?;
        Ok(Self { pool: Pool::new(link, setup.connections), ttl_ms: (setup.ttl.as_ns() / 1_000_000).max(1) })
    }

    /// The score of a key, if it is there and Redis answers in time.
    pub(in crate::reference) fn get(&self, key: &Key) -> Option<f64> {
        self.pool.ask(|connection| cmd("GET").arg(name(key)).query::<Option<f64>>(connection)).flatten()
    }

    /// Shares a score.
    pub(in crate::reference) fn put(&self, key: &Key, score: f64) {
        self.pool.ask(|connection| {
            cmd("SET").arg(name(key)).arg(score).arg("PX").arg(self.ttl_ms).exec(connection)
        });
    }

    /// What it leads over.
    pub(in crate::reference) const fn link(&self) -> &Link {
        self.pool.link()
    }
}

/// The version is part of the name: no score crosses it.
fn name(key: &Key) -> String {
    format!("squall:score:{}:{}", key.version, key.encode())
}
