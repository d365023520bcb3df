//! How the tasks of devices end.

use std::panic::resume_unwind;

use tokio::task::{JoinError, JoinSet};

/// Waits for the tasks of devices to end.
pub(super) async fn see_off(drives: &mut JoinSet<()>) {
    while let Some(ended) = drives.join_next().await {
        surface(ended);
    }
}

/// A device's task that panicked takes the worker with it: what it left open would else be told of the service.
pub(super) fn surface(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_device_whose_task_panics_takes_the_worker_with_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let mut drives = JoinSet::new();
        drives.spawn(async {});
        runtime.block_on(see_off(&mut drives));
        // As those are that the end of a run finds waiting.
        drives.spawn(std::future::pending::<()>()).abort();
        runtime.block_on(see_off(&mut drives));
        drives.spawn(async { panic!("out of random numbers") });
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(see_off(&mut drives))));
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"out of random numbers"));
    }
}
