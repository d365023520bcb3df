//! The operator of a run's faults: breaks the service and runs the user's commands at their instants, lets people switch
//! faults by hand while the run is on, and leaves nothing broken behind.
//!
//! Everything happens on one thread of its own. Workers switch planned faults of devices by themselves; the operator only
//! keeps their books, and has them switched by hand.

mod board;
mod command;
mod desk;
#[cfg(unix)]
pub(super) mod door;
mod hand;
mod output;
mod talk;
#[cfg(unix)]
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::clock::{Monotonic, Pacer, Tick};
use crate::engine::{Control, Order};
use crate::fault::Fault;
use crate::protocol::control::FaultClient;
use crate::record::SwitchLog;
use crate::seed::Seed;
use desk::Desk;
use hand::Bench;

/// What an operator must know of its run.
pub(super) struct Post {
    /// Whether it breaks the service and runs commands, or leaves that to another shard.
    pub(super) leads: bool,
    /// In the order of the plan.
    pub(super) faults: Vec<Arc<Fault>>,
    pub(super) seed: Seed,
    pub(super) clock: Monotonic,
    /// When the plan ends: no fault is on from there, so that all that is open can be settled.
    pub(super) end: Tick,
    pub(super) control: Control,
    pub(super) switches: SwitchLog,
    /// The run's name in its files.
    pub(super) run_id: String,
    pub(super) scenario: String,
    pub(super) directory: PathBuf,
    /// The way to the service, where there are service faults.
    pub(super) service: Option<FaultClient>,
    /// Where people may speak to the run, the preferred place first.
    pub(super) places: Vec<PathBuf>,
    /// Tells whoever looks at the run.
    pub(super) screen: Box<dyn Fn(&str) + Send>,
}

/// What an operator has to say at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Switches that people asked for.
    pub(super) by_hand: u32,
    /// What went wrong, in the order of time.
    pub(super) troubles: Vec<String>,
    /// Further troubles.
    pub(super) omitted: u64,
}

impl Account {
    /// The troubles as a list to print; empty without any.
    pub(super) fn list(&self) -> String {
        let more = (self.omitted > 0).then(|| format!("and {} more", self.omitted));
        let lines: Vec<&str> = self.troubles.iter().map(String::as_str).chain(more.as_deref()).collect();
        if lines.is_empty() {
            String::new()
        } else {
            format!("trouble with faults:\n  {}", lines.join("\n  "))
        }
    }
}

/// An operator at work. Dropping it undoes everything that is still on, and waits for that.
#[derive(Debug)]
pub(super) struct Operator {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Account>>,
}

