//! A front before several instances of the service: it shares devices out among them by a rule, for learning.
//!
//! HTTP is understood, request by request; a WebSocket and MQTT are bytes, connection by connection. What asks how the service is goes
//! to the first instance that lives, and orders go to all. An instance that says that it is not ready gets
//! nothing new. It is no proxy for production: no TLS, no retries of what an instance has begun.

mod balance;
mod health;
mod http;
mod key;
mod mqtt;
mod order;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::LocalSet;

use self::balance::Balance;
use super::listener;
use super::server::{StartError, listen};
use crate::service::FrontRule;

/// Connections open at once, per listener; further ones are closed at once.
const MOST_CONNECTIONS: usize = 100_000;

/// An instance behind a front.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What it is called.
    pub(crate) name: String,
    /// Where it listens for HTTP and WebSocket.
    pub(crate) http: SocketAddr,
    /// Where it listens for MQTT.
    pub(crate) mqtt: SocketAddr,
}

/// Ends the process of the instance in this place, from 0.
pub(crate) type Kill = Box<dyn Fn(usize) -> io::Result<()> + Send>;

/// How a front is set up.
pub(crate) struct Setup {
    /// Address to listen on.
    pub(crate) bind: IpAddr,
    /// Port of HTTP and WebSocket; 0 takes a free one.
    pub(crate) http_port: u16,
    /// Port of MQTT; 0 takes a free one.
    pub(crate) mqtt_port: u16,
    /// How it shares out.
    pub(crate) rule: FrontRule,
    /// Among whom.
    pub(crate) places: Vec<Place>,
    /// How one of them is killed on purpose.
    pub(crate) kill: Kill,
}

/// A front that listens. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Front {
    http: SocketAddr,
    mqtt: SocketAddr,
    balance: Arc<Mutex<Balance>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Starts it; it accepts connections when this returns.
    ///
    /// # Errors
    /// If a port is taken, or a thread cannot be started.
    pub(crate) fn start(setup: Setup) -> Result<Self, StartError> {
        let http = listen(setup.bind, setup.http_port, "--http-port")?;
        let mqtt = listen(setup.bind, setup.mqtt_port, "--mqtt-port")?;
        let (http_addr, mqtt_addr) = (http.local_addr()?, mqtt.local_addr()?);
        let balance = Balance::new(setup.rule, setup.places.iter().map(|place| place.name.clone()));
        let balance = Arc::new(Mutex::new(balance));
        let shared = Arc::clone(&balance);
        let stop = watch::Sender::new(false);
        let stopped = stop.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            let instances = Instances {
                balance: shared,
                places: setup.places,
                kill: setup.kill,
                killed: RefCell::default(),
            };
            let instances = Rc::new(instances);
            LocalSet::new().block_on(&runtime, serve(http, mqtt, instances, stopped));
        };
        let thread = thread::Builder::new().name("squall-front".into()).spawn(body)?;
        Ok(Self { http: http_addr, mqtt: mqtt_addr, balance, stop, thread: Some(thread) })
    }

    /// Where HTTP and WebSocket listen.
    pub(crate) const fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where MQTT listens.
    pub(crate) const fn mqtt_addr(&self) -> SocketAddr {
        self.mqtt
    }

    /// Takes note that the instance in this place is gone for good.
    pub(crate) fn bury(&self, index: usize) {
        lock(&self.balance).bury(index);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // One that panicked serves nobody any more.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instances behind a front, for those who serve its connections.
struct Instances {
    balance: Arc<Mutex<Balance>>,
    places: Vec<Place>,
    kill: Kill,
    /// Kills on purpose that nobody has asked to be undone yet: their names, and what was said of them.
    killed: RefCell<VecDeque<(String, String)>>,
}

/// A connection or request of an instance, until it is dropped.
struct Seated {
    index: usize,
    balance: Arc<Mutex<Balance>>,
}

impl Seated {
    const fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        lock(&self.balance).leave(self.index);
    }
}

impl Instances {
    /// The one that the rule gives to what is known as `key`, beside those that have been `tried`.
    fn choose(&self, key: &str, tried: &[usize]) -> Option<Seated> {
        let index = lock(&self.balance).choose(key, tried)?;
        Some(Seated { index, balance: Arc::clone(&self.balance) })
    }

    /// The first that lives, beside those that have been `tried`. It does not count as chosen by the rule.
    fn first(&self, tried: &[usize]) -> Option<Seated> {
        let first = lock(&self.balance).living().into_iter().find(|index| !tried.contains(index))?;
        self.take(first, tried)
    }

    /// This one, if it lives and has not been `tried`.
    fn take(&self, index: usize, tried: &[usize]) -> Option<Seated> {
        let taken = !tried.contains(&index) && lock(&self.balance).enter(index);
        taken.then(|| Seated { index, balance: Arc::clone(&self.balance) })
    }

    async fn connect_http(&self, index: usize) -> io::Result<TcpStream> {
        connect(self.places[index].http).await
    }

    async fn connect_mqtt(&self, index: usize) -> io::Result<TcpStream> {
        connect(self.places[index].mqtt).await
    }
}

async fn connect(place: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(place).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn serve(
    http: std::net::TcpListener,
    mqtt: std::net::TcpListener,
    instances: Rc<Instances>,
    mut stop: watch::Receiver<bool>,
) {
    let (Ok(http), Ok(mqtt)) = (TcpListener::from_std(http), TcpListener::from_std(mqtt)) else { return };
    let doors = async {
        tokio::join!(
            accept(http, Door::Http, &instances),
            accept(mqtt, Door::Mqtt, &instances),
            health::watch(&instances)
        );
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = doors => {}
    }
}

/// What is spoken at a listener.
#[derive(Debug, Clone, Copy)]
enum Door {
    Http,
    Mqtt,
}

/// Serves connections for as long as it is polled.
async fn accept(listener: TcpListener, door: Door, instances: &Rc<Instances>) {
    let serve = |client, peer| {
        let instances = Rc::clone(instances);
        async move {
            match door {
                Door::Http => http::pass(client, peer, instances).await,
                Door::Mqtt => mqtt::pass(client, peer, &instances).await,
            }
        }
    };
    listener::serve_each(&listener, MOST_CONNECTIONS, serve).await;
}
