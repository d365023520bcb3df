//! `squall proxy`: network faults for whatever speaks TCP.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::CliError;
use super::exit::Exit;
use super::signal::Interrupts;
use crate::clock::{Monotonic, Tick};
use crate::fault::{self, Effect, Schedule};
use crate::language::guess;
use crate::net::{self, Proxy, ProxyPlan, ProxyReport};
use crate::protocol::accepts;
use crate::scenario::{NETWORK_FAULTS, inline_faults, load_faults};
use crate::seed::Seed;
use crate::units::{plural, times};

/// Longest wait for the upstream to show that it is there.
const PROBE: Duration = Duration::from_secs(1);

/// How long a fault without an end is on, nanoseconds.
const FOREVER_NS: u64 = Duration::from_secs(365 * 24 * 3_600).as_nanos() as u64;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct ProxyArgs {
    /// Address to forward connections to
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) to: String,

    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,

    /// A network fault as [[fault]] states it, such as latency,delay=100ms,share=0.5; without start it is always on
    #[arg(long = "fault", value_name = "KIND[,KEY=VALUE]...")]
    pub(super) inline: Vec<String>,

    /// A file with [[fault]] tables, such as a scenario. Times count from the start of the proxy
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Number of consecutive connections in which a fault's share is exact
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) group: u32,

    /// Connections at the same time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub(super) connections: usize,
}

/// Passes connections on until the first interrupt.
pub(super) fn proxy(args: &ProxyArgs) -> Result<Exit, CliError> {
    let faults = faults(args)?;
    let upstream = resolved(&args.to)?;
    if is_itself(upstream, args.listen) {
        let message = format!("--to {}: the proxy listens there itself; name another address", args.to);
        return Err(CliError::usage(message));
    }
    note_silence(upstream);
    let plan = ProxyPlan {
        upstream,
        faults: faults.clone(),
        seed: Seed(args.seed),
        clock: Monotonic::start(),
        group: args.group,
        most: args.connections,
    };
    let proxy = Proxy::new(plan).map_err(CliError::usage)?;
    let stop = Arc::new(Notify::new());
    let stopping = Arc::clone(&stop);
    let _interrupts = Interrupts::listen(move |_| stopping.notify_one()).map_err(CliError::failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::failed)?;
    let report = runtime.block_on(async {
        let listener = net::listen(args.listen).await.map_err(|error| {
            CliError::failed(format!(
                "cannot listen on {}: {error}; choose another with --listen",
                args.listen
            ))
        })?;
        let address = listener.local_addr().map_err(CliError::failed)?;
        announce(address, upstream, &faults).map_err(|error| unprintable(&error))?;
        proxy.run(listener, stop.notified()).await.map_err(CliError::failed)
    })?;
    sum_up(&report, &faults).map_err(|error| unprintable(&error))?;
    Ok(Exit::Fine)
}

fn unprintable(error: &io::Error) -> CliError {
    CliError::failed(format!("cannot write to standard output: {error}"))
}

/// Says so if nothing listens at the upstream: it may still come.
fn note_silence(to: SocketAddr) {
    if !accepts(&to.to_string(), PROBE) {
        // Nobody reading it changes nothing.
        let _ = writeln!(io::stderr(), "note: nothing answers at {to} yet");
    }
}

fn resolved(to: &str) -> Result<SocketAddr, CliError> {
    let unresolved = |reason: &dyn std::fmt::Display| {
        CliError::usage(format!("--to {to}: {reason}; write HOST:PORT, for example 127.0.0.1:1883"))
    };
    if to.contains("://") {
        return Err(unresolved(&"it is a URL"));
    }
    match to.rsplit_once(':') {
        Some(("", _)) => return Err(unresolved(&"it names no host")),
        Some((_, port)) if port.parse::<u16>() == Ok(0) => {
            return Err(unresolved(&"nothing can be reached at port 0"));
        }
        _ => {}
    }
    let mut addresses: Vec<_> = to.to_socket_addrs().map_err(|error| unresolved(&error))?.collect();
    if let Some(port) = to.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        // Whatever the system's table of names says of it.
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }
    let first = addresses.first().copied().ok_or_else(|| unresolved(&"the name has no address"))?;
    // A name may have addresses of which only one is served: localhost is 127.0.0.1 and ::1.
    let answers = |address: &&SocketAddr| addresses.len() > 1 && accepts(&address.to_string(), PROBE);
    Ok(addresses.iter().find(answers).copied().unwrap_or(first))
}

/// Whether what listens at `listen` is reached at `upstream`.
fn is_itself(upstream: SocketAddr, listen: SocketAddr) -> bool {
    let is_any = listen.ip().is_unspecified() && upstream.ip().is_loopback();
    let is_same = upstream.ip() == listen.ip() || is_any || upstream.ip().is_unspecified();
    is_same && upstream.port() == listen.port()
}

/// A proxy knows bytes alone: of what else a scenario may have it must not make a suggestion.
fn refuse_other_kinds(lines: &[String]) -> Result<(), CliError> {
    for line in lines {
        let kind = line.split(',').next().unwrap_or_default().trim();
        // That none is named is said where the line is read.
        if !kind.is_empty() && !NETWORK_FAULTS.contains(&kind) {
            let kinds = NETWORK_FAULTS.join(", ");
            let meant = guess(kind, NETWORK_FAULTS.iter().copied());
            let message = format!(
                "--fault {line}: `{kind}` is not a fault of the network; {meant}write one of {kinds}"
            );
            return Err(CliError::usage(message));
        }
    }
    Ok(())
}

