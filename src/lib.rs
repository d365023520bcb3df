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
//! # Map of the rooms
//!
//! A room imports only from a lower storey, never sideways or up; `tests/architecture.rs` holds the table. A room, or a
//! part of one, is public only where the tests and benches outside need it, so that the compiler finds dead code.
//!
//! | storey | room | what it is for |
//! |---|---|---|
//! | 0 | [`units`] | rates, spans, sizes and quantiles: one parser and one printer each |
//! | 0 | [`seed`] | named random streams; the only maker of random generators |
//! | 0 | [`clock`] | the run's monotonic clock and the pacer; the only reader of time |
//! | 1 | [`record`] | what happened to a reading: vocabulary without logic |
//! | 1 | `arrival` | laws of arrival: when readings are due, as pure functions |
//! | 1 | `fleet` | what devices say: signals and payloads, pure |
//! | 1 | `fault` | what a fault does and when, as plain data and pure functions |
//! | 1 | `language` | fields, values, documents and diagnostics: one table gives check, schema and manual |
//! | 2 | [`service`] | what the bundled service can be told, as plain data |
//! | 1 | `budget` | what a run's figures must keep to: conditions, and the judgement of a value |
//! | 2 | `net` | the byte stream under every protocol, where network faults act; the proxy |
//! | 4 | [`scenario`] | a scenario's text → checked model → plan and its digest |
//! | 3 | [`protocol`] | HTTP, WebSocket and MQTT sessions of one device |
//! | 2 | [`results`] | histograms, interval collection, and the files of a run |
//! | 4 | [`mod@reference`] | the bundled anomaly detection service |
//! | 5 | [`engine`] | workers that drive a plan, and the judgement of the run itself |
//! | 3 | [`compare`] | whether one build is slower than another: statistics over stored runs |
//! | 6 | [`run`] | a run, from a plan and its targets to its files |
//! | 7 | `calibration` | what this machine can measure, against raw targets of its own |
//! | 7 | `display` | progress and tables |
//! | 7 | [`export`] | what CI takes: JUnit, summaries, comments, metrics; values in, text out |
//! | 8 | [`cli`] | one file per command; exit codes |
//!
//! # Invariants
//!
//! * The plan never waits for the service: response time runs from the *intended* start of a reading.
//! * Every planned reading ends in exactly one [`record::Outcome`]; `planned` is the sum of the outcomes.
//! * One seed fixes everything random, and a device's plan does not depend on workers or on other fleets.
//! * Memory is bounded by the scenario, not by the length of the run.

// The full build watches over these: what only the bundled system uses is left over here.
#![cfg_attr(
    not(feature = "cluster"),
    allow(dead_code, unreachable_pub, unused_imports, reason = "left over")
)]

pub(crate) mod arrival;
pub(crate) mod budget;
pub(crate) mod calibration;
pub mod cli;
pub mod clock;
pub mod compare;
pub(crate) mod display;
pub mod engine;
pub mod export;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod language;
pub(crate) mod net;
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
pub mod units;

pub use results::{IntervalReport, Report, SummaryRow};
pub use run::{Conclusion, Finished, Handle, Observer, Run, RunError, Settings, Steering};
pub use scenario::{Overrides, Plan, Scenario};
pub use units::Quantile;
