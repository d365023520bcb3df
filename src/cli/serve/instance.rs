//! `squall serve --instances N`: several instances, each a process of its own, behind a front of this one's.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{CliError, Exit, Interrupts, ServeArgs, exposure, log, warn};
use crate::reference::{self, Broker, Front, FrontSetup, Place};
use crate::service::{FrontRule as Rule, Setup};

/// How often it is looked whether an instance has died, and whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long instances may take to end by themselves.
const FAREWELL: Duration = Duration::from_secs(5);
/// Lines in which an instance says where it is, at the most.
const MOST_LINES: usize = 64;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Instances")]
pub(in crate::cli) struct InstanceArgs {
    /// Start so many instances, each a process of its own, behind one address; docs/instances.md
    #[arg(long = "instances", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(super) count: Option<u8>,

    /// How devices are shared out among them: round-robin, sticky (the same device to the same instance) or least (open connections)
    #[arg(long, value_name = "RULE", requires = "count", default_value = "round-robin", value_parser = rule)]
    front: Rule,

    /// End when standard input does: it is one of several instances
    #[arg(long, hide = true)]
    pub(super) tethered: bool,
}

fn rule(text: &str) -> Result<Rule, String> {
    Rule::of(text).ok_or_else(|| format!("write one of {}", Rule::WORDS.join(", ")))
}

/// The flags that are the front's, not the instances'; each has a value.
const OF_FRONT: [&str; 5] = ["--instances", "--front", "--bind", "--http-port", "--mqtt-port"];

/// What the instances are started with: what was written, without what is for the front.
fn inherited(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skips = false;
    for argument in arguments {
        if std::mem::take(&mut skips) {
            continue;
        }
        let text = argument.to_string_lossy();
        let (flag, has_value) = text.split_once('=').map_or((&*text, false), |(flag, _)| (flag, true));
        if OF_FRONT.contains(&flag) {
            skips = !has_value;
        } else {
            kept.push(argument);
        }
    }
    kept
}

/// An instance: its process, and the pipe by which it hears that this one is gone.
#[derive(Debug)]
struct Instance {
    name: String,
    process: Child,
    tether: Option<ChildStdin>,
    lives: bool,
}

impl Instance {
    fn start(number: usize, arguments: &[OsString], settings: &[String]) -> Result<(Self, Place), CliError> {
        let name = format!("instance-{number}");
        let failed =
            |error: &dyn std::fmt::Display| CliError::failed(format!("cannot start {name}: {error}"));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(arguments).args([
            "--bind",
            "127.0.0.1",
            "--http-port",
            "0",
            "--mqtt-port",
            "0",
            "--tethered",
        ]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        // An interrupt at the terminal is for the front, which ends them.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
        let (tether, output) = (process.stdin.take(), process.stdout.take());
        let mut instance = Self { name: name.clone(), process, tether, lives: true };
        let place = output.and_then(|output| place(&name, output));
        if let Some(place) = place {
            return Ok((instance, place));
        }
        instance.end();
        Err(failed(&"it ended before it served; what it said is above"))
    }

    fn end(&mut self) {
        self.tether = None;
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where an instance listens, from what it prints at its start.
fn place(name: &str, output: ChildStdout) -> Option<Place> {
    let (mut http, mut mqtt) = (None, None);
    let mut lines = BufReader::new(output).lines();
    for line in lines.by_ref().take(MOST_LINES) {
        let line = line.ok()?;
        let address = |scheme: &str| -> Option<SocketAddr> {
            let url = line.trim_start().split_once(scheme)?.1;
            url.split('/').next()?.parse().ok()
        };
        http = http.or_else(|| address("http://"));
        mqtt = mqtt.or_else(|| address("mqtt://"));
        if let (Some(http), Some(mqtt)) = (http, mqtt) {
            // Whatever else it prints must find somebody who reads it.
            thread::spawn(move || lines.for_each(drop));
            return Some(Place { name: name.to_owned(), http, mqtt });
        }
    }
    None
}

/// Waits for an interrupt, or for the end of the process that started this one.
pub(super) fn wait(interrupts: &Interrupts) {
    let ended = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&ended);
    thread::spawn(move || {
        // Nothing is ever written to it; an error is as good as an end.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        noted.store(true, Ordering::Relaxed);
    });
    while !interrupts.wait_for(LOOK) && !ended.load(Ordering::Relaxed) {}
}

/// What one instance is told beside what all are.
fn settings(setup: &Setup, broker: Option<&Broker>, number: usize) -> Vec<String> {
    let mut settings = vec![format!("cluster.instance=\"instance-{number}\"")];
    if let Some(broker) = broker {
        settings.push(format!("cluster.redis=\"{}\"", broker.url()));
        // Over the loopback there is no reason to wait for longer before somebody counts as gone.
        settings.push("cluster.expiry=\"2s\"".to_owned());
    }
    if let Some(directory) = setup.state.as_ref().and_then(|state| state.directory.as_ref()) {
        let own = directory.join(format!("instance-{number}"));
        let quoted = toml::Value::String(own.display().to_string());
        settings.push(format!("state.directory={quoted}"));
    }
    settings
}

/// What instances of one command cannot share.
fn objection(setup: &Setup) -> Option<&'static str> {
    if setup.tls.is_some() {
        Some(
            "--instances and TLS do not go together: end TLS in nginx or HAProxy before it (docs/proxies.md)",
        )
    } else if setup.cache.record.is_some() {
        Some(
            "--instances and reference.cache.record do not go together: each instance would write the same file; take the key out",
        )
    } else if cfg!(not(feature = "cluster")) {
        Some("this build of squall has no instances (feature `cluster`): take --instances out")
    } else {
        None
    }
}

/// Serves by `count` instances until the first interrupt.
pub(super) fn serve_several(args: &ServeArgs, setup: &Setup, count: usize) -> Result<Exit, CliError> {
    if let Some(objection) = objection(setup) {
        return Err(CliError::usage(objection));
    }
    log(args.log);
    let interrupts = Interrupts::listen(|_| {}).map_err(CliError::failed)?;
    let broker = setup.cluster.is_none().then(Broker::start).transpose().map_err(CliError::failed)?;
    let mut arguments = inherited(std::env::args_os().skip(1));
    // What comes in at the front's address is for the instances.
    if !args.bind.is_unspecified() && !args.bind.is_loopback() {
        arguments.extend(["--allow-host".into(), args.bind.to_string().into()]);
    }
    let instances = Arc::new(Mutex::new(Instances(Vec::new())));
    let mut places = Vec::new();
    for number in 1..=count {
        let (instance, place) =
            Instance::start(number, &arguments, &settings(setup, broker.as_ref(), number))?;
        places.push(place);
        lock(&instances).0.push(instance);
    }
    let killed = Arc::clone(&instances);
    let front = FrontSetup {
        bind: args.bind,
        http_port: args.http_port.unwrap_or(8_080),
        mqtt_port: args.mqtt_port.unwrap_or(1_883),
        rule: args.instances.front,
        places: places.clone(),
        kill: Box::new(move |index| lock(&killed).kill(index)),
    };
    let front = Front::start(front).map_err(CliError::failed)?;
    if let Some(warning) = exposure::warning(args.bind, setup) {
        warn(&warning, args.log);
    }
    announce(&front, args, (&lock(&instances), &places), broker.as_ref())
        .map_err(|error| CliError::failed(format!("cannot write to standard output: {error}")))?;
    while !interrupts.wait_for(LOOK) {
        for (index, fate) in lock(&instances).dead() {
            front.bury(index);
            warn(&fate, args.log);
        }
    }
    drop(front);
    Ok(Exit::Fine)
}

fn lock(instances: &Mutex<Instances>) -> MutexGuard<'_, Instances> {
    instances.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All instances; they end when it is dropped.
#[derive(Debug)]
struct Instances(Vec<Instance>);

impl Instances {
    /// Has the process of an instance end without a word.
    fn kill(&mut self, index: usize) -> io::Result<()> {
        let gone = || io::Error::other("it is gone already");
        self.0.get_mut(index).filter(|instance| instance.lives).ok_or_else(gone)?.process.kill()
    }

