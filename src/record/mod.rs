//! What happened: the vocabulary that engine, results and display share. It holds no logic and does no I/O.

mod close;
mod fault;
mod layout;
mod mark;
mod outcome;
mod sample;
mod scarce;
mod shard;
mod sink;
mod validity;

pub use close::{Close, Qos};
pub use fault::{FaultId, FaultInfo, Promise, Switch, SwitchLog};
pub use layout::{FleetId, FleetInfo, Layout, PhaseId, PhaseInfo, PhaseRole, Protocol};
pub use mark::{AnomalyKind, Detection, Mark};
pub use outcome::{ErrorKind, Outcome};
pub use sample::{Kind, Sample, Stages};
pub use scarce::Scarce;
pub use shard::{NotShard, Shard};
pub use sink::{Finding, Sink};
pub use validity::{Validity, Verdict};
