//! `squall calibrate`: what this machine can measure, kept for later runs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::args::CalibrateArgs;
use super::exit::Exit;
use super::screen;
use super::{CliError, folder};
use crate::calibration::{self, Echo, Effort, Load, Step, Trial};
use crate::display::figure::rate;
use crate::display::{Style, time};
use crate::engine::Descriptors;
use crate::protocol::{Endpoint, protocols};
use crate::record::Protocol;
use crate::results::{Host, IntervalReport, replace_text};
use crate::run::Observer;
use crate::run::profile::{self, Profile};
use crate::units::plural;

/// Idle devices whose memory is compared.
const DEVICES: (u32, u32) = (50, 2_000);

/// Calibrates, or does one of the parts that want a process of their own.
pub(super) fn calibrate(args: &CalibrateArgs) -> Result<Exit, CliError> {
    if args.echo {
        return serve();
    }
    if let Some((protocol, url)) = &args.probe {
        return probe(*protocol, url, args.devices);
    }
    #[cfg(unix)]
    if let Some(scenario) = &args.aa {
        return super::ab::noise::calibrate(&super::ab::noise::NoiseRequest {
            scenario,
            command: args.a.as_deref(),
            trial: &args.trial,
            judge: &args.judge,
            profile: args.profile.as_deref(),
        });
    }
    let path = args.profile.clone().or_else(profile::place).ok_or_else(|| {
        CliError::usage(format!(
            "no place to keep the profile: name one with --profile FILE or {}",
            profile::VARIABLE
        ))
    })?;
    if args.show {
        return show(&path);
    }
    let scratch = folder::Scratch::new("calibration").map_err(CliError::failed)?;
    let targets = Targets::start().map_err(CliError::failed)?;
    let effort = if args.quick { Effort::Quick } else { Effort::Full };
    // It is one of the options of what is there on Unix alone.
    #[cfg(unix)]
    let is_quiet = args.trial.generator.quiet;
    #[cfg(not(unix))]
    let is_quiet = false;
    let tell = |Step(text)| {
        if !is_quiet {
            // Nobody reading it changes nothing.
            let _ = writeln!(io::stderr(), "{text}");
        }
    };
    let profile =
        calibration::survey(&targets.urls, effort, &scratch.0, memory, tell).map_err(CliError::failed)?;
    store(&path, &profile.to_json().map_err(CliError::failed)?)?;
    print(&profile, &format!("kept in {}", path.display()))
}

fn show(path: &Path) -> Result<Exit, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::failed(format!("cannot read {} ({error}): run `squall calibrate` first", path.display()))
    })?;
    let profile = Profile::read(&text, &Host::here()).map_err(|error| {
        CliError::failed(format!("{}: {error}; run `squall calibrate` again", path.display()))
    })?;
    print(&profile, &format!("calibrated {}", profile.calibrated))
}

/// Keeps the `text` of a profile at `path`, whose folders are made: whoever reads meanwhile sees the old one whole.
pub(super) fn store(path: &Path, text: &str) -> Result<(), CliError> {
    folder::ensure(folder::of(path)).and_then(|()| replace_text(path, text)).map_err(|error| {
        let path = path.display();
        CliError::failed(format!("cannot write {path}: {error}; choose another place with --profile FILE"))
    })
}

/// Serves raw targets until standard input ends, as it does when the parent process is gone.
fn serve() -> Result<Exit, CliError> {
    if let Some(limits) = Descriptors::read() {
        // With fewer, fewer devices connect, and their trial says so.
        let _ = Descriptors::ensure(limits.hard);
    }
    let echo = Echo::start().map_err(CliError::failed)?;
    let mut out = io::stdout().lock();
    for (protocol, url) in echo.urls() {
        writeln!(out, "{protocol} {url}").map_err(CliError::failed)?;
    }
    out.flush().map_err(CliError::failed)?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map_err(CliError::failed)?;
    Ok(Exit::Fine)
}

/// Connects idle devices and prints the most anonymous memory that was resident meanwhile, bytes.
fn probe(protocol: Protocol, url: &str, devices: u32) -> Result<Exit, CliError> {
    Descriptors::ensure(u64::from(devices) + Descriptors::OVERHEAD).map_err(CliError::failed)?;
    let scratch = folder::Scratch::new("calibration").map_err(CliError::failed)?;
    let load = Load::Open(f64::from(devices) * 0.2);
    let memory = Arc::new(MemoryGauge::default());
    let trial = Trial { protocol, url, devices, load, seconds: 1.0 };
    trial.run(&scratch.0, Arc::clone(&memory) as Arc<dyn Observer>).map_err(CliError::failed)?;
    let most = memory.0.load(Ordering::Relaxed);
    writeln!(io::stdout(), "{most}").map_err(CliError::failed)?;
    Ok(Exit::Fine)
}

