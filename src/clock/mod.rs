//! The run's monotonic clock, the wall clock, the high-resolution pacer, and the kernel's accounts: the only readers of time. And the
//! course of a run: where the instants of its plan lie on its clock.

mod account;
mod course;
mod group;
mod memory;
mod monotonic;
mod other_process;
mod pacer;
#[cfg(feature = "reference")]
mod process;
mod tick;
mod wall;

pub(crate) use account::stolen_time;
pub use account::thread_wait_time;
pub use course::Course;
pub(crate) use course::Skip;
pub(crate) use group::{Quotas, Throttling, memory_left};
pub(crate) use memory::{kibibytes, memory_available};
pub use monotonic::Monotonic;
pub(crate) use monotonic::thread_cpu_time;
pub(crate) use other_process::Accounts;
pub use pacer::Pacer;
pub(crate) use pacer::PacerKind;
#[cfg(feature = "reference")]
pub(crate) use process::{ProcessUse, resident_bytes};
pub use tick::Tick;
pub use wall::WallTime;
