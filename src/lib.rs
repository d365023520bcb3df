//! squall: a load generator for fleets of connected devices that tells the truth about tail latency.
//!
//! The `squall` program is the usual way in. As a library, a scenario runs like this:
//!
//! ```no_run
//! use squall::{Overrides, Plan, Run, Scenario, Settings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"
//!     [scenario]
//!     name = "meters"
//!     [[phase]]
//!     name = "steady"
//!     duration = "10s"
//!     [fleet.meters]
//!     protocol = "mqtt"
//!     devices = 100
//!     rate = "5/s"
//! "#;
//! let plan = Plan::new(Scenario::parse("meters.toml", text, &Overrides::default())?);
//! // Without targets, the bundled reference system is driven.
//! let run = Run::prepare(plan, &[], Settings::default())?;
//! let finished = run.start(vec![])?.wait()?;
//! for row in finished.report()?.summary.iter().filter(|row| row.is_measured()) {
//!     println!("{}: {} of {} ok", row.fleet, row.figures.ok, row.figures.planned);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Observer`]s follow a run under way, [`Steering`] ends it early, and [`Report::load`] reads the files that a run left;
//! `examples/` has a program of each.
//!
//! `ARCHITECTURE.md` has the map of the rooms and the invariants.

// The full build finds dead code; a smaller one leaves what only the bundled system, its cluster and the live screen use.
#![cfg_attr(
    not(all(feature = "cluster", feature = "live")),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "used by the bundled system, its cluster or the live screen alone, and watched over by the full build"
    )
)]

pub(crate) mod arrival;
pub(crate) mod budget;
pub(crate) mod calibration;
pub(crate) mod capacity;
pub mod cli;
pub mod clock;
pub mod compare;
pub(crate) mod display;
pub mod engine;
pub mod export;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod lab;
pub(crate) mod language;
pub(crate) mod metric;
pub(crate) mod net;
pub(crate) mod page;
pub mod protocol;
pub mod record;
#[cfg(feature = "reference")]
pub mod reference;
#[cfg(not(feature = "reference"))]
#[path = "reference/absent.rs"]
pub(crate) mod reference;
pub mod results;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod service;
#[cfg(all(unix, feature = "live"))]
pub(crate) mod tui;
pub mod units;

pub use results::{IntervalReport, Report, SummaryRow};
pub use run::{Conclusion, Finished, Handle, Observer, Run, RunError, Settings, Steering};
pub use scenario::{Overrides, Plan, Scenario};
pub use units::Quantile;
