//! A run as it is watched: what is known of it, the instant that is shown, and what keys do.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::args::WatchArgs;
use super::order::Orders;
use crate::cli::CliError;
use crate::clock::Tick;
use crate::results::{
    Follower, Manifest, Outage, Reach, RunState, is_abandoned, load_manifest, read_outages, verify,
};
use crate::run::control::protocol::Request as Asked;
use crate::tui::{self, Controls, Mode, Model, Palette, Request, Rights};

/// A message stays for so long, nanoseconds.
const MESSAGE_NS: u64 = 6_000_000_000;
/// Chunks that are read before a frame is drawn and keys are heard.
const CHUNKS: usize = 8;

/// Whether the screen goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Stay,
    Leave,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy)]
struct Replay {
    at_s: f64,
    speed: f64,
    runs: bool,
}

/// A run that is watched.
pub(super) struct Session {
    follower: Follower,
    run: Manifest,
    /// It says that the run goes on, and nobody writes it any more.
    is_killed: bool,
    /// What `run.json` was like when it was read.
    stamp: Option<(u64, SystemTime)>,
    /// Of the whole run, as far as it is written, and as far as it is known at the instant that is shown.
    outages: Vec<Outage>,
    known: Vec<Outage>,
    /// `None` while the run goes on.
    replay: Option<Replay>,
    orders: Option<Orders>,
    controls: Controls,
    message: Option<(String, Tick)>,
    last: Tick,
    /// How far the files have been read.
    reach: Reach,
    /// Whether the screen may have to show something else than when it was last asked.
    changed: bool,
}

impl Session {
    /// Opens the run in `directory`.
    ///
    /// # Errors
    /// If it is none, is to be replayed while it goes on, or has ended and its files are not those that it left.
    pub(super) fn open(directory: &Path, orders: Option<Orders>, args: &WatchArgs) -> Result<Self, CliError> {
        let is_abandoned = is_abandoned(directory);
        let stamp = stamp(directory);
        let run = load_manifest(directory).map_err(CliError::failed)?;
        verify(directory, &run.files).map_err(CliError::failed)?;
        let is_killed = is_abandoned && run.state == RunState::Running;
        let goes_on = run.state == RunState::Running && !is_killed && orders.is_some();
        let wants_replay = args.at.is_some() || args.speed.is_some();
        if goes_on && wants_replay {
            return Err(CliError::usage("the run is under way; --at and --speed replay one that has ended"));
        }
        let follower = Follower::open(directory, &run).map_err(CliError::failed)?;
        let at_s = match (args.at, args.speed) {
            (Some(at), _) => at.as_secs_f64(),
            (None, Some(_)) => 0.0,
            (None, None) => f64::INFINITY,
        };
        let replay = Replay { at_s, speed: args.speed.unwrap_or(1.0), runs: args.speed.is_some() };
        let replays = wants_replay || is_killed || run.state != RunState::Running;
        let mut session = Self {
            outages: read_outages(directory).unwrap_or_default(),
            known: Vec::new(),
            follower,
            run,
            is_killed,
            stamp,
            replay: replays.then_some(replay),
            controls: Controls::new(Rights { owns: false, orders: false, replays }),
            // The screen of a run that has ended already is over, too.
            orders: orders.filter(|orders| goes_on || orders.owns),
            message: None,
            last: Tick::ZERO,
            reach: Reach::More,
            changed: true,
        };
        session.allow();
        Ok(session)
    }

    fn allow(&mut self) {
        self.controls.allow(Rights {
            owns: self.is_own(),
            orders: self.orders.is_some(),
            replays: self.replay.is_some(),
        });
    }

