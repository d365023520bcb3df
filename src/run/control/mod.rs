//! Control of a run: breaks the service and runs the user's commands on schedule, lets people switch faults and end phases by
//! hand during the run, and undoes every fault at its end.
//!
//! One thread does all of it. Workers switch the planned faults of devices by themselves; the control only keeps track of
//! them, and passes on what is switched by hand.

mod command;
mod connection;
mod controller;
mod executor;
#[cfg(unix)]
pub(crate) mod listener;
mod output;
mod phase;
pub(crate) mod protocol;
mod server;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::clock::{Monotonic, Pacer};
use crate::engine::{Control, Order};
use crate::fault::Fault;
use crate::protocol::control::FaultClient;
use crate::record::{Layout, SwitchLog};
use crate::results::Privacy;
use crate::seed::Seed;
use executor::Context;
use server::ControlServer;

/// What the control of a run needs to know.
pub(crate) struct Config {
    /// Whether it breaks the service and runs commands, or leaves that to another shard.
    pub(crate) leads: bool,
    /// In the order of the plan.
    pub(crate) faults: Vec<Arc<Fault>>,
    pub(crate) seed: Seed,
    pub(crate) clock: Monotonic,
    /// Whether it is one shard of a plan.
    pub(crate) is_shard: bool,
    /// Where its last phase ends no fault is on any more, so that all that is open can be settled.
    pub(crate) layout: Arc<Layout>,
    pub(crate) control: Control,
    pub(crate) switches: SwitchLog,
    /// The run's name in its files.
    pub(crate) run_id: String,
    pub(crate) scenario: String,
    pub(crate) directory: PathBuf,
    /// What no message and no file may show of a command's output.
    pub(crate) privacy: Privacy,
    /// Set where the plan has service faults.
    pub(crate) service: Option<FaultClient>,
    /// Folders for the control socket, the preferred one first.
    pub(crate) places: Vec<PathBuf>,
    /// Receives one line of text for the user.
    pub(crate) screen: Box<dyn Fn(&str) + Send>,
}

/// What happened to faults during a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Switches that people asked for.
    pub(crate) by_hand: u32,
    /// What went wrong, in the order of time.
    pub(crate) troubles: Vec<String>,
    /// Further troubles.
    pub(crate) omitted: u64,
}

impl Summary {
    /// The troubles as a list to print.
    pub(crate) fn list(&self) -> Option<String> {
        let more = (self.omitted > 0).then(|| format!("and {} more", self.omitted));
        let lines: Vec<&str> = self.troubles.iter().map(String::as_str).chain(more.as_deref()).collect();
        (!lines.is_empty()).then(|| format!("trouble with faults:\n  {}", lines.join("\n  ")))
    }
}

/// The thread that controls a run's faults. Dropping it undoes everything that is still on, and waits for that.
#[derive(Debug)]
pub(crate) struct ControlThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Summary>>,
}

impl ControlThread {
    /// Starts the thread. A run without faults has one too: it tells who runs here.
    ///
    /// # Errors
    /// If the system gives no thread or no runtime.
    pub(crate) fn start(config: Config) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || LocalSet::new().block_on(&runtime, control(config, stopped));
        let thread = thread::Builder::new().name("squall-control".into()).spawn(body)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Undoes everything that is still on.
    pub(crate) fn finish(mut self) -> Summary {
        self.end()
    }

    fn end(&mut self) -> Summary {
        // A thread that has ended by itself does not receive it.
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Summary::default() };
        thread.join().unwrap_or_else(|_| Summary {
            troubles: vec![
                "the control of faults panicked; this is a bug in squall, please report it".into(),
            ],
            ..Summary::default()
        })
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        self.end();
    }
}

