//! The run's monotonic clock, the wall clock, the high-resolution pacer, and the kernel's accounts: the only readers of time.

mod account;
mod group;
mod monotonic;
mod pacer;
mod tick;
mod wall;

pub use account::{stolen_time, thread_wait_time};
pub use group::{Quotas, Throttling, memory_left};
pub use monotonic::{Monotonic, thread_cpu_time};
pub use pacer::{Pacer, PacerKind};
pub use tick::Tick;
pub use wall::WallTime;
