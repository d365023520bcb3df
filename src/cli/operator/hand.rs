//! One service or command fault: begins and ends its spells one after the other, and undoes what is still on when nobody
//! speaks to it any more.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::command::{Ended, Running};
use crate::clock::{Monotonic, Tick};
use crate::engine::Order;
use crate::fault::{Command, Effect, Fault, ServiceFault};
use crate::protocol::control::FaultClient;
use crate::record::{FaultId, Switch, SwitchLog};
use crate::seed::Seed;
use crate::units::Span;

/// How long a command that begins a spell is waited for before the switch is logged without what it printed.
const GRACE: Duration = Duration::from_millis(100);

/// Attempts to stop a service fault, and the pause between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);

/// What went wrong, at most so many of it.
const TROUBLES: usize = 20;

/// What all hands of a run share.
pub(super) struct Bench {
    pub(super) clock: Monotonic,
    pub(super) seed: Seed,
    /// No fault is on from here.
    pub(super) end: Tick,
    pub(super) switches: SwitchLog,
    /// The run's directory, absolute.
    pub(super) directory: PathBuf,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) service: Option<FaultClient>,
    /// Whether it breaks the service and runs commands, or leaves that to another shard.
    pub(super) leads: bool,
    pub(super) screen: Box<dyn Fn(&str) + Send>,
    /// No further spell begins.
    pub(super) ending: Cell<bool>,
    pub(super) troubles: RefCell<Vec<String>>,
    pub(super) troubles_omitted: Cell<u64>,
}

impl Bench {
    /// Tells of a trouble at once, and again at the end of the run.
    pub(super) fn trouble(&self, fault: &str, what: &str) {
        let text = format!("fault `{fault}` at {}: {what}", self.clock.now());
        (self.screen)(&text);
        let mut troubles = self.troubles.borrow_mut();
        if troubles.len() < TROUBLES {
            troubles.push(text);
        } else {
            self.troubles_omitted.set(self.troubles_omitted.get() + 1);
        }
    }
}

/// One thing for a hand to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) turn: u32,
    pub(super) on: bool,
    /// When the plan wants it; `None`: by hand.
    pub(super) planned: Option<Tick>,
    /// With `on`: when the spell ends by itself.
    pub(super) until: Option<Tick>,
    /// Who wants to know how it went.
    pub(super) tell: Option<oneshot::Sender<Outcome>>,
}

/// How a switch went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// `None`: it is not known yet.
    pub(super) well: Option<bool>,
    pub(super) remark: Option<String>,
}

/// Whoever does what one fault takes.
pub(super) struct Hand {
    pub(super) fault: Arc<Fault>,
    pub(super) id: FaultId,
    pub(super) bench: Rc<Bench>,
}

/// A spell that has begun and not ended.
#[derive(Debug)]
struct Begun {
    turn: u32,
    /// When the plan ends it.
    planned_end: Option<Tick>,
    /// How often it acted, where that is known at once.
    acted: u64,
    /// What the command that began it left to say after the switch was logged.
    late: Option<String>,
}

impl Hand {
    /// Does its jobs one after the other, until nobody can bring any more; then ends what is on.
    pub(super) async fn work(self, mut jobs: mpsc::Receiver<Job>) {
        let mut begun: Option<Begun> = None;
        while let Some(job) = jobs.recv().await {
            if !job.on {
                // The spell may have been left out.
                if let Some(spell) = begun.take_if(|spell| spell.turn == job.turn) {
                    self.end(spell, job.planned, None, job.tell).await;
                }
            } else if !self.bench.ending.get() {
                begun = Some(self.begin(job).await);
            }
        }
        if let Some(spell) = begun {
            let planned = spell.planned_end;
            self.end(spell, planned, Some("the run ended"), None).await;
        }
    }

    async fn begin(&self, job: Job) -> Begun {
        let at = self.bench.clock.now();
        let mut begun =
            Begun { turn: job.turn, planned_end: job.planned.and(job.until), acted: 0, late: None };
        let mark = Mark { turn: job.turn, on: true, planned: job.planned, at, acted: 0 };
        match &self.fault.effect {
            Effect::Service(trouble) => {
                let length = job.until.unwrap_or(self.bench.end).since(at);
                let started = self.start(trouble, job.turn, Span::from_ns(length)).await;
                begun.acted = *started.as_ref().unwrap_or(&0);
                self.settle(mark, started.map(|_| None), job.tell);
            }
            Effect::Command(command) => begun.late = self.run_begin(command, mark, job.tell).await,
            // Workers switch these.
            Effect::Network(_) | Effect::Message(_) | Effect::Device(_) => {}
        }
        begun
    }

    async fn start(&self, trouble: &ServiceFault, turn: u32, length: Span) -> Result<u64, String> {
        let service = self.bench.service.as_ref().ok_or("there is no service to break")?;
        let label = format!("fault/{}/service", self.fault.name);
        let seed = self.bench.seed.stream(&label, u64::from(turn)).next_u64();
        let started = service.start(&self.fault.name, trouble, seed, length).await;
        started.map_err(|error| format!("cannot be started: {error}"))
    }

