//! What a manifest says of fleets: what each sends, and how those of subscribers stood when the run began.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::figure::{count, plural, time};

/// How a fleet of subscribers stood when the run, which waits for that, began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriberFacts {
    /// The fleet.
    pub fleet: String,
    /// Devices that had subscribed.
    pub subscribed: u32,
    /// Devices whose first attempt had failed; they try again during the run.
    pub gave_up: u32,
    /// How long it took, of all fleets together, before the run's clock began.
    pub waited_ms: f64,
}

impl fmt::Display for SubscriberFacts {
    /// As people read it: `fleet screens: 12 subscribers stand after 2.5 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fleet, subscribed, gave_up, waited_ms } = self;
        let (all, waited) = (subscribed + gave_up, time((waited_ms * 1e6) as u64));
        let subscribers = plural(all.into(), "subscriber");
        if *gave_up == 0 {
            let stand = if all == 1 { "stands" } else { "stand" };
            return write!(f, "fleet {fleet}: {subscribers} {stand} after {waited}, and sending begins");
        }
        write!(
            f,
            "note: fleet {fleet}: {} of {subscribers} gave up after {waited}; sending begins all the same, \
             and what they do not hear counts against the service",
            count((*gave_up).into())
        )
    }
}

/// What a fleet sends, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetTarget {
    /// The fleet.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// HTTP: the method. MQTT: `PUBLISH`, or `SUBSCRIBE` for a fleet that only listens. `None` over WebSocket.
    pub method: Option<String>,
    /// The URL really used, with the path or the topic as the scenario has it: templates and environment variables unread.
    pub target: String,
    /// What closes a reading; empty for a fleet that only listens.
    #[serde(default)]
    pub close: String,
    /// What helps a fleet of its protocol whose readings are never answered, where that is something special.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The JSON pointer to the number of the reading in what answers it, where its readings are closed by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlate: Option<String>,
    /// Whether it accepted any certificate of the target.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

impl FleetTarget {
    /// What is to be said of a fleet that accepted any certificate.
    pub fn insecurity(&self) -> Option<String> {
        let Self { name, target, .. } = self;
        self.insecure.then(|| {
            format!(
                "fleet {name} accepts any certificate of {target} (insecure = \"accept-any-certificate\"): who answered is not known"
            )
        })
    }

    /// As people read it: `meters POST http://127.0.0.1:8080/v1/orders`.
    pub fn sentence(&self) -> String {
        let method = self.method.as_deref().unwrap_or(&self.protocol);
        format!("{} {method} {}", self.name, self.target)
    }
}
