//! What a budget can be about: any percentile of any measured time, every column of a summary, shares, and the recovery
//! from faults; by the keys that scenarios and columns use.

use super::BudgetError;
use super::unit::Unit;
use crate::units::Quantile;

/// A figure that a budget is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// A percentile of measured times, made of merged histograms.
    Percentile(Times, Quantile),
    /// A figure of readings or connections.
    Figure(Figure),
    /// What became of the service after a fault.
    Recovery(Recovery),
}

/// Defines a choice of figures by key.
macro_rules! figures {
    ($(#[$outer:meta])* $name:ident { $($variant:ident = $key:literal, $unit:ident, $about:literal;)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $about] $variant),+ }

        impl $name {
            /// All of them, in the order documents list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The key it is written as.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key),+ }
            }

            /// What it is measured in.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit),+ }
            }

            /// What it is, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),+ }
            }
        }
    };
}

figures! {
    /// Measured times that percentiles are taken of. The key is what stands before the `p`.
    Times {
        Response = "", Time, "response time of all that ended; what failed counts as at least its time-out";
        Ok = "ok_", Time, "response time of what ended ok alone";
        Service = "service_", Time, "service time (from the actual start) of what ended ok";
        PacingLag = "pacing_lag_", Time, "how late the generator itself woke";
        BacklogWait = "backlog_wait_", Time, "wait for a connection, an in-flight slot or the plan: the next two, and what the plan holds back";
        ServiceWait = "service_wait_", Time, "the part of it that is the service's: in flight, connecting, pauses until the fleet connects again";
        OwnWait = "own_wait_", Time, "wait by squall's own rule: other pauses before a connection, and the connect rate";
        Queue = "stage_queue_", Time, "time in the service's queue, where it reports it; as are the next three of what ended ok";
        Cache = "stage_cache_", Time, "time in the service's cache";
        Inference = "stage_inference_", Time, "time in the service's model";
        Network = "stage_network_", Time, "network and reply: service time less what the service accounts for";
    }
}