    /// Those that have died since the last call, each with a sentence. They stay dead.
    fn dead(&mut self) -> Vec<(usize, String)> {
        let mut dead = Vec::new();
        for (index, instance) in self.0.iter_mut().enumerate().filter(|(_, instance)| instance.lives) {
            if let Ok(Some(status)) = instance.process.try_wait() {
                instance.lives = false;
                dead.push((
                    index,
                    format!("{} has ended ({status}); the others go on without it", instance.name),
                ));
            }
        }
        dead
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        for instance in &mut self.0 {
            instance.tether = None;
        }
        let clock = crate::clock::Monotonic::start();
        let is_over = || Duration::from_nanos(clock.now().0) > FAREWELL;
        while self.0.iter_mut().any(|instance| matches!(instance.process.try_wait(), Ok(None))) && !is_over()
        {
            thread::sleep(LOOK / 5);
        }
        self.0.iter_mut().for_each(Instance::end);
    }
}

/// Prints the addresses, as one service does, and who is behind them.
fn announce(
    front: &Front,
    args: &ServeArgs,
    (instances, places): (&Instances, &[Place]),
    broker: Option<&Broker>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (http, mqtt) = (front.http_addr(), front.mqtt_addr());
    writeln!(out, "squall reference system, {} instances, {}", places.len(), args.instances.front.name())?;
    for (protocol, url) in reference::addresses(&http, &mqtt, false) {
        writeln!(out, "  {:<5} {url}", protocol.name())?;
    }
    writeln!(out, "  page     http://{http}/")?;
    writeln!(out, "  shares   http://{http}/v1/instances")?;
    for (Place { name, http, mqtt }, Instance { process, .. }) in places.iter().zip(&instances.0) {
        writeln!(out, "  {name}  http://{http}/  mqtt://{mqtt}  process {}", process.id())?;
    }
    let bus = broker.map_or_else(|| "the Redis of reference.cluster".to_owned(), Broker::url);
    writeln!(out, "  bus      {bus}")?;
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_started_with_what_is_not_for_the_front() {
        let told = "serve --bind ::1 --faults --http-port=0 --set queue.capacity=3 --instances 2 --front sticky --workers 2";
        let kept = inherited(told.split(' ').map(OsString::from));
        assert_eq!(kept, "serve --faults --set queue.capacity=3 --workers 2".split(' ').collect::<Vec<_>>());
    }
}