async fn control(config: Config, stopped: oneshot::Receiver<()>) -> Summary {
    let directory = std::path::absolute(&config.directory).unwrap_or(config.directory);
    let run = protocol::RunInfo {
        id: config.run_id,
        directory: directory.display().to_string(),
        started_in: std::path::absolute(".").unwrap_or_default().display().to_string(),
        scenario: config.scenario,
        pid: std::process::id(),
        at_s: 0.0,
    };
    let context = Rc::new(Context {
        clock: config.clock,
        seed: config.seed,
        layout: config.layout,
        is_shard: config.is_shard,
        switches: config.switches,
        directory,
        orders: config.control.subscribe(),
        privacy: config.privacy,
        service: config.service,
        screen: config.screen,
        leads: config.leads,
        ending: Cell::new(false),
        troubles: RefCell::default(),
        troubles_omitted: Cell::new(0),
    });
    let (server, executors) = ControlServer::new(config.faults, config.control, run, &context);
    let server = Rc::new(server);
    // A task of its own: should it panic, all that is on is undone all the same.
    let serving = tokio::task::spawn_local(serve(Rc::clone(&server), config.places, stopped));
    let mut sound = serving.await.is_ok();
    server.close();
    for executor in executors {
        sound &= executor.await.is_ok();
    }
    let mut troubles = context.troubles.take();
    if !sound {
        troubles.push("the control of faults panicked; this is a bug in squall, please report it".into());
    }
    Summary { by_hand: server.by_hand(), troubles, omitted: context.troubles_omitted.get() }
}

/// Serves the plan and the clients until the run ends or is to end.
async fn serve(server: Rc<ControlServer>, places: Vec<PathBuf>, mut stopped: oneshot::Receiver<()>) {
    let (clock, mut orders) = server.clock_and_orders();
    let mut pacer = Pacer::new(clock);
    let acceptor = Acceptor::open(&places, &server);
    let mut clients = JoinSet::new();
    loop {
        server.advance();
        if server.is_over() {
            return;
        }
        tokio::select! {
            // The handle was dropped.
            _ = &mut stopped => return,
            () = ended(&mut orders) => return,
            () = server.changed.notified() => {}
            woken = pacer.sleep_until(server.next()) => {
                if woken.is_err() {
                    // Without the timer there is still the coarse one.
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
            client = acceptor.client(), if clients.len() < CLIENTS => {
                clients.spawn_local(connection::serve(Rc::clone(&server), client));
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
        }
    }
}

/// Clients served at the same time; further ones wait.
const CLIENTS: usize = 4;

/// Waits until the run is to end.
async fn ended(orders: &mut watch::Receiver<Order>) {
    if orders.wait_for(|order| *order != Order::Run).await.is_err() {
        // Nobody is left who could give an order.
        std::future::pending::<()>().await;
    }
}

/// Accepts the clients of the control socket.
#[cfg(unix)]
struct Acceptor {
    open: Option<(tokio::net::UnixListener, listener::Listener)>,
}

#[cfg(unix)]
impl Acceptor {
    /// Stays closed, with a note to the user, if no folder can hold the socket.
    fn open(places: &[PathBuf], server: &ControlServer) -> Self {
        // Removes what dead runs left behind.
        drop(listener::connect_all(places));
        let opened = listener::Listener::open(places).and_then(|own| {
            let listener = tokio::net::UnixListener::from_std(own.listener()?)?;
            Ok((listener, own))
        });
        if let (Err(error), true) = (&opened, server.has_faults()) {
            let tried: Vec<String> =
                places.iter().map(|place: &PathBuf| place.display().to_string()).collect();
            server.say(&format!(
                "note: faults cannot be switched by hand: no socket in {} ({error}); set XDG_RUNTIME_DIR to a folder of \
                 your own with a short path",
                tried.join(", ")
            ));
        }
        Self { open: opened.ok() }
    }

    /// The next client; `None` if one could not be let in.
    async fn client(&self) -> Option<tokio::net::UnixStream> {
        let Some((listener, _)) = &self.open else { return std::future::pending().await };
        let came = listener.accept().await.ok();
        if came.is_none() {
            // Out of descriptors, most likely: trying again at once would not help.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        came.map(|(client, _)| client)
    }
}

#[cfg(not(unix))]
struct Acceptor;

#[cfg(not(unix))]
impl Acceptor {
    fn open(_places: &[PathBuf], server: &ControlServer) -> Self {
        if server.has_faults() {
            server.say("note: faults cannot be switched by hand on this system: it has no Unix sockets");
        }
        Self
    }

    async fn client(&self) -> Option<tokio::io::Empty> {
        std::future::pending().await
    }
}

/// Folders for control sockets, the preferred one first.
pub(crate) fn places() -> Vec<PathBuf> {
    #[cfg(unix)]
    return listener::places();
    #[cfg(not(unix))]
    Vec::new()
}

/// Whether any of `faults` breaks the bundled reference system.
pub(crate) fn breaks_service(faults: &[Arc<Fault>]) -> bool {
    faults.iter().any(|fault| matches!(fault.effect, crate::fault::Effect::Service(_)))
}
