//! Laws of delay, as plain data. How they are drawn is in `toxic`.

use std::sync::Arc;

use crate::units::Span;

/// How long something takes longer.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    /// The law of single delays.
    pub law: DelayLaw,
    /// How much one delay resembles the one before, 0 to below 1: the autoregression of the normal variate under it, so that
    /// the law of single delays stays what it is.
    pub correlation: f64,
}

/// The law of single delays. Negative draws count as 0.
#[derive(Debug, Clone, PartialEq)]
pub enum DelayLaw {
    /// Always the same.
    Constant(Span),
    /// Anything from `mean − jitter` to `mean + jitter`.
    Uniform {
        /// In the middle.
        mean: Span,
        /// To either side.
        jitter: Span,
    },
    /// Normal.
    Normal {
        /// Its mean.
        mean: Span,
        /// Its standard deviation.
        jitter: Span,
    },
    /// Log-normal, with this mean and standard deviation of the delay itself.
    LogNormal {
        /// Its mean.
        mean: Span,
        /// Its standard deviation.
        jitter: Span,
    },
    /// Pareto: no delay is shorter than `least`, and longer ones become rarer by `shape`.
    Pareto {
        /// The scale.
        least: Span,
        /// The tail index, above 1.
        shape: f64,
    },
    /// By measured quantiles, evenly spaced from 0 to 1 and not falling, at least two; between them linear.
    Table(Arc<[Span]>),
}

/// Loss by Gilbert and Elliott (Elliott 1963): a segment is lost with `lost_good` or `lost_bad`, by the state of the link,
/// which changes after each segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Probability of going from good to bad.
    pub worsens: f64,
    /// Probability of going from bad to good.
    pub recovers: f64,
    /// Loss in the good state.
    pub lost_good: f64,
    /// Loss in the bad state.
    pub lost_bad: f64,
    /// Round trip time: a lost segment that is followed by at least three is sent again after one.
    pub rtt: Span,
    /// Otherwise it is sent again after this, doubled each time it is lost once more.
    pub rto: Span,
}
