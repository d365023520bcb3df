//! The second tier of the cache: scores that all instances share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{Connection, RedisResult, cmd};

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
    /// Whether scores are being forgotten.
    clearing: Arc<AtomicBool>,
}

impl ScoreStore {
    /// A store that has not been tried.
    ///
    /// # Errors
    /// If its address is none of a Redis.
    pub(in crate::reference) fn new(setup: &Setup, clock: Monotonic) -> RedisResult<Self> {
        let link = Link::new(&setup.redis, setup.timeout.as_duration(), clock)?;
        let ttl_ms = (setup.ttl.as_ns() / 1_000_000).max(1);
        Ok(Self { pool: Pool::new(link, setup.connections), ttl_ms, clearing: Arc::default() })
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

    /// Forgets all scores. Never waits for that: it is done on a thread of its own.
    pub(in crate::reference) fn clear(&self) {
        // One that is at it will do.
        if self.clearing.swap(true, Ordering::Relaxed) {
            return;
        }
        let clearing = Clearing(Arc::clone(&self.clearing));
        self.pool.ask_aside(move |connection| {
            let _clearing = clearing;
            clear(connection)
        });
    }

    /// What it leads over.
    pub(in crate::reference) fn link(&self) -> &Link {
        self.pool.link()
    }
}

/// Over when it is dropped, asked or not.
struct Clearing(Arc<AtomicBool>);

impl Drop for Clearing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn clear(connection: &mut Connection) -> RedisResult<()> {
    let mut cursor = 0_u64;
    loop {
        let (next, found): (u64, Vec<String>) = cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg("squall:score:*")
            .arg("COUNT")
            .arg(1_000)
            .query(connection)?;
        if !found.is_empty() {
            cmd("UNLINK").arg(&found).exec(connection)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// The version is part of the name: no score crosses it.
fn name(key: &Key) -> String {
    format!("squall:score:{}:{}", key.version, key.encode())
}
