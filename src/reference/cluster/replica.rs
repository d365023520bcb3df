//! What keeps the caches of all instances in step. An order is told at once, to those that listen; and how often caches were
//! flushed and models replaced is kept in Redis, for those that were away.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Connection, RedisResult, cmd};
use serde_json::{Value, json};

use super::order::CacheOrder;
use crate::reference::model::MODELS;
use crate::reference::reading::LONGEST_DEVICE;

/// Where orders are told.
pub(super) const CHANNEL: &str = "squall:cache";
/// Where it is kept what was ordered so far.
const STATE: &str = "squall:cache:state";
const FLUSHES: &str = "flushes";

/// Devices that are remembered until others can be told; beyond that all of their scores go.
const MOST_DEVICES: usize = 1_000;
/// Before it is known how often caches were flushed.
const UNKNOWN: i64 = -1;

/// Orders that others have not been told.
#[derive(Debug, Default)]
struct Owed {
    flush: bool,
    versions: [bool; MODELS.len()],
    devices: Vec<Arc<str>>,
}

impl Owed {
    fn is_empty(&self) -> bool {
        !self.flush && !self.versions.contains(&true) && self.devices.is_empty()
    }

    fn owe_device(&mut self, device: Arc<str>) {
        if self.devices.len() < MOST_DEVICES {
            self.devices.push(device);
        } else {
            self.flush = true;
        }
    }
}

/// What this instance knows of the caches of all.
#[derive(Debug)]
pub(super) struct Replica {
    owed: Mutex<Owed>,
    versions: [AtomicU32; MODELS.len()],
    flushes: AtomicI64,
}

