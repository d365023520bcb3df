//! Executes one service or command fault: begins and ends its activations one after the other, and undoes what is still on
//! once no further job can come.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::command::{CommandResult, ShellCommand};
use crate::clock::{Monotonic, Tick};
use crate::engine::Order;
use crate::fault::{Command, Effect, Fault, ServiceFault};
use crate::protocol::control::FaultClient;
use crate::record::{FaultId, Layout, SwitchEvent, SwitchLog};
use crate::results::Privacy;
use crate::seed::Seed;
use crate::units::Span;

/// How long to wait for a begin command before the switch is logged without its output.
const GRACE: Duration = Duration::from_millis(100);

/// Attempts to stop a service fault, and the pause between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);

/// What went wrong, at most so many of it.
const TROUBLES: usize = 20;

/// What all executors of a run share.
pub(super) struct Context {
    pub(super) clock: Monotonic,
    pub(super) seed: Seed,
    /// No fault is on from its end on.
    pub(super) layout: Arc<Layout>,
    pub(super) is_shard: bool,
    pub(super) switches: SwitchLog,
    /// The run's directory, absolute.
    pub(super) directory: PathBuf,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) privacy: Privacy,
    pub(super) service: Option<FaultClient>,
    /// Whether it breaks the service and runs commands, or leaves that to another shard.
    pub(super) leads: bool,
    pub(super) screen: Box<dyn Fn(&str) + Send>,
    /// No further activation begins.
    pub(super) ending: Cell<bool>,
    pub(super) troubles: RefCell<Vec<String>>,
    pub(super) troubles_omitted: Cell<u64>,
}

impl Context {
    /// Tells of a trouble at once, and again at the end of the run.
    pub(super) fn trouble(&self, fault: &str, what: &str) {
        let text = format!("fault `{fault}` at {}: {}", self.clock.now(), self.privacy.mask(what));
        (self.screen)(&text);
        let mut troubles = self.troubles.borrow_mut();
        if troubles.len() < TROUBLES {
            troubles.push(text);
        } else {
            self.troubles_omitted.set(self.troubles_omitted.get() + 1);
        }
    }
}

/// A switch for an executor to carry out.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) occurrence: u32,
    pub(super) on: bool,
    /// When the plan wants it; `None`: by hand.
    pub(super) planned: Option<Tick>,
    /// With `on`: when the activation ends by itself.
    pub(super) until: Option<Tick>,
    /// Receives the outcome.
    pub(super) tell: Option<oneshot::Sender<Outcome>>,
}

/// How a switch went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// `None`: it is not known yet.
    pub(super) well: Option<bool>,
    pub(super) remark: Option<String>,
}

/// Carries out the switches of one fault.
pub(super) struct Executor {
    pub(super) fault: Arc<Fault>,
    pub(super) id: FaultId,
    pub(super) context: Rc<Context>,
}

/// An activation that has begun and not ended.
#[derive(Debug)]
struct Activation {
    occurrence: u32,
    /// When the plan ends it.
    planned_end: Option<Tick>,
    /// How often it acted, where that is known at once.
    acted: u64,
    /// Output of the begin command that came after the switch was logged.
    late: Option<String>,
}

impl Executor {
    /// Does its jobs one after the other until no more can come; then ends what is on.
    pub(super) async fn work(self, mut jobs: mpsc::Receiver<Job>) {
        let mut begun: Option<Activation> = None;
        while let Some(job) = jobs.recv().await {
            if !job.on {
                // The activation may have been left out.
                if let Some(activation) = begun.take_if(|activation| activation.occurrence == job.occurrence)
                {
                    self.end(activation, job.planned, None, job.tell).await;
                }
            } else if !self.context.ending.get() {
                begun = Some(self.begin(job).await);
            }
        }
        if let Some(activation) = begun {
            let planned = activation.planned_end;
            self.end(activation, planned, Some("the run ended"), None).await;
        }
    }

    async fn begin(&self, job: Job) -> Activation {
        let at = self.context.clock.now();
        let mut begun = Activation {
            occurrence: job.occurrence,
            planned_end: job.planned.and(job.until),
            acted: 0,
            late: None,
        };
        let mark = PendingSwitch { occurrence: job.occurrence, on: true, planned: job.planned, at, acted: 0 };
        match &self.fault.effect {
            Effect::Service(trouble) => {
                let length = job.until.unwrap_or(self.context.layout.end()).since(at);
                let started = self.start(trouble, job.occurrence, Span::from_ns(length)).await;
                begun.acted = *started.as_ref().unwrap_or(&0);
                self.settle(mark, started.map(|_| None), job.tell);
            }
            Effect::Command(command) => begun.late = self.run_begin(command, mark, job.tell).await,
            // Workers switch these.
            Effect::Network(_) | Effect::Message(_) | Effect::Device(_) => {}
        }
        begun
    }

    async fn start(&self, trouble: &ServiceFault, occurrence: u32, length: Span) -> Result<u64, String> {
        let service = self.context.service.as_ref().ok_or("there is no service to break")?;
        let label = format!("fault/{}/service", self.fault.name);
        let seed = self.context.seed.stream(&label, u64::from(occurrence)).next_u64();
        let started = service.start(&self.fault.name, trouble, seed, length).await;
        started.map_err(|error| format!("cannot be started: {error}"))
    }