figures! {
    /// A figure of readings or connections that is not a percentile.
    Figure {
        ErrorRate = "error_rate", Share, "share of what came due that was not answered ok: refused, failed, late, lost or never sent";
        FailedRate = "failed_rate", Share, "another name of `error_rate`";
        ConnectErrorRate = "connect_error_rate", Share, "with `kind = \"connect\"`: share of the attempts to connect that failed";
        Shortfall = "shortfall", Share, "of `error_rate`, the share that was never sent or never answered: dropped and lost";
        ResumedRate = "resumed_rate", Share, "with `kind = \"tls\"`: share of the completed handshakes that took up an earlier session";
        OkRate = "ok_rate", Share, "share that ended ok";
        ShedRate = "shed_rate", Share, "share that the service refused";
        TimeoutRate = "timeout_rate", Share, "share not answered in time";
        LostRate = "lost_rate", Share, "share never answered";
        DroppedRate = "dropped_rate", Share, "share never sent, because the device's backlog was full";
        WithinBudgetRate = "within_budget_rate", Share, "share that ended ok within its fleet's latency budget (`budget` of the fleet); fleets without one count in neither part";
        DuplicatedRate = "duplicated_rate", Share, "answers more than one, to all that ended";
        ReorderedRate = "reordered_rate", Share, "answers out of order, to all that ended";
        FoundRate = "found_rate", Share, "seeded anomalies that the service flagged";
        FalseAlarmRate = "false_alarm_rate", Share, "normal readings that the service flagged, of those that it judged";
        RatePerS = "rate_per_s", Rate, "ended ok per second";
        Goodput = "goodput", Rate, "another name of `rate_per_s`";
        OfferedPerS = "offered_per_s", Rate, "came due per second";
        Mean = "mean", Time, "mean response time";
        Min = "min", Time, "shortest response time";
        Max = "max", Time, "longest response time";
        ServiceMax = "service_max", Time, "longest service time";
        CensoredFloor = "censored_floor", Time, "the smallest bound that a failed one counts as";
        Planned = "planned", Count, "came due";
        Sent = "sent", Count, "handed to the transport";
        Attempts = "attempts", Count, "how often readings were handed to the transport, retries included";
        Retried = "retried", Count, "readings that were sent again after an attempt had failed";
        RetriesDenied = "retries_denied", Count, "retries that the fleet's budget did not allow";
        Resent = "resent", Count, "answered once more after being answered, by the device's own retries";
        Ok = "ok", Count, "ended ok";
        Failed = "failed", Count, "ended otherwise than ok";
        Shed = "shed", Count, "refused by the service";
        Error = "error", Count, "failed otherwise: the outcome `error` alone";
        Timeout = "timeout", Count, "not answered in time";
        Lost = "lost", Count, "never answered";
        Dropped = "dropped", Count, "never sent, because the device's backlog was full";
        Duplicated = "duplicated", Count, "answered once more after being answered";
        Reordered = "reordered", Count, "answered after a later one of the same device";
        Resumed = "resumed", Count, "with `kind = \"tls\"`: handshakes that took up an earlier session";
        Late = "late", Count, "answers to readings already given up";
        WithinBudget = "within_budget", Count, "ended ok within their fleet's latency budget";
        Censored = "censored", Count, "response times known only as lower bounds";
        Overflow = "overflow", Count, "times beyond the histograms' upper bound";
        ErrorRefused = "error_refused", Count, "errors: connection refused";
        ErrorReset = "error_reset", Count, "errors: connection reset";
        ErrorClosed = "error_closed", Count, "errors: connection closed";
        ErrorProtocol = "error_protocol", Count, "errors: protocol broken, handshake refused";
        ErrorStatus = "error_status", Count, "errors: status neither success nor shedding";
        ErrorResource = "error_resource", Count, "errors: this machine's resources";
        ErrorNetwork = "error_network", Count, "errors: any other failure of the network";
        ErrorTls = "error_tls", Count, "errors: TLS";
        FailedDevices = "failed_devices", Count, "devices with failed readings";
        Unmatched = "unmatched", Count, "messages that answered no reading";
        WireSentBytes = "wire_sent_bytes", Count, "bytes handed to the sockets of established connections";
        WireReceivedBytes = "wire_received_bytes", Count, "bytes taken from them";
        PayloadSentBytes = "payload_sent_bytes", Count, "bytes of the payloads of readings";
        PayloadReceivedBytes = "payload_received_bytes", Count, "bytes of the bodies and messages received";
        Anomalies = "anomalies", Count, "seeded anomalies that began";
        AnomaliesFound = "anomalies_found", Count, "seeded anomalies that were flagged";
        JudgedNormal = "judged_normal", Count, "readings without an anomaly that the service judged";
        FalseAlarms = "false_alarms", Count, "of those, flagged all the same";
        ChampionNormal = "champion_normal", Count, "of `judged_normal`, judged by the champion, where the service names its model";
        ChampionFalseAlarms = "champion_false_alarms", Count, "of those, flagged all the same";
        ChallengerNormal = "challenger_normal", Count, "of `judged_normal`, judged by the challenger";
        ChallengerFalseAlarms = "challenger_false_alarms", Count, "of those, flagged all the same";
        Requests = "requests", Count, "with `kind = \"delivery\"`: requests and subscriptions for what others sent";
    }
}

figures! {
    /// What became of the service in the activations of a fault; every activation is judged by itself.
    Recovery {
        Recovered = "recovered", Truth, "with `fault`: that the service recovered from every activation";
        RecoveredAfter = "recovered_after", Time, "with `fault`: from its end until the service had recovered";
        FirstOkAfter = "first_ok_after", Time, "with `fault`: from its end until a reading ended ok";
        BacklogDrainedAfter = "backlog_drained_after", Time, "with `fault`: from its end until the backlog was gone";
        ReconnectedAfter = "reconnected_99_after", Time, "with `fault`: from its end until 99 % of the connections made since were made";
        P99Before = "p99_before", Time, "with `fault`: the level before, median of the intervals' p99";
        WorstP99 = "worst_p99", Time, "with `fault`: the largest p99 of an interval";
        PeakBacklog = "peak_backlog", Count, "with `fault`: readings under way or waiting, at most, above those before";
        BacklogBefore = "backlog_before", Count, "with `fault`: readings under way or waiting before";
        Reconnected = "reconnected", Count, "with `fault`: connections set up from its start on";
        PeakReconnectsPerS = "peak_reconnects_per_s", Rate, "with `fault`: the most connections set up per second";
        Devices = "devices", Count, "with `fault`: devices it hit";
        Acted = "acted", Count, "with `fault`: how often it acted";
    }
}

impl Figure {
    /// Whether it is known of the time around a fault, too.
    pub const fn is_of_faults(self) -> bool {
        matches!(
            self,
            Self::ErrorRate
                | Self::Shortfall
                | Self::FailedRate
                | Self::OkRate
                | Self::ShedRate
                | Self::TimeoutRate
                | Self::LostRate
                | Self::DroppedRate
                | Self::DuplicatedRate
                | Self::ReorderedRate
                | Self::Ok
                | Self::Failed
                | Self::Shed
                | Self::Error
                | Self::Timeout
                | Self::Lost
                | Self::Dropped
                | Self::Duplicated
                | Self::Reordered
        )
    }