    /// Whether this is the run's own screen.
    fn is_own(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.owns)
    }

    /// Whether the run has ended whose own screen this is.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() && self.is_own()
    }

    /// Where the run's files are.
    pub(super) fn directory(&self) -> &Path {
        self.follower.directory()
    }

    /// Whether the run has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.is_killed || self.run.state != RunState::Running
    }

    /// Who takes orders for a run that has faults to be switched.
    pub(super) fn switching(&self) -> Option<&Orders> {
        let has_faults = self.run.plan.as_ref().is_some_and(|plan| !plan.faults.is_empty());
        self.orders.as_ref().filter(|_| has_faults)
    }

    /// How the run does, for a page that follows it: a JSON object.
    pub(super) fn summary(&self) -> String {
        let told = serde_json::json!({
            "at_s": self.follower.watched().reached_s,
            "words": tui::words(&self.model()),
            "over": self.has_ended(),
        });
        told.to_string()
    }

    /// Reads on; `now` is an instant on any clock that goes on.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn step(&mut self, now: Tick) -> Result<(), CliError> {
        let passed_s = now.since(self.last) as f64 / 1e9;
        self.last = now;
        if self.message.as_ref().is_some_and(|(_, since)| now.since(*since) > MESSAGE_NS) {
            self.message = None;
            self.changed = true;
        }
        if self.replay.is_none() {
            self.reload();
        }
        if self.controls.is_frozen() {
            return Ok(());
        }
        if let Some(replay) = self.replay.as_mut().filter(|replay| replay.runs) {
            replay.at_s += passed_s * replay.speed;
            self.changed = true;
        }
        let until_s = self.replay.map_or(f64::INFINITY, |replay| replay.at_s);
        let reached_s = self.follower.watched().reached_s;
        for _ in 0..CHUNKS {
            self.reach = self.follower.advance(until_s).map_err(CliError::failed)?;
            if self.reach != Reach::More {
                break;
            }
        }
        let moved = self.follower.watched().reached_s > reached_s;
        self.changed |= moved || self.reach == Reach::More;
        if moved && self.replay.is_none() && self.run.plan.as_ref().is_none_or(|plan| !plan.faults.is_empty())
        {
            // Half a file is not a reason to end: the next interval brings the whole.
            self.outages = read_outages(self.follower.directory()).unwrap_or_default();
        }
        if let Some(replay) = self.replay.as_mut().filter(|_| self.reach == Reach::End) {
            // There is nothing beyond the end.
            *replay = Replay { at_s: self.follower.watched().reached_s, runs: false, ..*replay };
        }
        self.known = match self.replay {
            Some(_) if !self.is_at_end() => tui::known_by(&self.outages, self.follower.watched().reached_s),
            _ => self.outages.clone(),
        };
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.replay.is_some() && self.reach == Reach::End
    }

    /// Reads the manifest once it has changed, and looks whether the run is still on.
    fn reload(&mut self) {
        // In this order: who ends a run in good order writes the manifest before letting go.
        let is_abandoned = is_abandoned(self.follower.directory());
        let found = stamp(self.follower.directory());
        if found != self.stamp {
            // It is replaced in one step; whoever cannot read it now may a moment later.
            let Ok(run) = load_manifest(self.follower.directory()) else { return };
            (self.run, self.stamp) = (run, found);
            self.changed = true;
        }
        self.is_killed = is_abandoned && self.run.state == RunState::Running;
        if self.has_ended() {
            self.changed = true;
            self.outages = read_outages(self.follower.directory()).unwrap_or_default();
            self.replay = Some(Replay { at_s: f64::INFINITY, speed: 1.0, runs: false });
            if !self.is_own() {
                self.orders = None;
                let told = if self.is_killed {
                    "the run ended without its end: it was killed; squall report prints what its files hold"
                } else {
                    "the run has ended; squall report prints what became of it"
                };
                self.tell(told.to_owned());
            }
            self.allow();
        }
    }

    fn tell(&mut self, message: String) {
        self.message = Some((message, self.last));
    }

    /// Takes a key.
    ///
    /// # Errors
    /// If the run cannot be read from its beginning again.
    pub(super) fn press(&mut self, key: KeyEvent) -> Result<Flow, CliError> {
        self.changed = true;
        if let (KeyCode::Char('f'), Some(orders)) = (key.code, &mut self.orders) {
            orders.look();
        }
        let switches = self.orders.as_ref().map_or(&[][..], |orders| &orders.switches);
        let request = self.controls.press(key, switches);
        match request {
            None => {}
            Some(Request::Leave) => return Ok(Flow::Leave),
            Some(Request::Interrupt) if !self.is_own() => return Ok(Flow::Leave),
            Some(Request::End | Request::Interrupt) => self.order(Orders::interrupt),
            Some(Request::Switch { fault, on: true, seconds }) => {
                let for_ns = seconds.map(|seconds| seconds.saturating_mul(1_000_000_000));
                self.order(|orders| orders.ask(&Asked::Start { fault, for_ns }));
            }
            Some(Request::Switch { fault, .. }) => {
                self.order(|orders| orders.ask(&Asked::Stop { fault }));
            }
            Some(Request::StopAll) => self.order(|orders| orders.ask(&Asked::StopAll)),
            Some(Request::EndPhase) => self.order(|orders| orders.ask(&Asked::EndPhase)),
            Some(Request::Pause) => self.pause()?,
            Some(Request::Seek(by_s)) => self.seek(|at_s| at_s + by_s)?,
            Some(Request::Rewind) => self.seek(|_| 0.0)?,
            Some(Request::Forward) => self.seek(|_| f64::INFINITY)?,
            Some(Request::Faster(times)) => {
                if let Some(replay) = &mut self.replay {
                    replay.speed = (replay.speed * times).clamp(0.125, 1_024.0);
                    replay.runs = true;
                }
            }
        }
        Ok(Flow::Stay)
    }

    fn order(&mut self, ask: impl FnOnce(&Orders) -> String) {
        if let Some(message) = self.orders.as_ref().map(ask) {
            self.tell(message);
        }
    }

    /// Stands still or goes on; from the end it goes on from the beginning.
    fn pause(&mut self) -> Result<(), CliError> {
        if self.is_at_end() {
            self.seek(|_| 0.0)?;
        }
        if let Some(replay) = &mut self.replay {
            replay.runs = !replay.runs;
        }
        Ok(())
    }

    /// Goes to another instant; what lies behind it is forgotten.
    fn seek(&mut self, to: impl FnOnce(f64) -> f64) -> Result<(), CliError> {
        let reached_s = self.follower.watched().reached_s;
        let Some(replay) = &mut self.replay else { return Ok(()) };
        replay.at_s = to(replay.at_s).max(0.0);
        self.reach = Reach::More;
        if replay.at_s < reached_s {
            let directory = self.follower.directory().to_owned();
            self.follower = Follower::open(&directory, &self.run).map_err(CliError::failed)?;
        }
        Ok(())
    }

    /// Whether there may be something else to see than when this was last asked.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether there is more to read at once.
    pub(super) fn is_behind(&self) -> bool {
        self.reach == Reach::More && !self.controls.is_frozen()
    }

    /// Reads as far as there is something to read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn catch_up(&mut self) -> Result<(), CliError> {
        while self.is_behind() {
            self.step(self.last)?;
        }
        Ok(())
    }

    fn model(&self) -> Model<'_> {
        let mode = match self.replay {
            None => Mode::Live,
            Some(_) if self.is_at_end() => Mode::Ended,
            Some(Replay { speed, runs, .. }) => Mode::Replay { speed, runs },
        };
        Model {
            run: &self.run,
            watched: self.follower.watched(),
            present: self.follower.present(),
            outages: &self.known,
            switches: self.orders.as_ref().map_or(&[], |orders| &orders.switches),
            mode,
            is_killed: self.is_killed,
            message: self.message.as_ref().map(|(message, _)| message.as_str()),
        }
    }

    /// What the screen shows.
    pub(super) fn draw(&self, palette: Palette, area: Rect) -> Buffer {
        let mut buffer = Buffer::empty(area);
        tui::draw(&self.model(), &self.controls, palette, &mut buffer);
        buffer
    }
}

fn stamp(directory: &Path) -> Option<(u64, SystemTime)> {
    let found = fs::metadata(directory.join("run.json")).ok()?;
    Some((found.len(), found.modified().ok()?))
}
