//! What is remembered of the model's answers.

use std::path::PathBuf;

use crate::units::Span;

/// What is remembered of the model's answers. Keys are the quantised feature vector and the model's version, nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Answers kept; 0 turns the exact cache off.
    pub capacity: usize,
    /// Longest age of an answer; none: no bound.
    pub ttl: Option<Span>,
    /// Share of the age that is drawn at random, so that answers of one moment do not all expire in another; 0 to 1.
    pub jitter: f64,
    /// For so long after its age an answer is still served, while one reading has it computed anew.
    pub stale: Span,
    /// Answers of similar vectors.
    pub semantic: Option<Semantic>,
    /// Whether similar answers are compared with the true ones, and wrong ones counted.
    pub audit: bool,
    /// Whether readings with the same vector wait for one inference.
    pub single_flight: bool,
    /// A second tier that all instances share.
    pub shared: Option<Shared>,
    /// A file of recorded keys whose answers are computed before the first reading.
    pub warm: Option<PathBuf>,
    /// A file that keys are recorded to.
    pub record: Option<PathBuf>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            capacity: 65_536,
            ttl: None,
            jitter: 0.1,
            stale: Span::ZERO,
            semantic: None,
            audit: false,
            single_flight: true,
            shared: None,
            warm: None,
            record: None,
        }
    }
}

/// Answers of similar vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantic {
    /// Vectors compared with, the most recent ones; at most 1 024.
    pub vectors: usize,
    /// Largest distance that counts as similar, in units of surprise.
    pub epsilon: f64,
}

/// A second tier in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Where Redis is: `redis://HOST:PORT`.
    pub redis: String,
    /// Connections kept open.
    pub connections: usize,
    /// Longest wait for Redis; after that the answer is computed.
    pub timeout: Span,
    /// Longest age of an answer there.
    pub ttl: Span,
}
