//! What happened: the vocabulary that engine, results and display share. It holds no logic and does no I/O.

mod close;
mod fault;
mod gauge;
mod layout;
mod mark;
mod outcome;
mod reason;
mod sample;
mod shard;
mod sink;
mod traffic;
mod validity;

pub use close::{Close, Qos};
pub use fault::{FaultId, FaultInfo, Promise, Switch, SwitchLog};
pub use gauge::{Ages, Gauge};
pub use layout::{FleetId, FleetInfo, Layout, PhaseId, PhaseInfo, PhaseRole, Protocol};
pub use mark::{AnomalyKind, Detection, Mark};
pub use outcome::{ErrorKind, Outcome};
pub use reason::{Code, Reason, SAMPLE_BYTES, sample as reply_sample, status_line};
pub use sample::{Kind, Sample, Stages};
pub use shard::{NotShard, Shard};
pub use sink::{Finding, Sink};
pub use traffic::Traffic;
pub use validity::{Validity, Verdict};
