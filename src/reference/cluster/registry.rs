//! Who is connected where: instances that live, and the one each device spoke to last.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use redis::{Connection, RedisResult, cmd, pipe};

use super::instance::{InstanceLoad, Instances};

const CONNECTIONS: &str = "squall:connections";
const INSTANCE: &str = "squall:instance:";

/// Instances at once; more are not told apart.
const MOST: usize = 1_000;

/// Says that `instance` lives, for the next `expiry_ms`.
pub(super) fn announce(connection: &mut Connection, instance: &str, expiry_ms: u64) -> RedisResult<()> {
    cmd("SET").arg(format!("{INSTANCE}{instance}")).arg(1).arg("PX").arg(expiry_ms).exec(connection)
}

/// Says that `devices` speak to `instance` now; how many of them had spoken to another one last.
pub(super) fn introduce(
    connection: &mut Connection,
    instance: &str,
    devices: &BTreeSet<String>,
) -> RedisResult<u64> {
    let before: Vec<Option<String>> = cmd("HMGET").arg(CONNECTIONS).arg(devices).query(connection)?;
    let mut pipeline = pipe();
    for device in devices {
        pipeline.cmd("HSET").arg(CONNECTIONS).arg(device).arg(instance).ignore();
    }
    pipeline.exec(connection)?;
    Ok(before.iter().flatten().filter(|place| *place != instance).count() as u64)
}

/// Says that `instance` is no more.
pub(super) fn withdraw(connection: &mut Connection, instance: &str) -> RedisResult<()> {
    cmd("DEL").arg(format!("{INSTANCE}{instance}")).exec(connection)
}

/// The instances that live, and how many devices spoke to each last. Devices of an instance that is gone are gone with it.
pub(super) fn living(connection: &mut Connection, this: &str) -> RedisResult<Instances> {
    let mut names: Vec<String> = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let (next, found): (u64, Vec<String>) = cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{INSTANCE}*"))
            .arg("COUNT")
            .arg(1_000)
            .query(connection)?;
        names.extend(found.iter().filter_map(|name| name.strip_prefix(INSTANCE).map(str::to_owned)));
        cursor = next;
        if cursor == 0 || names.len() >= MOST {
            break;
        }
    }
    names.sort();
    names.dedup();
    let mut places: HashMap<String, String> = cmd("HGETALL").arg(CONNECTIONS).query(connection)?;
    let stale: Vec<String> =
        places.extract_if(|_, instance| !names.contains(instance)).map(|(device, _)| device).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for instance in places.values() {
        *counts.entry(instance).or_default() += 1;
    }
    if !stale.is_empty() {
        cmd("HDEL").arg(CONNECTIONS).arg(&stale).exec(connection)?;
    }
    let place = |instance: &String| InstanceLoad {
        devices: counts.get(instance.as_str()).copied().unwrap_or(0),
        instance: instance.clone(),
    };
    let living = names.iter().map(place).collect();
    Ok(Instances { this: this.to_owned(), living, moved: 0, places: Arc::new(places) })
}
