//! What the tests of whole runs against the bundled reference system share.

use std::sync::Arc;

use squall::clock::Monotonic;
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::Protocol;
use squall::reference::{Config, Server};
use squall::scenario::Plan;

use crate::support::{Book, drive};

/// Drives `plan` at a reference system of its own with `workers` workers, and sees that every planned reading ended once.
pub(crate) fn drive_at_reference(plan: &Arc<Plan>, workers: usize) -> Book {
    let server = Server::start(&Config::default()).unwrap();
    let (http, mqtt) = (server.http_addr(), server.mqtt_addr());
    let endpoints = vec![
        Endpoint::resolve(Protocol::Http, &format!("http://{http}/v1/readings")).unwrap(),
        Endpoint::resolve(Protocol::Ws, &format!("ws://{http}/v1/stream")).unwrap(),
        Endpoint::resolve(Protocol::Mqtt, &format!("mqtt://{mqtt}")).unwrap(),
    ];
    let (_, book) = drive(plan, endpoints, workers, Monotonic::start(), &Control::new());
    server.stop();
    assert_eq!(book.planned, book.readings().count() as u64, "every planned reading ends once");
    book
}
