//! Ctrl-C and SIGTERM: the first asks to finish, the second ends at once.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

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
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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
