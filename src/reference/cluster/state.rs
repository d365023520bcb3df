//! The state of devices on its way from one instance to another.

use redis::{RedisResult, cmd, pipe};

use super::link::Link;
use super::pool::Pool;
use crate::clock::Monotonic;
use crate::record::RunToken;
use crate::reference::device::Device;
use crate::service::Cluster as Setup;

/// Connections that workers take turns with.
const CONNECTIONS: usize = 4;
/// A state that nobody asked for within this time is forgotten, milliseconds.
const KEPT_MS: u64 = 3_600_000;

/// States of devices in Redis, where they follow their devices.
#[derive(Debug)]
pub(in crate::reference) struct StateStore {
    pool: Pool,
    /// Tells what this instance left from what others did.
    mark: String,
}

impl StateStore {
    /// A store that has not been tried; none where states stay where they are.
    ///
    /// # Errors
    /// If its address is none of a Redis.
    pub(in crate::reference) fn new(setup: &Setup, clock: Monotonic) -> RedisResult<Option<Self>> {
        if !setup.moves_state {
            return Ok(None);
        }
        let link = Link::new(&setup.redis, setup.timeout.as_duration(), clock)?;
        Ok(Some(Self { pool: Pool::new(link, CONNECTIONS), mark: RunToken::draw().to_string() }))
    }

    /// The state that a device left elsewhere; none if it left none, or Redis does not answer in time.
    pub(in crate::reference) fn fetch(&self, device: &str) -> Option<Device> {
        let bytes: Option<Vec<u8>> =
            self.pool.ask(|connection| cmd("GET").arg(name(device)).query(connection))?;
        // What another version of squall wrote is not a state: the device begins anew.
        ciborium::from_reader(bytes?.as_slice()).ok()
    }

    /// The same of a device that is known here, if another instance left it last.
    pub(in crate::reference) fn fetch_from_others(&self, device: &str) -> Option<Device> {
        let holder: Option<String> =
            self.pool.ask(|connection| cmd("GET").arg(holder(device)).query(connection))?;
        if holder? == self.mark { None } else { self.fetch(device) }
    }

    /// Leaves a device's state for whoever it speaks to next.
    pub(in crate::reference) fn leave(&self, device: &str, state: &Device) {
        let mut bytes = Vec::with_capacity(4_096);
        if ciborium::into_writer(state, &mut bytes).is_ok() {
            let mut both = pipe();
            both.cmd("SET").arg(name(device)).arg(bytes).arg("PX").arg(KEPT_MS).ignore();
            both.cmd("SET").arg(holder(device)).arg(&self.mark).arg("PX").arg(KEPT_MS).ignore();
            self.pool.ask(|connection| both.exec(connection));
        }
    }

    /// What it leads over.
    pub(in crate::reference) fn link(&self) -> &Link {
        self.pool.link()
    }
}

fn name(device: &str) -> String {
    format!("squall:state:{device}")
}

fn holder(device: &str) -> String {
    format!("squall:holder:{device}")
}
