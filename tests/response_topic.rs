//! Readings of MQTT 5 that say where they want to be answered, and know their answers by what comes back with them.

use squall::clock::Monotonic;
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::{Outcome, Protocol};
use squall::reference::{Config, Server};

use crate::bundled::patient;
use crate::support::drive;

#[test]
fn every_reading_is_closed_by_its_own_answer_wherever_it_wants_to_have_it() {
    let server = Server::start(&Config::default()).unwrap();
    let fleet = |name: &str, more: &str| {
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 5\nrate = \"100/s\"\nclose = \"reply\"\ntrace = 0.5\n\
             mqtt = {{ version = 5, qos = 1, correlate = \"data\"{more} }}\n"
        )
    };
    // A topic that all devices listen to: who is meant stands in the data alone.
    let (usual, shared) = (fleet("usual", ""), fleet("shared", ", reply_topic = \"answers\""));
    let plan = patient(&format!(
        "[scenario]\nname = \"t\"\n\n[target]\nmqtt = \"mqtt://127.0.0.1\"\n\n[[phase]]\nname = \"p\"\nduration = \"0.3s\"\n\n{usual}\n{shared}"
    ));
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), &format!("mqtt://{}", server.mqtt_addr()));
    let (_, book) = drive(&plan, vec![endpoint.unwrap()], 1, Monotonic::start(), &Control::new());
    assert!(book.planned > 200, "{}", book.planned);
    let ok = book.readings().filter(|sample| sample.outcome == Outcome::Ok).count() as u64;
    assert_eq!((ok, book.findings.len()), (book.planned, 0));
    server.stop();
}
