//! Starts and stops the service: listeners, the thread that serves them, and the workers.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::answer::{ReplySender, WorkerMessage};
use super::cluster::ClusterBus;
use super::config::Config;
use super::endpoint::dispatcher::{Dispatcher, Limits};
use super::endpoint::{http, mqtt};
use super::health::Health;
use super::meter::Meter;
use super::metric::Metrics;
use super::model::Key;
use super::pipeline::Pipeline;
use super::tls::{self, Port};
use super::token::Keyring;
use crate::clock::Monotonic;
use crate::service::{ActLog, Cluster};

/// How long connections may take to end when the service stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("port {port} on {bind} is in use; choose another with {flag} PORT, or {flag} 0 for a free one")]
    InUse {
        /// The address asked for.
        bind: IpAddr,
        /// The port asked for.
        port: u16,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Listening failed otherwise.
    #[error("cannot listen on {addr} for {flag}: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A key of signed tokens is none.
    #[error("reference.admission.jwt: {0}")]
    Key(String),
    /// Its certificates cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// A thread could not be started.
    #[error("cannot start the service: {0}")]
    Start(#[from] io::Error),
}

/// A running reference system. Stops when dropped.
#[derive(Debug)]
pub struct Server {
    http: SocketAddr,
    mqtt: SocketAddr,
    pipeline: Arc<Pipeline>,
    bus: Option<Arc<ClusterBus>>,
    acts: Arc<ActLog>,
    tls: bool,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts the service; it accepts connections when this returns.
    ///
    /// # Errors
    /// If a port is taken, a thread cannot be started, or what it is to speak TLS with does not fit together.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let keyring = Keyring::new(&config.setup.admission);
        let keyring = keyring.map_err(|fault| StartError::Key(fault.to_string()))?;
        let secret = config.tls.as_ref().map(tls::config).transpose().map_err(StartError::Tls)?;
        let http = listen(config.bind, config.http_port, "--http-port")?;
        let mqtt = listen(config.bind, config.mqtt_port, "--mqtt-port")?;
        let (http_addr, mqtt_addr) = (http.local_addr()?, mqtt.local_addr()?);
        let metrics = Arc::new(Metrics::default());
        let room = Pipeline::most_under_way(&config.setup);
        // Alerts share the way back; an eighth of it stays free for verdicts.
        let (back, messages) = mpsc::channel(room.saturating_add(room / 4).min(1 << 30));
        let (pipeline, mut threads) =
            Pipeline::start(&config.setup, Monotonic::start(), &metrics, back.clone())?;
        let pipeline = Arc::new(pipeline);
        let bus = bus(config, http_addr, &back, &pipeline)?;
        let stop = watch::Sender::new(false);
        let alerts = bus.clone();
        let (served, stopped) = (Arc::clone(&pipeline), stop.subscribe());
        let limits = Limits { connections: config.max_connections, under_way: room };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let acts = Arc::<ActLog>::default();
        let noted = Arc::clone(&acts);
        let tls = secret.is_some();
        let guard = http::Guard::new(config.hosts.clone(), config.origins.clone(), tls);
        let body = move || {
            let dispatcher = Dispatcher::new(served, stopped, limits, alerts, noted, keyring);
            serve(&runtime, (http, mqtt, secret), guard, Rc::new(dispatcher), messages);
        };
        threads.insert(0, thread::Builder::new().name("squall-serve".into()).spawn(body)?);
        tracing::info!(http = %http_addr, mqtt = %mqtt_addr, workers = config.setup.workers.count, "the service starts");
        Ok(Self { http: http_addr, mqtt: mqtt_addr, pipeline, bus, acts, tls, stop, threads })
    }

    /// Where HTTP and WebSocket listen.
    pub const fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where MQTT listens.
    pub const fn mqtt_addr(&self) -> SocketAddr {
        self.mqtt
    }

    /// Whether it speaks TLS there.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Computes the scores of recorded keys, one per line, before the first reading asks for them; how many.
    ///
    /// # Errors
    /// The first line that is not a key.
    pub fn warm<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Result<usize, String> {
        let read = |key: &'k str| Key::decode(key).ok_or_else(|| key.to_owned());
        let keys: Vec<Key> = keys.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(self.pipeline.shared().warm(&keys))
    }

    /// Up to `most` keys whose scores are in the cache, as [`Self::warm`] reads them.
    pub fn keys(&self, most: usize) -> Vec<String> {
        self.pipeline.shared().cache.keys(most).iter().map(Key::encode).collect()
    }

    /// What of a state of before was found when it started, in a sentence; none where no state is kept.
    pub fn restored(&self) -> Option<String> {
        self.pipeline.shared().journal.as_ref().map(|journal| journal.found())
    }

    /// What it was told to do, by whom.
    pub(crate) fn acts(&self) -> Arc<ActLog> {
        Arc::clone(&self.acts)
    }

    /// What reads its counters, also once it has stopped.
    pub(crate) fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.pipeline))
    }

    /// How the service is now.
    pub fn health(&self) -> Health {
        self.pipeline.health(self.bus.as_deref())
    }

    /// Stops accepting, ends the connections, and returns when all threads have ended, within a few seconds.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.stop.send_replace(true) {
            tracing::info!("the service stops");
        }
        // Before the serving thread, which may be at a job itself.
        self.pipeline.jobs().stop();
        let mut threads = self.threads.drain(..);
        // The serving thread first: once it has ended nobody waits for a verdict.
        if let Some(serving) = threads.next() {
            let _ = serving.join();
        }
        self.pipeline.stop();
        if let Some(bus) = &self.bus {
            bus.stop();
        }
        for worker in threads {
            // A worker that panicked has already shown in the service's health.
            let _ = worker.join();
        }
        self.pipeline.end_journal();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The way to other instances, where there are to be some. An instance without a name takes its address.