impl Replica {
    pub(super) fn new() -> Self {
        Self {
            owed: Mutex::default(),
            versions: std::array::from_fn(|_| AtomicU32::new(1)),
            flushes: AtomicI64::new(UNKNOWN),
        }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what was ordered here, until others can be told.
    pub(super) fn order(&self, order: CacheOrder) {
        match order {
            CacheOrder::Flush => self.owed().flush = true,
            CacheOrder::Device(device) => self.owed().owe_device(device),
            CacheOrder::Version { model, version } => {
                if let Some(known) = self.versions.get(model) {
                    known.fetch_max(version, Ordering::Relaxed);
                    self.owed().versions[model] = true;
                }
            }
        }
    }

    /// Whether others are still to be told of something.
    pub(super) fn has_news(&self) -> bool {
        !self.owed().is_empty()
    }

    /// Tells others what was ordered here. What they could not be told stays owed.
    pub(super) fn tell(&self, connection: &mut Connection, instance: &str) -> RedisResult<()> {
        let Owed { flush, versions, devices } = std::mem::take(&mut *self.owed());
        let mut result = Ok(());
        if flush {
            result = self.tell_flush(connection, instance);
            self.owed().flush |= result.is_err();
        }
        for (model, is_owed) in versions.into_iter().enumerate().filter(|(_, is_owed)| *is_owed) {
            if result.is_ok() {
                let version = self.versions[model].load(Ordering::Relaxed);
                result = write_version(connection, model, version).and_then(|()| {
                    publish(connection, &encode(instance, &CacheOrder::Version { model, version }))
                });
            }
            self.owed().versions[model] |= is_owed && result.is_err();
        }
        for device in devices {
            if result.is_ok() {
                result = publish(connection, &encode(instance, &CacheOrder::Device(Arc::clone(&device))));
            }
            if result.is_err() {
                self.owed().owe_device(device);
            }
        }
        result
    }

    fn tell_flush(&self, connection: &mut Connection, instance: &str) -> RedisResult<()> {
        let flushes: i64 = cmd("HINCRBY").arg(STATE).arg(FLUSHES).arg(1).query(connection)?;
        self.flushes.store(flushes, Ordering::Relaxed);
        let mut text = encode(instance, &CacheOrder::Flush);
        text["flushes"] = flushes.into();
        publish(connection, &text)
    }

    /// What was ordered elsewhere and has not been heard of here.
    pub(super) fn catch_up(&self, connection: &mut Connection) -> RedisResult<Vec<CacheOrder>> {
        let kept: std::collections::HashMap<String, i64> = cmd("HGETALL").arg(STATE).query(connection)?;
        let mut orders = Vec::new();
        let flushes = kept.get(FLUSHES).copied();
        let known = self.flushes.swap(flushes.unwrap_or(0), Ordering::Relaxed);
        // A Redis that has forgotten everything orders nothing, nor does what was ordered before this instance came.
        if known != UNKNOWN && flushes.is_some_and(|flushes| flushes != known) {
            orders.push(CacheOrder::Flush);
        }
        for (model, known) in self.versions.iter().enumerate() {
            let kept = kept.get(&version_field(model)).and_then(|version| u32::try_from(*version).ok());
            let (version, known) = (kept.unwrap_or(0), known.fetch_max(kept.unwrap_or(0), Ordering::Relaxed));
            if version > known {
                orders.push(CacheOrder::Version { model, version });
            } else if version < known && known > 1 {
                write_version(connection, model, known)?;
            }
        }
        Ok(orders)
    }

    /// Reads an order of another instance; none if it is this one's own, is known already, or is none.
    pub(super) fn hear(&self, text: &str, this: &str) -> Option<CacheOrder> {
        let told: Value = serde_json::from_str(text).ok()?;
        if told["instance"].as_str()? == this {
            return None;
        }
        match told["operation"].as_str()? {
            "flush" => {
                let flushes = told["flushes"].as_i64()?;
                (self.flushes.swap(flushes, Ordering::Relaxed) != flushes).then_some(CacheOrder::Flush)
            }
            "version" => {
                let model = told["model"].as_u64()? as usize;
                let version = u32::try_from(told["version"].as_u64()?).ok()?;
                let is_new = self.versions.get(model)?.fetch_max(version, Ordering::Relaxed) < version;
                is_new.then_some(CacheOrder::Version { model, version })
            }
            "device" => {
                let device = told["device"].as_str().filter(|name| name.chars().count() <= LONGEST_DEVICE)?;
                Some(CacheOrder::Device(device.into()))
            }
            _ => None,
        }
    }
}

fn encode(instance: &str, order: &CacheOrder) -> Value {
    match order {
        CacheOrder::Flush => json!({ "instance": instance, "operation": "flush" }),
        CacheOrder::Version { model, version } => {
            json!({ "instance": instance, "operation": "version", "model": model, "version": version })
        }
        CacheOrder::Device(device) => {
            json!({ "instance": instance, "operation": "device", "device": **device })
        }
    }
}

fn version_field(model: usize) -> String {
    format!("version:{}", MODELS[model].name())
}

/// Two that write at once may leave the lower one there: who knows better writes again at its next look.
fn write_version(connection: &mut Connection, model: usize, version: u32) -> RedisResult<()> {
    cmd("HSET").arg(STATE).arg(version_field(model)).arg(version).exec(connection)
}

fn publish(connection: &mut Connection, text: &Value) -> RedisResult<()> {
    cmd("PUBLISH").arg(CHANNEL).arg(text.to_string()).exec(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_others_are_heard_once_and_ones_own_never() {
        let replica = Replica::new();
        let version = CacheOrder::Version { model: 1, version: 3 };
        let heard = |order: &CacheOrder| replica.hear(&encode("north", order).to_string(), "south");
        assert_eq!(replica.hear(&encode("south", &version).to_string(), "south"), None);
        assert_eq!([heard(&version), heard(&version)], [Some(version.clone()), None]);
        let device = CacheOrder::Device("m-1".into());
        assert_eq!([heard(&device), heard(&device)], [Some(device.clone()), Some(device.clone())]);
        let flush = r#"{"instance":"north","operation":"flush","flushes":7}"#;
        assert_eq!(
            [replica.hear(flush, "south"), replica.hear(flush, "south")],
            [Some(CacheOrder::Flush), None]
        );
        for text in ["", "{}", r#"{"instance":"north","operation":"version","model":9,"version":2}"#] {
            assert_eq!(replica.hear(text, "south"), None, "{text}");
        }
    }

    #[test]
    fn what_is_owed_is_bounded() {
        let replica = Replica::new();
        assert!(!replica.has_news());
        for number in 0..=MOST_DEVICES {
            replica.order(CacheOrder::Device(format!("m-{number}").into()));
        }
        let owed = replica.owed();
        assert!(owed.flush && owed.devices.len() == MOST_DEVICES);
    }
}
