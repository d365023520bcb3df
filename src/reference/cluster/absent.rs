//! What stands in the cluster's place in a build without the feature `cluster`: an instance that is to have others does not
//! start, so none of these has a value.

use std::io;

mod instance;
mod order;

use self::instance::Instances;
pub(super) use self::order::CacheOrder;
use crate::clock::Monotonic;
use crate::reference::admission::{Question, SharedQuota};
use crate::reference::alert::Alert;
use crate::reference::answer::ReplySender;
use crate::reference::broadcast::Broadcast;
use crate::reference::device::Device;
use crate::reference::fault::FaultRegistry;
use crate::reference::model::Key;
use crate::service::{Cluster, Shared};

/// Why an instance stays alone.
#[derive(Debug, thiserror::Error)]
#[error(
    "this build of squall knows no Redis (feature `cluster`): take `reference.cluster` and `reference.cache.shared` out"
)]
pub(super) struct Absent;

#[derive(Debug)]
pub(super) enum Link {}

#[derive(Debug)]
pub(super) enum ClusterBus {}

#[derive(Debug)]
pub(super) enum SharedGate {}

#[derive(Debug)]
pub(super) enum ScoreStore {}

#[derive(Debug)]
pub(super) enum StateStore {}

#[expect(dead_code, reason = "nobody is told")]
pub(super) enum ClusterEvent {
    Alert(Alert),
    Device(std::sync::Arc<str>),
    Broadcast(Broadcast),
}

impl Link {
    pub(super) const fn down_for(&self) -> Option<f64> {
        match *self {}
    }

    pub(super) const fn failures(&self) -> u64 {
        match *self {}
    }

    pub(super) const fn complaint(&self) -> Option<String> {
        match *self {}
    }
}

impl ClusterBus {
    pub(super) fn start(
        _: &Cluster,
        _: bool,
        _: Monotonic,
        _: ReplySender,
        _: std::sync::Arc<FaultRegistry>,
    ) -> io::Result<Self> {
        Err(io::Error::other(Absent))
    }

    pub(super) fn tell(&self, _: ClusterEvent) {
        match *self {}
    }

    pub(super) fn order(&self, _: CacheOrder) {
        match *self {}
    }

    pub(super) fn instances(&self) -> Instances {
        match *self {}
    }

    pub(super) const fn living(&self) -> usize {
        match *self {}
    }

    pub(super) const fn lost(&self) -> u64 {
        match *self {}
    }

    pub(super) const fn link(&self) -> &Link {
        match *self {}
    }

    pub(super) const fn gate(&self) -> Option<&SharedGate> {
        match *self {}
    }

    pub(super) const fn stop(&self) {
        match *self {}
    }
}

impl SharedGate {
    pub(super) fn ask(&self, _: Vec<SharedQuota>) -> Option<Question> {
        match *self {}
    }

    pub(super) const fn link(&self) -> &Link {
        match *self {}
    }
}

impl ScoreStore {
    pub(super) const fn new(_: &Shared, _: Monotonic) -> Result<Self, Absent> {
        Err(Absent)
    }

    pub(super) const fn get(&self, _: &Key) -> Option<f64> {
        match *self {}
    }

    pub(super) const fn put(&self, _: &Key, _: f64) {
        match *self {}
    }

    pub(super) const fn clear(&self) {
        match *self {}
    }

    pub(super) const fn link(&self) -> &Link {
        match *self {}
    }
}

impl StateStore {
    pub(super) const fn new(_: &Cluster, _: Monotonic) -> Result<Option<Self>, Absent> {
        Err(Absent)
    }

    pub(super) fn fetch(&self, _: &str) -> Option<Device> {
        match *self {}
    }

    pub(super) const fn fetch_from_others(&self, _: &str) -> Option<Device> {
        match *self {}
    }

    pub(super) const fn leave(&self, _: &str, _: &Device) {
        match *self {}
    }

    pub(super) const fn link(&self) -> &Link {
        match *self {}
    }
}
