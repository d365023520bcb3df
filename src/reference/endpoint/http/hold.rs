//! Long polling: a request that is held until there is something to tell.

use std::time::Duration;

use tokio::sync::watch;

/// Longest wait that a request may ask for, milliseconds.
pub(super) const LONGEST_WAIT_MS: u64 = 60_000;

/// What `first` gives within `wait_ms`, unless the service stops before.
pub(super) async fn held<T>(
    wait_ms: u64,
    mut stop: watch::Receiver<bool>,
    first: impl Future<Output = T>,
) -> Option<T> {
    let first = async {
        tokio::select! {
            first = first => Some(first),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    };
    tokio::time::timeout(Duration::from_millis(wait_ms), first).await.ok().flatten()
}