/// The faults of the file and of the command line. Those without a start are on all the time: a proxy has no hand.
fn faults(args: &ProxyArgs) -> Result<Vec<Arc<fault::Fault>>, CliError> {
    let mut faults = match &args.faults {
        Some(path) => load_faults(path).map_err(CliError::usage)?,
        None => Vec::new(),
    };
    refuse_other_kinds(&args.inline)?;
    faults.extend(inline_faults(&args.inline).map_err(CliError::usage)?);
    let all = faults.len();
    faults.retain(|fault| matches!(fault.effect, Effect::Network(_)));
    if faults.is_empty() {
        let message = if all > 0 {
            "none of these faults acts on the network, and a proxy knows no other"
        } else {
            "no fault: name some with --fault latency,delay=100ms or --faults FILE"
        };
        return Err(CliError::usage(message));
    }
    if faults.len() < all {
        let note = match all - faults.len() {
            1 => "note: 1 fault does not act on the network and is left out".to_owned(),
            left => format!("note: {left} faults do not act on the network and are left out"),
        };
        // Nobody reading it changes nothing.
        let _ = writeln!(io::stderr(), "{note}");
    }
    let always = Schedule { start: Tick::ZERO, duration_ns: FOREVER_NS, every_ns: 0, times: 1 };
    let on = faults.into_iter().map(|fault| {
        let schedule = fault.schedule.or(Some(always));
        Arc::new(fault::Fault { schedule, ..fault })
    });
    Ok(on.collect())
}

fn announce(address: SocketAddr, upstream: SocketAddr, faults: &[Arc<fault::Fault>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "squall proxy\n  {address} -> {upstream}")?;
    for fault in faults {
        let share = if fault.share < 1.0 {
            format!(", {} % of connections", (fault.share * 1e4).round() / 1e2)
        } else {
            String::new()
        };
        writeln!(out, "  {}: {}{share}", fault.name, fault.kind)?;
    }
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

fn sum_up(report: &ProxyReport, faults: &[Arc<fault::Fault>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let ProxyReport { connections, failed, passed, acted } = report;
    writeln!(
        out,
        "{}, {failed} of them failed; {} bytes taken from clients, {} given to them",
        plural(*connections, "connection"),
        passed.up,
        passed.down
    )?;
    for (fault, acted) in faults.iter().zip(acted) {
        writeln!(out, "  {}: acted {}", fault.name, times(*acted))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn localhost_is_where_somebody_listens() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has nothing to be found there.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let served = listener.local_addr().unwrap();
            assert_eq!(resolved(&format!("localhost:{}", served.port())).unwrap(), served);
        }
        assert!(resolved("localhost:x").is_err());
    }

    #[test]
    fn of_kinds_those_of_the_network_are_named_alone() {
        for (line, is_known) in [("latency,delay=1s", true), ("hang", true), ("nope", false), ("exec", false)]
        {
            let refused = refuse_other_kinds(&[line.to_owned()]);
            assert_eq!(refused.is_ok(), is_known, "{line}");
            if let Err(CliError { message, .. }) = refused {
                assert!(
                    message.contains("write one of link, latency") && !message.contains("stuck"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn a_fault_with_an_empty_part_is_refused_with_one_error() {
        for (line, expected) in [
            ("", "--fault : is empty; write KIND[,KEY=VALUE]..., for example latency,delay=100ms"),
            (" ", "is empty; write"),
            (",", "--fault ,: has an empty part; write KIND"),
            (",,", "has an empty part"),
            (",latency", "has an empty part"),
            ("latency,", "has an empty part"),
            ("latency,,delay=1s", "has an empty part"),
        ] {
            let args = ProxyArgs {
                to: "127.0.0.1:1".to_owned(),
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                inline: vec!["latency,delay=1s".to_owned(), line.to_owned()],
                faults: None,
                seed: 1,
                group: 1,
                connections: 1,
            };
            let refused = faults(&args).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage, "{line}");
            let message = &refused.message;
            assert!(message.contains(expected) && message.lines().count() == 1, "{line}: {message}");
        }
    }

    #[test]
    fn addresses_that_nothing_can_be_passed_on_to_are_refused() {
        for (to, expected) in [
            ("http://127.0.0.1:80", "it is a URL; write HOST:PORT"),
            (":1883", "it names no host; write HOST:PORT"),
            ("localhost:0", "nothing can be reached at port 0"),
            ("[::1]:0", "nothing can be reached at port 0"),
        ] {
            let error = resolved(to).unwrap_err().message;
            assert!(error.contains(expected), "{to}: {error}");
        }
        for (upstream, listen, expected) in [
            ("127.0.0.1:7", "127.0.0.1:7", true),
            ("127.0.0.1:7", "0.0.0.0:7", true),
            ("127.0.0.1:7", "127.0.0.1:8", false),
            ("127.0.0.2:7", "127.0.0.1:7", false),
            ("192.0.2.1:7", "127.0.0.1:7", false),
        ] {
            let found = is_itself(upstream.parse().unwrap(), listen.parse().unwrap());
            assert_eq!(found, expected, "{upstream} {listen}");
        }
    }
}