    /// Whether a bound on it is one on readings that fail. A percentile is none: nobody sees in it what share it leaves out.
    const fn counts_failures(self) -> bool {
        matches!(
            self,
            Self::ErrorRate
                | Self::FailedRate
                | Self::OkRate
                | Self::Ok
                | Self::Failed
                | Self::Censored
                | Self::WithinBudget
                | Self::WithinBudgetRate
                | Self::RatePerS
                | Self::Goodput
        )
    }

    /// Whether it rests on the latency budgets of fleets.
    pub const fn is_of_fleet_budgets(self) -> bool {
        matches!(self, Self::WithinBudget | Self::WithinBudgetRate)
    }
}

impl Metric {
    /// What `key` names: `p99`, `service_p99_9`, `error_rate`, or a column as files have it (`p99_ms`, `recovered_after_s`).
    ///
    /// # Errors
    /// `None` if it names nothing; an error if it names a percentile that cannot be.
    pub fn parse(key: &str) -> Option<Result<Self, BudgetError>> {
        let whole = Self::named(key).map(Ok);
        let bare = || bare(key).and_then(Self::named).filter(|metric| metric.unit() == Unit::Time).map(Ok);
        whole.or_else(bare).or_else(|| percentile(key.strip_suffix("_ms").unwrap_or(key)))
    }

    fn named(key: &str) -> Option<Self> {
        let figure = Figure::ALL.iter().find(|figure| figure.key() == key).copied().map(Self::Figure);
        let recovery =
            || Recovery::ALL.iter().find(|recovery| recovery.key() == key).copied().map(Self::Recovery);
        figure.or_else(recovery)
    }

    /// What a bare number means in the value of `key`, nanoseconds: columns have their unit in their name.
    pub(super) fn step_ns(key: &str) -> Option<u64> {
        match key.rsplit_once('_') {
            Some((_, "ms")) => Some(1_000_000),
            Some((_, "s")) => Some(1_000_000_000),
            _ => None,
        }
    }

    /// The key it is written as: `p99_9`.
    pub fn key(self) -> String {
        match self {
            Self::Percentile(times, quantile) => format!("{}{}", times.key(), quantile.column()),
            Self::Figure(figure) => figure.key().to_owned(),
            Self::Recovery(recovery) => recovery.key().to_owned(),
        }
    }

    /// What it is measured in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Percentile(times, _) => times.unit(),
            Self::Figure(figure) => figure.unit(),
            Self::Recovery(recovery) => recovery.unit(),
        }
    }

    /// Whether a bound on it is one on readings that fail.
    pub const fn counts_failures(self) -> bool {
        match self {
            Self::Figure(figure) => figure.counts_failures(),
            Self::Percentile(..) | Self::Recovery(_) => false,
        }
    }

    /// Whether it only ever grows while a run is on, so that it cannot be said early to stay too small.
    pub const fn grows(self) -> bool {
        !matches!(self, Self::Percentile(..)) && matches!(self.unit(), Unit::Count)
    }
}

impl std::fmt::Display for Metric {
    /// As people read it: `service p99.9`, `error rate`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percentile(times, quantile) => write!(f, "{}{quantile}", times.key().replace('_', " ")),
            Self::Figure(Figure::RatePerS | Figure::Goodput) => f.write_str("goodput"),
            Self::Figure(Figure::OfferedPerS) => f.write_str("offered"),
            Self::Figure(figure) => f.write_str(&figure.key().replace('_', " ")),
            Self::Recovery(recovery) => f.write_str(&recovery.key().replace('_', " ")),
        }
    }
}

fn bare(key: &str) -> Option<&str> {
    key.strip_suffix("_ms").or_else(|| key.strip_suffix("_s"))
}

/// The percentile written as `key`, such as `service_p99_9`.
fn percentile(key: &str) -> Option<Result<Metric, BudgetError>> {
    let at = key.rfind('p')?;
    let (before, number) = (key.get(..at)?, key.get(at + 1..)?);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = number.split_once('_').unwrap_or((number, "0"));
    let times = Times::ALL.iter().copied().find(|times| times.key() == before)?;
    if !digits(whole) || !digits(decimals) {
        return None;
    }
    let quantile =
        format!("p{whole}.{decimals}").parse::<Quantile>().ok().filter(|quantile| *quantile < Quantile::MAX);
    Some(quantile.map(|quantile| Metric::Percentile(times, quantile)).ok_or_else(|| BudgetError {
        message: "is not a valid percentile".to_owned(),
        help: "write for example p50, p99 or p99_9: from p0 to p99_9999, or max".to_owned(),
    }))
}
