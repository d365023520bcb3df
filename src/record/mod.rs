//! What happened: the vocabulary that engine, results and display share. It does no I/O, and holds no logic but the rates of failure.

mod close;
mod fault;
mod layout;
mod mark;
mod outcome;
mod outcomes;
mod sample;
mod shard;
mod sink;
mod validity;

pub use close::{Close, Qos};
pub(crate) use fault::{FaultId, FaultInfo};
pub use fault::{Promise, Switch, SwitchLog};
pub use layout::{FleetId, FleetInfo, Layout, PhaseId, PhaseInfo, PhaseRole, Protocol};
pub use mark::{AnomalyKind, Detection, Mark};
pub use outcome::{ErrorKind, Outcome};
pub(crate) use outcomes::Outcomes;
pub(crate) use sample::Stages;
pub use sample::{Kind, Sample};
pub use shard::Shard;
pub use sink::{Finding, Sink};
pub(crate) use validity::Validity;
pub use validity::Verdict;
