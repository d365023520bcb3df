//! Who works on readings.

use crate::units::Span;
use crate::units::word::words;

words! {
    /// What a worker does while an inference waits for something else than the processor.
    Mode {
        /// It waits with it.
        Blocking = "blocking",
        /// It goes on with other readings.
        Async = "async",
    }
}

words! {
    /// Which worker takes a reading.
    Assignment {
        /// The one that owns its device: readings of a device stay in order.
        Device = "device",
        /// Whichever is free: no worker idles while readings wait.
        Shared = "shared",
    }
}

/// Who works on readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Threads; 0 works in the connection's own thread, without a queue.
    pub count: usize,
    /// What they do while an inference waits.
    pub mode: Mode,
    /// Inferences that an asynchronous worker may have under way.
    pub in_flight: usize,
    /// Which worker takes a reading.
    pub assignment: Assignment,
    /// Readings that share one inference at the most.
    pub batch: usize,
    /// How long a worker waits for a batch to fill up.
    pub batch_wait: Span,
    /// A worker that crashed is started again after this; doubled with every crash that follows at once.
    pub restart: Span,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            count: 1,
            mode: Mode::Blocking,
            in_flight: 64,
            assignment: Assignment::Device,
            batch: 1,
            batch_wait: Span::ZERO,
            restart: Span::from_ms(100),
        }
    }
}
