//! What instances leave in their broker: texts that expire, and tables; all of it bounded.

use std::collections::HashMap;

use super::wire::Reply;
use crate::clock::Tick;

type Bytes = Vec<u8>;

/// Bytes of names and values that are kept; beyond that nothing more is taken.
const MOST_BYTES: usize = 256 << 20;
/// What an entry takes beside its name and value, about.
const ENTRY: usize = 64;

const FULL: Reply = Reply::Error("OOM the broker of the instances is full");
const WRONG: Reply = Reply::Error("ERR not a command that the broker of the instances knows");

#[derive(Debug)]
struct Kept {
    value: Bytes,
    /// When it is forgotten.
    until: Option<Tick>,
}

/// The keys of one broker.
#[derive(Debug, Default)]
pub(super) struct Store {
    texts: HashMap<Bytes, Kept>,
    tables: HashMap<Bytes, HashMap<Bytes, Bytes>>,
    bytes: usize,
}

impl Store {
    /// Carries out a command that leaves or asks for something. Names of commands come in capitals.
    pub(super) fn obey(&mut self, command: &[Bytes], now: Tick) -> Reply {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        match words.as_slice() {
            [b"GET", name] => self.get(name, now).map_or(Reply::Nothing, |value| Reply::Bytes(value.clone())),
            [b"SET", name, value] => self.set(name, value, None, now),
            [b"SET", name, value, b"PX", span] => match number(span).filter(|span| *span > 0) {
                Some(span) => self.set(
                    name,
                    value,
                    Some(now.plus_ns(span.cast_unsigned().saturating_mul(1_000_000))),
                    now,
                ),
                None => WRONG,
            },
            [b"DEL" | b"UNLINK", names @ ..] => {
                Reply::Number(names.iter().map(|name| self.forget(name)).sum())
            }
            [b"SCAN", _, b"MATCH", pattern, ..] => self.scan(pattern, now),
            [b"HSET", table, field, value] => self.put(table, field, value),
            [b"HGET", table, field] => {
                let value = self.tables.get(*table).and_then(|table| table.get(*field));
                value.map_or(Reply::Nothing, |value| Reply::Bytes(value.clone()))
            }
            [b"HMGET", table, fields @ ..] => {
                let table = self.tables.get(*table);
                let value = |field: &&[u8]| table.and_then(|table| table.get(*field)).cloned();
                Reply::List(
                    fields.iter().map(|field| value(field).map_or(Reply::Nothing, Reply::Bytes)).collect(),
                )
            }
            [b"HGETALL", table] => {
                let rows = self.tables.get(*table).into_iter().flatten();
                Reply::List(
                    rows.flat_map(|(field, value)| [field, value].map(|part| Reply::Bytes(part.clone())))
                        .collect(),
                )
            }
            [b"HDEL", table, fields @ ..] => {
                Reply::Number(fields.iter().map(|field| self.remove(table, field)).sum())
            }
            [b"HINCRBY", table, field, step] => self.add(table, field, step),
            _ => WRONG,
        }
    }

    fn get(&mut self, name: &[u8], now: Tick) -> Option<&Bytes> {
        if self.texts.get(name)?.until.is_some_and(|until| until <= now) {
            self.forget(name);
        }
        self.texts.get(name).map(|kept| &kept.value)
    }

    fn set(&mut self, name: &[u8], value: &[u8], until: Option<Tick>, now: Tick) -> Reply {
        self.forget(name);
        let size = name.len() + value.len() + ENTRY;
        if self.bytes + size > MOST_BYTES {
            let expired = |kept: &Kept| kept.until.is_some_and(|until| until <= now);
            let over: Vec<Bytes> =
                self.texts.iter().filter(|(_, kept)| expired(kept)).map(|(name, _)| name.clone()).collect();
            for name in over {
                self.forget(&name);
            }
        }
        if self.bytes + size > MOST_BYTES {
            return FULL;
        }
        self.bytes += size;
        self.texts.insert(name.to_vec(), Kept { value: value.to_vec(), until });
        Reply::Ok
    }

    fn forget(&mut self, name: &[u8]) -> i64 {
        let Some(kept) = self.texts.remove(name) else { return 0 };
        self.bytes -= name.len() + kept.value.len() + ENTRY;
        1
    }

