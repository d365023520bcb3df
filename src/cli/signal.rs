//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the first asks to finish, the second ends at once.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// Listens for interrupts for as long as the process lives.
#[derive(Debug)]
pub(super) struct Interrupts {
    received: Receiver<u32>,
}

impl Interrupts {
    /// Starts listening; from now on the first two interrupts no longer end the process by themselves.
    /// `on_interrupt` is called on the listening thread with 1, 2, … for every interrupt.
    ///
    /// # Errors
    /// If the system refuses the handler or the thread.
    pub(super) fn listen(on_interrupt: impl Fn(u32) + Send + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (send, received) = sync_channel(2);
        let (ready, armed) = sync_channel(1);
        let body = move || {
            runtime.block_on(async {
                let mut source = match Source::new() {
                    Ok(source) => source,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                let mut count = 0;
                loop {
                    source.next().await;
                    count += 1;
                    on_interrupt(count);
                    // Nobody waiting, or the queue being full of earlier ones, changes nothing.
                    let _ = send.try_send(count);
                }
            });
        };
        thread::Builder::new().name("squall-signals".into()).spawn(body)?;
        armed.recv().map_err(io::Error::other)??;
        Ok(Self { received })
    }

    /// Blocks until the next interrupt.
    pub(super) fn wait(&self) {
        // The listening thread never ends before the process does; if it could, waiting would be pointless.
        let _ = self.received.recv();
    }

    /// Blocks until the next interrupt, or for `patience`; whether there was one.
    pub(super) fn wait_for(&self, patience: Duration) -> bool {
        self.received.recv_timeout(patience).is_ok()
    }
}

/// Has a file that must not grow any more (`ulimit -f`) be an error to whoever writes it, as a full disk is: left alone, the signal that
/// comes with it ends the process in the middle of its last line.
#[cfg(unix)]
pub(super) fn outlive_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // What is installed once stays, and is not handed down to programs that are started.
    let exceeded = SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    // A system that refuses it ends the process then, as it would have done.
    let _ = runtime.and_then(|runtime| runtime.block_on(async { signal(exceeded).map(drop) }));
}

/// No other system has such a limit.
#[cfg(not(unix))]
pub(super) fn outlive_limits() {}

#[cfg(unix)]
struct Source {
    signals: [tokio::signal::unix::Signal; 3],
    /// `None` under `nohup`, which asks that a closed terminal changes nothing.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // A terminal that is closed and a `kill -QUIT` would otherwise leave half the files, and faults that are on.
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
        let [interrupt, terminate, quit] = kinds.map(signal);
        let hangup = (!is_ignored(SignalKind::hangup())).then(|| signal(SignalKind::hangup()));
        Ok(Self { signals: [interrupt?, terminate?, quit?], hangup: hangup.transpose()? })
    }

    async fn next(&mut self) {
        let [interrupt, terminate, quit] = &mut self.signals;
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process was started with the signal ignored, where the system tells (Linux).
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // A failing handler leaves only the system's own way to end the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
