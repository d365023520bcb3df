//! A few connections to Redis that workers take turns with.

use std::sync::{Mutex, PoisonError};

use redis::{Connection, RedisResult};

use super::link::Link;

struct PooledConnection(Connection);

impl std::fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a connection to Redis")
    }
}

/// Connections that stay open, up to a bound.
#[derive(Debug)]
pub(super) struct Pool {
    link: Link,
    idle: Mutex<Vec<PooledConnection>>,
    most: usize,
}

impl Pool {
    pub(super) fn new(link: Link, most: usize) -> Self {
        Self { link, idle: Mutex::default(), most: most.max(1) }
    }

    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    /// Asks over a connection of the pool, if Redis is worth asking; one that failed is not put back.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Option<T> {
        if !self.link.is_open() {
            return None;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connected = match idle {
            Some(PooledConnection(connection)) => Ok(connection),
            None => self.link.connect(),
        };
        // It answers when it has answered the question: a connection alone says little.
        let answered = connected.and_then(|mut open| question(&mut open).map(|answer| (answer, open)));
        let (answer, connection) = self.link.note(answered)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(PooledConnection(connection));
        }
        Some(answer)
    }
}
