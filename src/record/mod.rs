//! What happened: the vocabulary that engine, results and display share. It does no I/O, and holds no logic but the rates of failure.

mod close;
mod fault;
mod gauge;
mod layout;
mod mark;
mod outcome;
mod outcomes;
mod protocol;
mod reason;
mod sample;
mod scarce;
mod shard;
mod sink;
mod traffic;
mod validity;

pub use close::{Close, Qos};
pub use fault::{DeliveryGuarantee, SwitchEvent, SwitchLog};
pub(crate) use fault::{FaultId, FaultInfo};
pub(crate) use gauge::Ages;
pub use gauge::Gauge;
pub use layout::{FleetId, FleetInfo, Layout, PhaseId, PhaseInfo, PhaseRole};
pub use mark::{AnomalyKind, AnomalyMark, Detection};
pub use outcome::{ErrorKind, Outcome};
pub(crate) use outcomes::Outcomes;
pub use protocol::Protocol;
pub use reason::Reason;
pub(crate) use reason::{Code, sample as reply_sample, status_line};
pub(crate) use sample::Stages;
pub use sample::{Kind, Sample};
pub use scarce::ScarceResource;
pub use shard::Shard;
pub use sink::{AuditFinding, Sink};
pub use traffic::Traffic;
pub use validity::Judgement;
pub(crate) use validity::{Cause, Validity};