    /// All names that begin as the pattern does before its star, in one go.
    fn scan(&mut self, pattern: &[u8], now: Tick) -> Reply {
        let Some(prefix) = pattern.strip_suffix(b"*") else { return WRONG };
        let is_there = |kept: &Kept| kept.until.is_none_or(|until| until > now);
        let names = self.texts.iter().filter(|(name, kept)| name.starts_with(prefix) && is_there(kept));
        let names = names.map(|(name, _)| Reply::Bytes(name.clone())).collect();
        Reply::List(vec![Reply::text("0"), Reply::List(names)])
    }

    fn put(&mut self, table: &[u8], field: &[u8], value: &[u8]) -> Reply {
        let is_new = self.remove(table, field) == 0;
        let size = field.len() + value.len() + ENTRY;
        if self.bytes + size > MOST_BYTES {
            return FULL;
        }
        self.bytes += size;
        self.tables.entry(table.to_vec()).or_default().insert(field.to_vec(), value.to_vec());
        Reply::Number(i64::from(is_new))
    }

    fn remove(&mut self, table: &[u8], field: &[u8]) -> i64 {
        let Some(value) = self.tables.get_mut(table).and_then(|table| table.remove(field)) else { return 0 };
        self.bytes -= field.len() + value.len() + ENTRY;
        1
    }

    fn add(&mut self, table: &[u8], field: &[u8], step: &[u8]) -> Reply {
        let known = self.tables.get(table).and_then(|table| table.get(field));
        let known = known.map_or(Some(0), |known| number(known));
        let Some(sum) = known.zip(number(step)).and_then(|(known, step)| known.checked_add(step)) else {
            return WRONG;
        };
        match self.put(table, field, sum.to_string().as_bytes()) {
            Reply::Number(_) => Reply::Number(sum),
            refused => refused,
        }
    }
}

fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(store: &mut Store, command: &str, at_ms: u64) -> String {
        let words: Vec<Bytes> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let mut out = Vec::new();
        store.obey(&words, Tick(at_ms * 1_000_000)).encode(&mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_owned()
    }

    #[test]
    fn what_is_left_is_found_until_it_expires() {
        let mut store = Store::default();
        for (command, at_ms, expected) in [
            ("SET squall:instance:a 1 PX 100", 0, "+OK"),
            ("GET squall:instance:a", 99, "$1 1"),
            ("SCAN 0 MATCH squall:instance:* COUNT 1000", 99, "*2 $1 0 *1 $17 squall:instance:a"),
            ("SCAN 0 MATCH squall:instance:* COUNT 1000", 100, "*2 $1 0 *0"),
            ("GET squall:instance:a", 100, "$-1"),
            ("HSET where m-1 a", 0, ":1"),
            ("HSET where m-1 b", 0, ":0"),
            ("HGETALL where", 0, "*2 $3 m-1 $1 b"),
            ("HMGET where m-1 m-2", 0, "*2 $1 b $-1"),
            ("HDEL where m-1 m-2", 0, ":1"),
            ("HGETALL where", 0, "*0"),
            ("HINCRBY state flushes 1", 0, ":1"),
            ("HINCRBY state flushes 2", 0, ":3"),
            ("HGET state flushes", 0, "$1 3"),
            ("SET x y", 0, "+OK"),
            ("DEL x y", 0, ":1"),
            ("EVAL x", 0, "-ERR not a command that the broker of the instances knows"),
            ("SET x y PX 0", 0, "-ERR not a command that the broker of the instances knows"),
        ] {
            assert_eq!(told(&mut store, command, at_ms), expected, "{command}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_room_comes_back() {
        let mut store = Store::default();
        let large = vec![0; 1 << 20];
        let set = |store: &mut Store, name: String, at| {
            store.obey(
                &[b"SET".to_vec(), name.into_bytes(), large.clone(), b"PX".to_vec(), b"1000".to_vec()],
                Tick(at),
            )
        };
        let taken =
            (0..1_000).take_while(|number| set(&mut store, number.to_string(), 0) == Reply::Ok).count();
        assert_eq!(taken, MOST_BYTES / (large.len() + ENTRY + 3));
        assert_eq!(store.put(b"t", b"f", &large), FULL);
        assert_eq!(
            set(&mut store, "later".to_owned(), 1_000_000_000),
            Reply::Ok,
            "what has expired makes room"
        );
        store.forget(b"later");
        assert_eq!(store.bytes, 0);
    }
}
