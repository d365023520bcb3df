//! MQTT within a WebSocket: whole runs against the bundled service, in the clear and over TLS, and a client that others wrote.

use squall::clock::Monotonic;
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::{Kind, Outcome, Protocol};
use squall::reference::{Config, Server};

use crate::bundled::patient;
use crate::interop_mqtt::{has_paho, python};
use crate::support::drive;

#[test]
fn devices_of_both_versions_are_served_within_a_websocket_and_nothing_is_lost() {
    let server = Server::start(&Config::default()).unwrap();
    let fleet = |name: &str, close: &str, version: u8| {
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 5\nrate = \"100/s\"\nclose = \"{close}\"\nmqtt = {{ version = {version}, qos = 2 }}\n"
        )
    };
    let fleets = [fleet("old", "verdict", 4), fleet("new", "ack", 5), fleet("heard", "delivery", 5)].concat();
    let plan = patient(&format!(
        "[scenario]\nname = \"t\"\n\n[target]\nmqtt = \"mqtt+ws://127.0.0.1\"\n\n[[phase]]\nname = \"p\"\nduration = \"0.3s\"\n\n{fleets}"
    ));
    let url = format!("mqtt+ws://{}", server.mqtt_addr());
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), &url).unwrap();
    assert_eq!(endpoint.url(), format!("{url}/mqtt"));
    let (_, book) = drive(&plan, vec![endpoint], 1, Monotonic::start(), &Control::new());
    let ok = book.readings().filter(|sample| sample.outcome == Outcome::Ok).count() as u64;
    assert_eq!((ok, book.findings.len()), (book.planned, 0));
    assert_eq!(book.samples.iter().filter(|sample| sample.kind == Kind::Connect).count(), 15);
    server.stop();
}

#[test]
fn paho_is_served_within_a_websocket() {
    if !has_paho() {
        return;
    }
    let server = Server::start(&Config::default()).unwrap();
    let script = r#"
import sys, paho.mqtt.client as mqtt
heard = []
def on_message(client, _, message):
    heard.append(message.payload)
    client.disconnect()
def on_connect(client, *_):
    client.subscribe("t", 1)
arguments = dict(client_id="paho", transport="websockets", protocol=mqtt.MQTTv5)
if hasattr(mqtt, "CallbackAPIVersion"):
    arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
client = mqtt.Client(**arguments)
client.ws_set_options(path="/mqtt")
client.on_connect, client.on_message = on_connect, on_message
client.on_subscribe = lambda client, *_: client.publish("t", b"x" * 70000, 1)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
assert heard == [b"x" * 70000], heard
"#;
    python(&server, script);
    server.stop();
}
