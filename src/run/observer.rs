//! Observers of a run: screens, pages and signal handlers, which see it and may end it early.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::clock::{Monotonic, Tick};
use crate::engine::{Control, Order};
use crate::results::IntervalReport;

/// Follows a run. Called on the run's own threads, so it must not take long.
pub trait Observer: Send + Sync {
    /// A line of text for the user: a note before the run, or something that happened in it.
    fn note(&self, _text: &str) {}

    /// The run is about to begin: its devices that only listen connect next, and then its clock starts.
    ///
    /// # Errors
    /// Keep the run from beginning.
    fn begin(&self, _steering: &Steering) -> io::Result<()> {
        Ok(())
    }

    /// One more interval has been collected and written.
    fn interval(&self, _report: &IntervalReport) {}

    /// The last interval has been written.
    fn end(&self) {}
}

/// All observers of one run.
#[derive(Clone)]
pub(super) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(super) fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(observers.into())
    }

    pub(super) fn note(&self, text: &str) {
        self.0.iter().for_each(|observer| observer.note(text));
    }

    pub(super) fn begin(&self, steering: &Steering) -> io::Result<()> {
        self.0.iter().try_for_each(|observer| observer.begin(steering))
    }

    pub(super) fn interval(&self, report: &IntervalReport) {
        self.0.iter().for_each(|observer| observer.interval(report));
    }

    pub(super) fn end(&self) {
        self.0.iter().for_each(|observer| observer.end());
    }
}

/// Ends a run early. Clones steer the same run.
#[derive(Debug, Clone)]
pub struct Steering {
    pub(super) control: Control,
    clock: Arc<OnceLock<Monotonic>>,
    interrupted: Arc<OnceLock<Tick>>,
}

impl Steering {
    /// Of a run whose clock has not started.
    pub(super) fn new(control: Control) -> Self {
        Self { control, clock: Arc::default(), interrupted: Arc::default() }
    }

    /// Starts the run's clock, and gives it.
    pub(super) fn start(&self) -> Monotonic {
        *self.clock.get_or_init(Monotonic::start)
    }

    /// Whether the run goes on.
    pub(super) fn goes_on(&self) -> bool {
        self.control.order() == Order::Run
    }

    /// Sends no further reading, and settles what is open.
    pub fn finish(&self) {
        self.interrupt(Order::Finish);
    }

    /// Ends at once; what is open is lost.
    pub fn abort(&self) {
        self.interrupt(Order::Abort);
    }

    fn interrupt(&self, order: Order) {
        self.interrupted.get_or_init(|| self.clock.get().map_or(Tick::ZERO, Monotonic::now));
        self.control.give(order);
    }

    /// When somebody first ended the run.
    pub(super) fn interrupted(&self) -> Option<Tick> {
        self.interrupted.get().copied()
    }
}
