//! The state of what leads to Redis, for health and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::{Client, Connection, RedisResult};

use crate::clock::{Monotonic, Tick};

/// After a failure nothing is tried for so long, nanoseconds: a Redis that is away must not cost a wait per reading.
const PAUSE: u64 = 500_000_000;

/// How Redis is reached, and whether it answers.
#[derive(Debug)]
pub(in crate::reference) struct Link {
    client: Client,
    address: String,
    timeout: Duration,
    clock: Monotonic,
    down: AtomicBool,
    /// When it last failed, nanoseconds on the service's clock.
    failed: AtomicU64,
    /// Since when it has failed without a break.
    since: AtomicU64,
    failures: AtomicU64,
}

impl Link {
    /// A link that has not been tried.
    ///
    /// # Errors
    /// If `address` is none of a Redis.
    pub(in crate::reference) fn new(address: &str, timeout: Duration, clock: Monotonic) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(address)?,
            address: address.to_owned(),
            timeout,
            clock,
            down: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            since: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// A connection whose every step is bounded in time.
    pub(super) fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(self.timeout)?;
        connection.set_read_timeout(Some(self.timeout))?;
        connection.set_write_timeout(Some(self.timeout))?;
        Ok(connection)
    }

    /// Whether it is worth trying now.
    pub(super) fn is_open(&self) -> bool {
        let failed = Tick(self.failed.load(Ordering::Relaxed));
        !self.down.load(Ordering::Relaxed) || self.clock.now().since(failed) > PAUSE
    }

    /// Takes note of how an attempt went, and gives its result back where there is one.
    pub(super) fn note<T>(&self, result: RedisResult<T>) -> Option<T> {
        if let Ok(value) = result {
            if self.down.swap(false, Ordering::Relaxed) {
                tracing::info!(redis = %self.address, "Redis answers again");
            }
            return Some(value);
        }
        let now = self.clock.now().0;
        if !self.down.swap(true, Ordering::Relaxed) {
            self.since.store(now, Ordering::Relaxed);
            tracing::warn!(redis = %self.address, "Redis does not answer");
        }
        self.failed.store(now, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// How long it has not answered, seconds; none if it does.
    pub(in crate::reference) fn down_for(&self) -> Option<f64> {
        let since = Tick(self.since.load(Ordering::Relaxed));
        self.down.load(Ordering::Relaxed).then(|| self.clock.now().since(since) as f64 / 1e9)
    }

    /// Where it leads.
    pub(in crate::reference) fn address(&self) -> &str {
        &self.address
    }

    /// Attempts that failed.
    pub(in crate::reference) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