    /// Runs the command that begins a spell to its end. What it left to say after the switch was logged.
    async fn run_begin(
        &self,
        command: &Command,
        mark: Mark,
        tell: Option<oneshot::Sender<Outcome>>,
    ) -> Option<String> {
        let mut running = match self.launch(&command.begin, "begin", mark.turn, command.timeout) {
            Ok(running) => running,
            Err(error) => {
                self.settle(mark, told("begin", &Ended::not_started(error)), tell);
                return None;
            }
        };
        let mut ended = pin!(running.ended(Some(self.bench.orders.clone())));
        if let Ok(ended) = tokio::time::timeout(GRACE, ended.as_mut()).await {
            self.settle(mark, told("begin", &ended), tell);
            return None;
        }
        self.log(mark, None);
        tell.map(|tell| tell.send(Outcome::default()));
        let late = told("begin", &ended.await);
        if let Err(trouble) = &late {
            self.bench.trouble(&self.fault.name, trouble);
        }
        late.unwrap_or_else(Some)
    }

    async fn end(
        &self,
        spell: Begun,
        planned: Option<Tick>,
        why: Option<&str>,
        tell: Option<oneshot::Sender<Outcome>>,
    ) {
        let mut acted = spell.acted;
        let ended = match &self.fault.effect {
            Effect::Service(trouble) if !trouble.is_instant() => match self.stop().await {
                Ok(times) => {
                    acted = times;
                    Ok(None)
                }
                Err(trouble) => Err(trouble),
            },
            Effect::Command(Command { end: Some(end), timeout, .. }) => {
                let ended = match self.launch(end, "end", spell.turn, *timeout) {
                    Ok(mut running) => running.ended(None).await,
                    Err(error) => Ended::not_started(error),
                };
                told("end", &ended)
            }
            _ => Ok(None),
        };
        let mark = Mark { turn: spell.turn, on: false, planned, at: self.bench.clock.now(), acted };
        let said = |remark: Option<String>| {
            let parts: Vec<String> =
                [why.map(ToOwned::to_owned), spell.late, remark].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        };
        let ended = match ended {
            Ok(remark) => Ok(said(remark)),
            Err(trouble) => {
                self.bench.trouble(&self.fault.name, &trouble);
                Err(said(Some(trouble)).unwrap_or_default())
            }
        };
        let well = ended.is_ok();
        let remark = ended.unwrap_or_else(Some);
        self.log(mark, remark.clone());
        tell.map(|tell| tell.send(Outcome { well: Some(well), remark }));
    }

    async fn stop(&self) -> Result<u64, String> {
        let service = self.bench.service.as_ref().ok_or("there is no service to mend")?;
        let mut attempt = 1;
        loop {
            match service.stop(&self.fault.name).await {
                Ok(acted) => return Ok(acted),
                Err(error) if attempt == ATTEMPTS => {
                    let hope = "the service ends it by itself a minute after its planned end";
                    return Err(format!("cannot be stopped: {error}; {hope}"));
                }
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn launch(&self, script: &str, part: &str, turn: u32, timeout: Span) -> std::io::Result<Running> {
        let folder = self.bench.directory.join("commands");
        // Without the folder there is no log, and the command matters more.
        let _ = std::fs::create_dir_all(&folder);
        let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = self.fault.name.chars().map(plain).collect();
        let log = folder.join(format!("{name}-{turn}-{part}.log"));
        let turn = turn.to_string();
        let environment = [
            ("SQUALL_RUN_DIR", self.bench.directory.as_os_str()),
            ("SQUALL_FAULT", OsStr::new(&self.fault.name)),
            ("SQUALL_TURN", OsStr::new(&turn)),
        ];
        Running::start(script, timeout, &log, &environment)
    }

    /// Logs a switch whose outcome is known, and tells of trouble.
    fn settle(
        &self,
        mark: Mark,
        how: Result<Option<String>, String>,
        tell: Option<oneshot::Sender<Outcome>>,
    ) {
        if let Err(trouble) = &how {
            self.bench.trouble(&self.fault.name, trouble);
        }
        let well = how.is_ok();
        let remark = how.unwrap_or_else(Some);
        self.log(mark, remark.clone());
        tell.map(|tell| tell.send(Outcome { well: Some(well), remark }));
    }

    fn log(&self, mark: Mark, remark: Option<String>) {
        let Mark { turn, on, planned, at, acted } = mark;
        self.bench.switches.note(Switch { fault: self.id, turn, on, planned, at, devices: 0, acted, remark });
    }
}

/// A switch, as far as it is known before it is done.
#[derive(Debug, Clone, Copy)]
struct Mark {
    turn: u32,
    on: bool,
    planned: Option<Tick>,
    at: Tick,
    acted: u64,
}

/// What a command left to say: what it printed last, or what went wrong.
fn told(part: &str, ended: &Ended) -> Result<Option<String>, String> {
    let remark = ended.remark().map(|remark| format!("{part}: {remark}"));
    if ended.is_well() { Ok(remark) } else { Err(remark.unwrap_or_default()) }
}