/// The most anonymous memory that was resident at the end of an interval, bytes.
#[derive(Default)]
struct MemoryGauge(AtomicU64);

impl Observer for MemoryGauge {
    fn interval(&self, _: &IntervalReport) {
        self.0.fetch_max(Host::anonymous_memory().unwrap_or(0), Ordering::Relaxed);
    }
}

/// Memory of one more device, bytes, from processes with few and with many.
fn memory(protocol: Protocol, url: &str) -> Option<u64> {
    let resident = |devices: u32| -> Option<u64> {
        let done = Command::new(std::env::current_exe().ok()?)
            .args(["calibrate", "--probe", &format!("{protocol}={url}"), "--devices", &devices.to_string()])
            .stderr(Stdio::null())
            .output()
            .ok()?;
        String::from_utf8_lossy(&done.stdout).trim().parse().ok().filter(|bytes| *bytes > 0)
    };
    let (few, many) = DEVICES;
    let bytes = resident(many)?.saturating_sub(resident(few)?);
    Some(bytes / u64::from(many - few))
}

/// The raw targets, in a process of their own so that they share neither memory nor locks with the generator.
struct Targets {
    child: Child,
    urls: Vec<(Protocol, String)>,
}

impl Targets {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["calibrate", "--echo"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().map(|out| BufReader::new(out.take(4096)).lines());
        let urls = lines.into_iter().flatten().map_while(Result::ok).filter_map(|line| {
            let (protocol, url) = line.split_once(' ')?;
            let protocol = protocols().find(|facts| facts.protocol.name() == protocol)?.protocol;
            Endpoint::resolve(protocol, url).ok().map(|_| (protocol, url.to_owned()))
        });
        let sending = protocols().filter(|facts| facts.sends()).count();
        let urls: Vec<_> = urls.take(sending).collect();
        let targets = Self { child, urls };
        if targets.urls.len() < sending {
            return Err(io::Error::other("the raw targets did not start"));
        }
        Ok(targets)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn print(profile: &Profile, place: &str) -> Result<Exit, CliError> {
    screen::print(&table(profile, place, screen::style()))?;
    Ok(Exit::Fine)
}

fn table(profile: &Profile, place: &str, style: Style) -> String {
    let mut lines = vec![
        format!(
            "{}, {}, {}",
            profile.host.cpu_model.as_deref().unwrap_or("unknown processor"),
            plural(profile.host.cores.into(), "core"),
            profile.host.kernel
        ),
        format!("clock resolution {}", time(profile.clock_resolution_ns, style)),
        String::new(),
        format!("{:<12}{:>10}{:>12}{:>12}", "pacing lag", "p50", "p99", "p99.9"),
    ];
    for pacing in &profile.pacing {
        let [p50, p99, p99_9] = [pacing.p50_ns, pacing.p99_ns, pacing.p99_9_ns].map(|ns| time(ns, style));
        lines.push(format!(
            "{:<12}{p50:>10}{p99:>12}{p99_9:>12}",
            format!("  {}", rate(f64::from(pacing.per_second), style))
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "{:<12}{:>10}{:>12}{:>14}{:>14}{:>14}",
        "one worker", "floor p50", "floor p99", "closed loop", "sustained", "per device"
    ));
    for (protocol, driver) in &profile.drivers {
        let [p50, p99] = [driver.floor_p50_ns, driver.floor_p99_ns].map(|ns| time(ns, style));
        let closed = rate(driver.closed_loop_per_second, style);
        let sustained = driver.sustained_per_second.map_or("-".to_owned(), |found| rate(found, style));
        let memory = driver.bytes_per_device.map_or("-".to_owned(), |bytes| format!("{bytes} B"));
        lines.push(format!(
            "{:<12}{p50:>10}{p99:>12}{closed:>14}{sustained:>14}{memory:>14}",
            format!("  {protocol}")
        ));
    }
    lines.push(String::new());
    lines.push(place.to_owned());
    lines.join("\n") + "\n"
}