    /// Runs the begin command to its end. Gives what it reported after the switch was logged.
    async fn run_begin(
        &self,
        command: &Command,
        mark: PendingSwitch,
        tell: Option<oneshot::Sender<Outcome>>,
    ) -> Option<String> {
        let mut running = match self.launch(&command.begin, "begin", mark.occurrence, command.timeout) {
            Ok(running) => running,
            Err(error) => {
                self.settle(mark, report_of("begin", &CommandResult::not_started(error)), tell);
                return None;
            }
        };
        let mut ended = pin!(running.ended(Some(self.context.orders.clone())));
        if let Ok(ended) = tokio::time::timeout(GRACE, ended.as_mut()).await {
            self.settle(mark, report_of("begin", &ended), tell);
            return None;
        }
        self.log(mark, None);
        tell.map(|tell| tell.send(Outcome::default()));
        let late = report_of("begin", &ended.await);
        if let Err(trouble) = &late {
            self.context.trouble(&self.fault.name, trouble);
        }
        late.unwrap_or_else(Some)
    }

    async fn end(
        &self,
        activation: Activation,
        planned: Option<Tick>,
        why: Option<&str>,
        tell: Option<oneshot::Sender<Outcome>>,
    ) {
        let mut acted = activation.acted;
        let ended = match &self.fault.effect {
            Effect::Service(trouble) if !trouble.is_instant() => match self.stop().await {
                Ok(times) => {
                    acted = times;
                    Ok(None)
                }
                Err(trouble) => Err(trouble),
            },
            Effect::Command(Command { end: Some(end), timeout, .. }) => {
                let ended = match self.launch(end, "end", activation.occurrence, *timeout) {
                    Ok(mut running) => running.ended(None).await,
                    Err(error) => CommandResult::not_started(error),
                };
                report_of("end", &ended)
            }
            _ => Ok(None),
        };
        let mark = PendingSwitch {
            occurrence: activation.occurrence,
            on: false,
            planned,
            at: self.context.clock.now(),
            acted,
        };
        let joined = |remark: Option<String>| {
            let parts: Vec<String> =
                [why.map(ToOwned::to_owned), activation.late, remark].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        };
        let ended = match ended {
            Ok(remark) => Ok(joined(remark)),
            Err(trouble) => {
                self.context.trouble(&self.fault.name, &trouble);
                Err(joined(Some(trouble)).unwrap_or_default())
            }
        };
        let well = ended.is_ok();
        let remark = ended.unwrap_or_else(Some).map(|remark| self.context.privacy.mask(&remark));
        self.log(mark, remark.clone());
        tell.map(|tell| tell.send(Outcome { well: Some(well), remark }));
    }

    async fn stop(&self) -> Result<u64, String> {
        let service = self.context.service.as_ref().ok_or("there is no service to mend")?;
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

    fn launch(
        &self,
        script: &str,
        part: &str,
        occurrence: u32,
        timeout: Span,
    ) -> std::io::Result<ShellCommand> {
        let folder = self.context.directory.join("commands");
        // Without the folder there is no log, and the command matters more.
        let _ = std::fs::create_dir_all(&folder);
        let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = self.fault.name.chars().map(plain).collect();
        let log = folder.join(format!("{name}-{occurrence}-{part}.log"));
        let occurrence = occurrence.to_string();
        let environment = [
            ("SQUALL_RUN_DIR", self.context.directory.as_os_str()),
            ("SQUALL_FAULT", OsStr::new(&self.fault.name)),
            ("SQUALL_TURN", OsStr::new(&occurrence)),
        ];
        ShellCommand::start(script, timeout, &log, &environment)
    }

    /// Logs a switch whose outcome is known, and tells of trouble.
    fn settle(
        &self,
        mark: PendingSwitch,
        how: Result<Option<String>, String>,
        tell: Option<oneshot::Sender<Outcome>>,
    ) {
        if let Err(trouble) = &how {
            self.context.trouble(&self.fault.name, trouble);
        }
        let well = how.is_ok();
        let remark = how.unwrap_or_else(Some).map(|remark| self.context.privacy.mask(&remark));
        self.log(mark, remark.clone());
        tell.map(|tell| tell.send(Outcome { well: Some(well), remark }));
    }

    fn log(&self, mark: PendingSwitch, remark: Option<String>) {
        let PendingSwitch { occurrence, on, planned, at, acted } = mark;
        self.context.switches.note(SwitchEvent {
            fault: self.id,
            occurrence,
            on,
            planned,
            at,
            devices: 0,
            acted,
            remark,
        });
    }
}

/// A switch, as far as it is known before it is done.
#[derive(Debug, Clone, Copy)]
struct PendingSwitch {
    occurrence: u32,
    on: bool,
    planned: Option<Tick>,
    at: Tick,
    acted: u64,
}

/// What a command printed last, or what went wrong.
fn report_of(part: &str, ended: &CommandResult) -> Result<Option<String>, String> {
    let remark = ended.remark().map(|remark| format!("{part}: {remark}"));
    if ended.is_well() { Ok(remark) } else { Err(remark.unwrap_or_default()) }
}
