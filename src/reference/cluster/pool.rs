//! A few connections to Redis that workers take turns with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use redis::{Connection, RedisResult, cmd};

use super::link::Link;

/// How often it is looked whether Redis is back.
const LOOK: Duration = Duration::from_millis(500);

struct PooledConnection(Connection);

impl std::fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a connection to Redis")
    }
}

/// Connections that stay open, up to a bound.
#[derive(Debug)]
pub(super) struct Pool {
    line: Arc<Line>,
    most: usize,
}

#[derive(Debug)]
struct Line {
    link: Link,
    idle: Mutex<Vec<PooledConnection>>,
    /// Whether a thread looks for a Redis that is away.
    is_looked_for: AtomicBool,
}

impl Pool {
    pub(super) fn new(link: Link, most: usize) -> Self {
        let idle = Mutex::default();
        Self { line: Arc::new(Line { link, idle, is_looked_for: AtomicBool::new(false) }), most: most.max(1) }
    }

    pub(super) fn link(&self) -> &Link {
        &self.line.link
    }

    /// Asks over a connection of the pool, if Redis is worth asking; one that failed is not put back.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Option<T> {
        ask(&self.line, self.most, question)
    }

    /// Asks something that may take its time, on a thread of its own.
    pub(super) fn ask_aside(
        &self,
        question: impl FnOnce(&mut Connection) -> RedisResult<()> + Send + 'static,
    ) {
        let line = Arc::clone(&self.line);
        let asking = move || {
            ask(&line, 1, question);
        };
        // Without a thread nothing is asked, as without Redis.
        drop(thread::Builder::new().name("squall-redis".into()).spawn(asking));
    }
}

/// Asks; where there is no answer Redis is looked for from then on, whether or not anybody asks anything of it meanwhile.
fn ask<T>(
    line: &Arc<Line>,
    most: usize,
    question: impl FnOnce(&mut Connection) -> RedisResult<T>,
) -> Option<T> {
    let answer = line.ask(most, question);
    if answer.is_none() && line.link.down_for().is_some() && !line.is_looked_for.swap(true, Ordering::Relaxed)
    {
        let weak = Arc::downgrade(line);
        let looking = thread::Builder::new().name("squall-redis".into()).spawn(move || look(&weak));
        // Without a thread the next question finds out.
        if looking.is_err() {
            line.is_looked_for.store(false, Ordering::Relaxed);
        }
    }
    answer
}

/// Ends when Redis is back, or nobody has the pool any more.
fn look(line: &Weak<Line>) {
    loop {
        thread::sleep(LOOK);
        let Some(line) = line.upgrade() else { return };
        line.ask(1, |connection| cmd("PING").exec(connection));
        if line.link.down_for().is_none() {
            line.is_looked_for.store(false, Ordering::Relaxed);
            return;
        }
    }
}

impl Line {
    fn ask<T>(&self, most: usize, question: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Option<T> {
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
        if idle.len() < most {
            idle.push(PooledConnection(connection));
        }
        Some(answer)
    }
}
