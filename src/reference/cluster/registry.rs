//! Who is connected where: instances that live, and the one each device spoke to last.

use std::collections::HashMap;

use redis::{Connection, RedisResult, cmd, pipe};

use super::instance::{InstanceLoad, Instances};

const CONNECTIONS: &str = "squall:connections";
const INSTANCE: &str = "squall:instance:";

/// Instances at once; more are not told apart.
const MOST: usize = 1_000;

/// Says that `instance` lives, for the next `expiry_ms`, and which devices spoke to it since it said so last.
pub(super) fn announce(
    connection: &mut Connection,
    instance: &str,
    expiry_ms: u64,
    devices: &[String],
) -> RedisResult<()> {
    let mut pipeline = pipe();
    pipeline.cmd("SET").arg(format!("{INSTANCE}{instance}")).arg(1).arg("PX").arg(expiry_ms).ignore();
    for device in devices {
        pipeline.cmd("HSET").arg(CONNECTIONS).arg(device).arg(instance).ignore();
    }
    pipeline.exec(connection)
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
    let places: HashMap<String, String> = cmd("HGETALL").arg(CONNECTIONS).query(connection)?;
    let (mut counts, mut stale): (HashMap<&str, usize>, Vec<&str>) = (HashMap::new(), Vec::new());
    for (device, instance) in &places {
        if names.contains(instance) {
            *counts.entry(instance).or_default() += 1;
        } else {
            stale.push(device);
        }
    }
    if !stale.is_empty() {
        cmd("HDEL").arg(CONNECTIONS).arg(&stale).exec(connection)?;
    }
    let place = |instance: &String| InstanceLoad {
        devices: counts.get(instance.as_str()).copied().unwrap_or(0),
        instance: instance.clone(),
    };
    Ok(Instances { this: this.to_owned(), living: names.iter().map(place).collect() })
}
