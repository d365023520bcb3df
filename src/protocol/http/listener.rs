//! What a fleet that only hears over HTTP states: which request its devices make, and how they find readings in what is answered.

use std::time::Duration;

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, source};
use super::super::settings::{OwnSettings, Turns};
use super::super::{Correlation, Identity, Settings};
use super::settings::{headers, path};
use crate::fleet::Scope;
use crate::language::Reporter;

/// Settings of a fleet that only hears.
#[derive(Debug, Clone)]
pub(in crate::protocol) struct ListenerExchange {
    /// The request target, from `/`; may name the device. `None`: that of the target's URL.
    path: Option<Pattern>,
    /// Header fields by name; may name the device.
    headers: Vec<(String, Pattern)>,
    /// What is asked for is none of the bundled service's.
    is_foreign: bool,
    correlation: Correlation,
    /// How often sessions are called, and on what instants; zero: never.
    period: Duration,
    turns: Option<Turns>,
    own: OwnSettings,
}

impl ListenerExchange {
    /// As `stated`; a session is called every `period`, on `turns` where there are any, and reads `own`.
    pub(in crate::protocol) fn new(
        stated: &Stated<'_>,
        (period, turns): (Duration, Option<Turns>),
        own: OwnSettings,
        report: &mut Reporter<'_>,
    ) -> Self {
        let fields = stated.own;
        let told = stated.told_place(&["path"], report);
        let path = path(fields, &[], Scope::Device, report);
        Self {
            is_foreign: path.is_some(),
            path: told.or(path),
            headers: headers(fields, report),
            correlation: source(fields, report),
            period,
            turns,
            own,
        }
    }
}

impl Exchange for ListenerExchange {
    fn settings(&self, usual: Settings) -> Settings {
        Settings {
            correlation: self.correlation.clone(),
            keep_alive: self.period,
            turns: self.turns,
            own: self.own.clone(),
            ..usual
        }
    }

    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity {
        Identity {
            address: rendering.fixed(self.path.as_ref()),
            headers: rendering.headers(&self.headers),
            ..usual
        }
    }

    fn place(&self) -> Option<&Pattern> {
        self.path.as_ref()
    }

    fn method(&self, _: bool) -> Option<&str> {
        Some("GET")
    }

    /// What was heard last outlives a connection.
    fn is_lasting(&self) -> bool {
        true
    }

    fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    fn framing(&self, _: usize) -> usize {
        0
    }
}
