//! What the tests of whole runs against the bundled reference system share.

use std::sync::Arc;

use squall::clock::Monotonic;
use squall::engine::{Control, Report};
use squall::protocol::Endpoint;
use squall::record::Protocol;
use squall::reference::{Config, Server};
use squall::scenario::Plan;

use crate::skip;
use crate::support::{Book, drive, plan};

/// The plan of a scenario's text in which nothing ends, is dropped or is given up because the machine stands still for a while: what
/// the text leaves open of time-outs, drain and backlog is long and large.
pub(crate) fn patient(text: &str) -> Arc<Plan> {
    let mut table: toml::Table = text.parse().unwrap();
    let set = |part: &mut toml::Value, key: &str, value: toml::Value| {
        part.as_table_mut().unwrap().entry(key).or_insert(value);
    };
    let run = table.entry("run").or_insert_with(|| toml::Table::new().into());
    set(run, "drain", "60s".into());
    set(run, "connect_timeout", "60s".into());
    for fleet in table["fleet"].as_table_mut().unwrap().iter_mut().map(|(_, fleet)| fleet) {
        let model = fleet.get("model").and_then(|model| model.as_str()).unwrap_or("open").to_owned();
        if model != "subscriber" {
            set(fleet, "timeout", "60s".into());
        }
        if model == "open" {
            set(fleet, "backlog", 4_096.into());
        }
    }
    plan(&table.to_string())
}

/// Drives `plan` at a reference system of its own with `workers` workers, and sees that every planned reading ended once.
pub(crate) fn drive_at_reference(plan: &Arc<Plan>, workers: usize) -> Book {
    drive_once(plan, workers).1
}

/// The same, anew while the machine stood still for long; and whether it did not the last time. For what is true of a run only if what
/// the plan has one after the other does not come all at once.
pub(crate) fn drive_undisturbed(plan: &Arc<Plan>, workers: usize) -> (Book, bool) {
    const LONG_NS: u64 = 200_000_000;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (report, book) = drive_once(plan, workers);
        let undisturbed = report.standstills.longest_ns < LONG_NS;
        if undisturbed || attempts == 4 {
            if !undisturbed {
                skip::disturbed("the machine stands still too often");
            }
            return (book, undisturbed);
        }
    }
}

fn drive_once(plan: &Arc<Plan>, workers: usize) -> (Report, Book) {
    let server = Server::start(&Config::default()).unwrap();
    let (http, mqtt) = (server.http_addr(), server.mqtt_addr());
    let endpoints = vec![
        Endpoint::resolve(Protocol::named("http"), &format!("http://{http}/v1/readings")).unwrap(),
        Endpoint::resolve(Protocol::named("ws"), &format!("ws://{http}/v1/stream")).unwrap(),
        Endpoint::resolve(Protocol::named("mqtt"), &format!("mqtt://{mqtt}")).unwrap(),
    ];
    let (report, book) = drive(plan, endpoints, workers, Monotonic::start(), &Control::new());
    server.stop();
    assert_eq!(book.planned, book.readings().count() as u64, "every planned reading ends once");
    (report, book)
}
