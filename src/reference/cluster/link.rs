//! The state of what leads to Redis, for health and metrics.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Client, Connection, ErrorKind, RedisError, RedisResult, cmd};

use crate::clock::{Monotonic, Tick};
use crate::service::RedisAddress;

/// After a failure nothing is tried for so long, nanoseconds: a Redis that is away must not cost a wait per reading.
const PAUSE: u64 = 500_000_000;

/// Longest code of an error that is repeated.
const LONGEST_CODE: usize = 16;

/// How Redis fails. Nothing that it says is repeated but the code of its error: it may quote what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It cannot be reached, or does not answer in time.
    Silence,
    /// It does not take the login.
    WrongLogin,
    /// It asks for one, and there is none.
    NoLogin,
    /// It answers with an error of this code.
    Refusal(String),
}

impl Trouble {
    fn of(error: RedisError) -> Self {
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::WrongLogin;
        }
        let errors = error.into_server_errors();
        let Some((_, first)) = errors.as_ref().and_then(|errors| errors.first()) else {
            return Self::Silence;
        };
        match first.code() {
            "WRONGPASS" => Self::WrongLogin,
            "NOAUTH" => Self::NoLogin,
            code => {
                let is_one = code.len() <= LONGEST_CODE && code.bytes().all(|byte| byte.is_ascii_uppercase());
                Self::Refusal(if is_one { code } else { "ERR" }.to_owned())
            }
        }
    }
}

impl fmt::Display for Trouble {
    /// To be continued by how long it has been so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("has not answered"),
            Self::WrongLogin => f.write_str("has refused the password"),
            Self::NoLogin => f.write_str("has asked for a password, and none is set,"),
            Self::Refusal(code) => write!(f, "has answered with an error ({code})"),
        }
    }
}

/// How Redis is reached, and whether it answers.
#[derive(Debug)]
pub(in crate::reference) struct Link {
    client: Client,
    address: RedisAddress,
    timeout: Duration,
    clock: Monotonic,
    down: AtomicBool,
    /// How it failed last.
    trouble: Mutex<Trouble>,
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
    pub(in crate::reference) fn new(
        address: &RedisAddress,
        timeout: Duration,
        clock: Monotonic,
    ) -> RedisResult<Self> {
        // What the client says of an address may quote it.
        let client = Client::open(address.url()).map_err(|_| {
            (ErrorKind::InvalidClientConfig, "this is not an address of Redis", address.shown().to_owned())
        })?;
        Ok(Self {
            client,
            address: address.clone(),
            timeout,
            clock,
            down: AtomicBool::new(false),
            trouble: Mutex::new(Trouble::Silence),
            failed: AtomicU64::new(0),
            since: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// A connection whose every step is bounded in time, to a Redis that takes commands over it.
    pub(super) fn connect(&self) -> RedisResult<Connection> {
        let mut connection = self.client.get_connection_with_timeout(self.timeout)?;
        connection.set_read_timeout(Some(self.timeout))?;
        connection.set_write_timeout(Some(self.timeout))?;
        // Without a login where one is asked for, connections are made, and nothing else is.
        cmd("PING").exec(&mut connection)?;
        Ok(connection)
    }

    /// Whether it is worth trying now.
    pub(super) fn is_open(&self) -> bool {
        let failed = Tick(self.failed.load(Ordering::Relaxed));
        !self.down.load(Ordering::Relaxed) || self.clock.now().since(failed) > PAUSE
    }

    /// Takes note of how an attempt went, and gives its result back where there is one.
    pub(super) fn note<T>(&self, result: RedisResult<T>) -> Option<T> {
        let error = match result {
            Ok(value) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!(redis = self.address.shown(), "Redis answers again");
                }
                return Some(value);
            }
            Err(error) => error,
        };
        let (now, trouble) = (self.clock.now().0, Trouble::of(error));
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.down.swap(true, Ordering::Relaxed);
        if is_new {
            self.since.store(now, Ordering::Relaxed);
        }
        if is_new || *known != trouble {
            tracing::warn!(redis = self.address.shown(), "Redis {trouble}");
            *known = trouble;
        }
        drop(known);
        self.failed.store(now, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// How long it has not answered, seconds; none if it does.
    pub(in crate::reference) fn down_for(&self) -> Option<f64> {
        let since = Tick(self.since.load(Ordering::Relaxed));
        self.down.load(Ordering::Relaxed).then(|| self.clock.now().since(since) as f64 / 1e9)
    }

    /// What is wrong with it, and for how long it has been; none if it answers.
    pub(in crate::reference) fn complaint(&self) -> Option<String> {
        let seconds = self.down_for()?;
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Some(format!("Redis at {} {trouble} for {seconds:.1} s", self.address.shown()))
    }

    /// Attempts that failed.
    pub(in crate::reference) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// The error of a reply, as the client makes it.
    fn replied(text: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = reply else { panic!("{text} is no error") };
        error.into()
    }

    #[test]
    fn what_is_wrong_is_told_apart_and_nothing_else_is_repeated() {
        for (error, expected) in [
            (RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)), "has not answered"),
            (std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into(), "has not answered"),
            (
                (ErrorKind::AuthenticationFailed, "Password authentication failed").into(),
                "has refused the password",
            ),
            (
                replied("WRONGPASS invalid username-password pair or user is disabled."),
                "has refused the password",
            ),
            (replied("NOAUTH Authentication required."), "has asked for a password, and none is set,"),
            (replied("NOPERM User s3cret has no permissions"), "has answered with an error (NOPERM)"),
            (replied("ERR unknown command 's3cret'"), "has answered with an error (ERR)"),
            (replied("s3cret"), "has answered with an error (ERR)"),
        ] {
            assert_eq!(Trouble::of(error).to_string(), expected);
        }
    }
}
