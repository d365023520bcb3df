//! One job: what it is, how far it is, and what is told of it.

use std::sync::Arc;

use serde::Serialize;

use crate::clock::Tick;
use crate::service::Priority;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::reference) enum State {
    /// It waits for a worker.
    Waiting,
    /// A worker is at it.
    Running,
    /// A try failed, and it waits for the next.
    Retrying,
    /// It succeeded.
    Done,
    /// It failed in all its tries.
    Dead,
}

/// Who submitted a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::reference) enum Submitter {
    /// A request over HTTP.
    Request,
    /// The rule of its class for alerts.
    Alert,
    /// The schedule of its class.
    Schedule,
}

/// One job.
#[derive(Debug, Clone)]
pub(in crate::reference) struct Job {
    /// Numbered from 1, without gaps.
    pub(in crate::reference) number: u64,
    /// The place of its class among the settings.
    pub(super) class: usize,
    pub(super) priority: Priority,
    pub(super) by: Submitter,
    /// What its submitter tells it apart by.
    pub(super) key: Option<Arc<str>>,
    /// What it is about, in its submitter's words.
    pub(super) about: Option<Arc<str>>,
    pub(in crate::reference) state: State,
    /// Tries so far, the one under way included; those cut short by a crash do not count.
    pub(super) tries: u32,
    /// Workers that crashed while they were at it.
    pub(super) crashes: u32,
    /// Parts of the present try that are over.
    pub(super) step: u32,
    /// How often it had its effect.
    pub(super) effects: u32,
    pub(super) submitted: Tick,
    /// When the last try began.
    pub(super) began: Tick,
    /// When the next try is due, while it waits for that.
    pub(super) due: Option<Tick>,
    pub(super) ended: Option<Tick>,
    /// Why the last try failed.
    pub(super) reason: Option<Arc<str>>,
}

/// What is told of a job.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "job")]
pub(in crate::reference) struct Report<'a> {
    job: u64,
    class: &'a str,
    state: State,
    by: Submitter,
    priority: &'static str,
    tries: u32,
    /// Tries that it has in all.
    of: u32,
    step: u32,
    steps: u32,
    crashes: u32,
    effects: u32,
    /// Milliseconds since the service started, like all instants here.
    submitted_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Job {
    /// Whether nothing more will happen to it.
    pub(in crate::reference) const fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Dead)
    }

    /// As one JSON object; `class` is that of its number.
    pub(super) fn encode(&self, class: &crate::service::JobClass) -> String {
        let ms = |at: Tick| at.0 / 1_000_000;
        let report = Report {
            job: self.number,
            class: &class.name,
            state: self.state,
            by: self.by,
            priority: self.priority.name(),
            tries: self.tries,
            of: class.tries,
            step: self.step,
            steps: class.steps,
            crashes: self.crashes,
            effects: self.effects,
            submitted_ms: ms(self.submitted),
            due_ms: self.due.map(ms),
            ended_ms: self.ended.map(ms),
            key: self.key.as_deref(),
            about: self.about.as_deref(),
            reason: self.reason.as_deref(),
        };
        // Plain strings and integers always serialise.
        serde_json::to_string(&report).unwrap_or_default()
    }
}