impl Operator {
    /// Puts an operator to work. A run without faults has none, and nothing is started.
    ///
    /// # Errors
    /// If the system gives no thread or no runtime.
    pub(super) fn start(post: Post) -> io::Result<Self> {
        if post.faults.is_empty() {
            return Ok(Self { stop: None, thread: None });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || LocalSet::new().block_on(&runtime, operate(post, stopped));
        let thread = thread::Builder::new().name("squall-operator".into()).spawn(body)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Undoes everything that is still on, and says what there is to say.
    pub(super) fn finish(mut self) -> Account {
        self.end()
    }

    fn end(&mut self) -> Account {
        // An operator that has ended by itself does not hear it.
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Account::default() };
        thread.join().unwrap_or_else(|_| Account {
            troubles: vec!["the operator panicked; this is a bug in squall, please report it".into()],
            ..Account::default()
        })
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
    }
}

async fn operate(post: Post, stopped: oneshot::Receiver<()>) -> Account {
    let directory = std::path::absolute(&post.directory).unwrap_or(post.directory);
    let run = wire::Run {
        id: post.run_id,
        directory: directory.display().to_string(),
        scenario: post.scenario,
        pid: std::process::id(),
        at_s: 0.0,
    };
    let bench = Rc::new(Bench {
        clock: post.clock,
        seed: post.seed,
        end: post.end,
        switches: post.switches,
        directory,
        orders: post.control.subscribe(),
        service: post.service,
        screen: post.screen,
        leads: post.leads,
        ending: Cell::new(false),
        troubles: RefCell::default(),
        troubles_omitted: Cell::new(0),
    });
    let (desk, hands) = Desk::staffed(post.faults, post.control, run, &bench);
    let desk = Rc::new(desk);
    // A task of its own: should it panic, all that is on is undone all the same.
    let attending = tokio::task::spawn_local(attend(Rc::clone(&desk), post.places, stopped));
    let mut sound = attending.await.is_ok();
    desk.close();
    for hand in hands {
        sound &= hand.await.is_ok();
    }
    let mut troubles = bench.troubles.take();
    if !sound {
        troubles.push("the operator panicked; this is a bug in squall, please report it".into());
    }
    Account { by_hand: desk.by_hand(), troubles, omitted: bench.troubles_omitted.get() }
}

/// Attends to plan and people until the run ends or is to end.
async fn attend(desk: Rc<Desk>, places: Vec<PathBuf>, mut stopped: oneshot::Receiver<()>) {
    let (clock, mut orders) = desk.post();
    let mut pacer = Pacer::new(clock);
    let reception = Reception::open(&places, &desk);
    let mut callers = JoinSet::new();
    loop {
        desk.advance();
        if desk.is_over() {
            return;
        }
        tokio::select! {
            // Whoever holds the other end has let go of it.
            _ = &mut stopped => return,
            () = ended(&mut orders) => return,
            () = desk.changed.notified() => {}
            woken = pacer.sleep_until(desk.next()) => {
                if woken.is_err() {
                    // Without the timer there is still the coarse one.
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
            caller = reception.caller(), if callers.len() < CALLERS => {
                callers.spawn_local(talk::attend(Rc::clone(&desk), caller));
            }
            Some(_) = callers.join_next(), if !callers.is_empty() => {}
        }
    }
}

/// Callers that are attended to at the same time; further ones wait.
const CALLERS: usize = 4;

/// Waits until the run is to end.
async fn ended(orders: &mut watch::Receiver<Order>) {
    if orders.wait_for(|order| *order != Order::Run).await.is_err() {
        // Nobody is left who could give an order.
        std::future::pending::<()>().await;
    }
}

/// Where people come in.
#[cfg(unix)]
struct Reception {
    open: Option<(tokio::net::UnixListener, door::Door)>,
}

#[cfg(unix)]
impl Reception {
    /// A reception that stays closed, with a word on the screen, if there is no place for it.
    fn open(places: &[PathBuf], desk: &Desk) -> Self {
        // Takes away what dead runs left.
        drop(door::knock(places));
        let opened = door::Door::open(places).and_then(|door| {
            let listener = tokio::net::UnixListener::from_std(door.listener()?)?;
            Ok((listener, door))
        });
        if let Err(error) = &opened {
            let tried: Vec<String> =
                places.iter().map(|place: &PathBuf| place.display().to_string()).collect();
            desk.say(&format!(
                "note: faults cannot be switched by hand: no socket in {} ({error}); set XDG_RUNTIME_DIR to a folder of \
                 your own with a short path",
                tried.join(", ")
            ));
        }
        Self { open: opened.ok() }
    }

    /// The next caller; `None` if one could not be let in.
    async fn caller(&self) -> Option<tokio::net::UnixStream> {
        let Some((listener, _)) = &self.open else { return std::future::pending().await };
        let came = listener.accept().await.ok();
        if came.is_none() {
            // Out of descriptors, most likely: nothing that trying again at once would mend.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        came.map(|(caller, _)| caller)
    }
}

#[cfg(not(unix))]
struct Reception;

#[cfg(not(unix))]
impl Reception {
    fn open(_places: &[PathBuf], _desk: &Desk) -> Self {
        Self
    }

    async fn caller(&self) -> Option<std::convert::Infallible> {
        std::future::pending().await
    }
}

/// Where runs can be spoken to, the preferred place first.
pub(super) fn places() -> Vec<PathBuf> {
    #[cfg(unix)]
    return door::places();
    #[cfg(not(unix))]
    Vec::new()
}

/// Whether any of `faults` breaks the bundled reference system.
pub(super) fn breaks_service(faults: &[Arc<Fault>]) -> bool {
    faults.iter().any(|fault| matches!(fault.effect, crate::fault::Effect::Service(_)))
}
