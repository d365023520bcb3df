//! What a run leaves at its peers, taken away after its end: sessions that a broker would keep for devices that never come back.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::control::Order;
use super::device::Device;
use super::exchange;
use super::setup::Setup;
use super::worker::Worker;
use crate::protocol::{self, Identity, Settings};
use crate::record::{Encounters, Sink};

/// How long that may take in all. What is left then is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one worker at a time.
const AT_ONCE: usize = 32;

/// Has the peers forget the sessions of this worker's devices, as far as they answer in time and nobody is in a hurry.
pub(super) async fn remove<S: Sink>(worker: &Rc<Worker<S>>, setup: &Setup) {
    let fleets = &worker.plan.scenario().fleets;
    let settings: Rc<[Option<Settings>]> = fleets
        .iter()
        .zip(&worker.settings)
        .map(|(fleet, settings)| fleet.exchange.forgetting(settings.clone()))
        .collect();
    let is_kept =
        |device: &&Rc<Device>| device.introduced.get() && settings[usize::from(device.fleet.0)].is_some();
    let kept: Vec<Rc<Device>> = worker.devices.iter().filter(is_kept).map(Rc::clone).collect();
    if kept.is_empty() {
        return;
    }
    let waiting = Rc::new(RefCell::new(kept.clone()));
    let mut hands = JoinSet::new();
    for _ in 0..AT_ONCE.min(kept.len()) {
        let (worker, settings, waiting) = (Rc::clone(worker), Rc::clone(&settings), Rc::clone(&waiting));
        hands.spawn_local(async move {
            loop {
                let next = waiting.borrow_mut().pop();
                let Some(device) = next else { return };
                if let Some(settings) = &settings[usize::from(device.fleet.0)]
                    && forget(&worker, &device, settings).await
                {
                    device.introduced.set(false);
                }
            }
        });
    }
    let mut orders = setup.control.subscribe();
    let all = async { while hands.join_next().await.is_some() {} };
    tokio::select! {
        _ = tokio::time::timeout(PATIENCE, all) => {}
        _ = orders.wait_for(|order| *order == Order::Abort) => {}
    }
    hands.abort_all();
    for device in &kept {
        let left = u64::from(device.introduced.get());
        let sessions =
            Encounters { sessions_removed: 1 - left, sessions_left: left, ..Encounters::default() };
        worker.encounters[usize::from(device.fleet.0)].add(sessions);
    }
}

/// Connects as `device` once more, so that the peer forgets it; whether it has.
async fn forget<S: Sink>(worker: &Worker<S>, device: &Device, settings: &Settings) -> bool {
    let Some(endpoint) = worker.endpoint(device.fleet) else { return false };
    let fleet = worker.plan.fleet(device.fleet);
    let identity = exchange::identity(fleet, &device.plan.borrow().device, worker.run.get());
    let source = endpoint.source_of(worker.global(device) as usize);
    let identity = Identity { source, will: None, ..identity };
    let Ok(mut session) = protocol::connect(endpoint, settings, &identity).await else { return false };
    poll_fn(|cx| session.poll_close(cx)).await;
    true
}