fn bus(
    config: &Config,
    address: SocketAddr,
    back: &ReplySender,
    pipeline: &Pipeline,
) -> Result<Option<Arc<ClusterBus>>, StartError> {
    let Some(cluster) = &config.setup.cluster else { return Ok(None) };
    let instance = if cluster.instance.is_empty() { address.to_string() } else { cluster.instance.clone() };
    let cluster = Cluster { instance, ..cluster.clone() };
    let shares_quotas = config.setup.admission.shared;
    let faults = Arc::clone(&pipeline.shared().faults);
    let bus = ClusterBus::start(&cluster, shares_quotas, Monotonic::start(), back.clone(), faults)?;
    Ok(Some(Arc::new(bus)))
}

pub(super) fn listen(bind: IpAddr, port: u16, flag: &'static str) -> Result<TcpListener, StartError> {
    let addr = SocketAddr::new(bind, port);
    let listener = TcpListener::bind(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse { bind, port, flag },
        _ => StartError::Listen { addr, flag, source },
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves both listeners on the calling thread until the service stops.
fn serve(
    runtime: &tokio::runtime::Runtime,
    (http, mqtt, secret): (TcpListener, TcpListener, Option<ServerConfig>),
    guard: http::Guard,
    dispatcher: Rc<Dispatcher>,
    messages: mpsc::Receiver<WorkerMessage>,
) {
    let tasks = LocalSet::new();
    tasks.block_on(runtime, async move {
        let (Ok(http), Ok(mqtt)) =
            (tokio::net::TcpListener::from_std(http), tokio::net::TcpListener::from_std(mqtt))
        else {
            return;
        };
        let http = Port::new(http, secret.as_ref(), Some("http/1.1"));
        let mqtt = Port::new(mqtt, secret.as_ref(), None);
        let mut stop = dispatcher.stop.clone();
        let hub = Rc::new(mqtt::Hub::new(Rc::clone(&dispatcher)));
        let (clerk, broker) = (Rc::clone(&dispatcher), Rc::clone(&hub));
        let dispatching = tokio::task::spawn_local(async move { clerk.dispatch(&hub, messages).await });
        let observing = Rc::clone(&dispatcher);
        let observing = tokio::task::spawn_local(async move { observing.observe_in_time().await });
        let jobs = Arc::clone(dispatcher.jobs());
        let timing = tokio::task::spawn_local(async move { jobs.keep_time().await });
        let undoing = Rc::clone(&dispatcher);
        let undoing = tokio::task::spawn_local(async move { undoing.undo_in_time().await });
        let serving = async { tokio::join!(http::serve(http, dispatcher, guard), mqtt::serve(mqtt, broker)) };
        let patience = async {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            _ = serving => {}
            () = patience => {}
        }
        dispatching.abort();
        undoing.abort();
        observing.abort();
        timing.abort();
    });
}
