//! The document that the reference system serves of itself, held to its answers by another tool.

use std::process::Command;

use serde_json::{Map, Value, json};
use squall::reference::{Config, Server};
use squall::service::Setup;

use crate::program::ask;
use crate::skip;

/// What is asked of every answer: no server error, and nothing that the document does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance";

fn schemathesis(server: &Server, choice: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new("schemathesis")
        .current_dir(folder.path())
        .args(["run", &format!("http://{}/openapi.json", server.http_addr())])
        .args(["--max-examples", "10", "--seed", "1", "--request-timeout", "60", "--checks", CHECKS])
        .args(choice)
        .output();
    let Ok(run) = run else {
        skip::missing("schemathesis is not here (pip install schemathesis)");
        return;
    };
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{choice:?}\n{told}\n{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn answers_are_those_the_document_promises() {
    let server =
        Server::start(&Config { setup: Setup { faults: true, ..Setup::default() }, ..Config::default() })
            .unwrap();
    // A service that was stopped or broken on purpose refuses as it should: that is looked at apart, what breaks it last. Streams
    // never end, and who polls may wait for a minute.
    let apart = ["operate", "faults", "broadcasts"].map(|id| ["--exclude-operation-id", id]).concat();
    let endless = [
        "/v1/alerts/stream",
        "/v1/alerts",
        "/v1/jobs/stream",
        "/v1/windows/stream",
        "/v1/windows",
        "/v1/verdicts/stream",
        "/v1/verdicts",
        "/v1/broadcast/stream",
    ];
    let endless = endless.map(|path| ["--exclude-path", path]).concat();
    schemathesis(&server, &[&apart[..], &endless[..]].concat());
    for last in ["operate", "faults"] {
        schemathesis(&server, &["--include-operation-id", last]);
    }
    server.stop();
}

/// A value that fits a schema of the document's, as plain as can be.
fn plain(schema: &Value) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("string") => "a".into(),
        Some("array") => {
            (0..schema["minItems"].as_u64().unwrap_or(0)).map(|_| plain(&schema["items"])).collect()
        }
        _ => Value::Null,
    }
}

/// What goes beyond each bound that a schema states, with its name.
fn beyond(schema: &Value) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    if let Some(most) = schema["maximum"].as_f64() {
        found.push(("maximum", json!(most * 1.01 + 1.0)));
    }
    if let Some(least) = schema["minimum"].as_f64() {
        found.push(("minimum", json!(least - 1.0 - least.abs() * 0.01)));
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        found.push(("maxItems", (0..=most).map(|_| plain(&schema["items"])).collect()));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        found.push(("maxLength", "x".repeat(most as usize + 1).into()));
    }
    found
}

/// The objects that a body may be.
fn alternatives<'d>(schema: &'d Value, document: &'d Value) -> Vec<&'d Value> {
    if let Some(all) = schema["oneOf"].as_array() {
        return all.iter().flat_map(|one| alternatives(one, document)).collect();
    }
    match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).into_iter().collect(),
        None => vec![schema],
    }
}

#[test]
fn what_is_beyond_a_stated_bound_is_refused() {
    let server =
        Server::start(&Config { setup: Setup { faults: true, ..Setup::default() }, ..Config::default() })
            .unwrap();
    let status = |method: &str, path: &str, body: &str| -> u16 {
        ask(server.http_addr(), method, path, body)[9..12].parse().unwrap()
    };
    let answer = ask(server.http_addr(), "GET", "/openapi.json", "");
    let document: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for parameter in methods["get"]["parameters"].as_array().into_iter().flatten() {
            for (bound, value) in beyond(&parameter["schema"]) {
                let name = parameter["name"].as_str().unwrap();
                assert_eq!(
                    status("GET", &format!("{path}?{name}={value}"), ""),
                    400,
                    "{path} {name} {bound}"
                );
                tried += 1;
            }
        }
        let body = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        for object in alternatives(body, &document).into_iter().filter(|schema| schema["type"] == "object") {
            let properties = object["properties"].as_object().unwrap();
            let required = object["required"].as_array().unwrap();
            let names = required.iter().map(|name| name.as_str().unwrap());
            let whole: Map<String, Value> =
                names.map(|name| (name.to_owned(), plain(&properties[name]))).collect();
            for (name, schema) in properties {
                for (bound, value) in beyond(schema) {
                    let mut body = whole.clone();
                    body.insert(name.clone(), value);
                    let body = Value::Object(body).to_string();
                    let shown = body.chars().take(200).collect::<String>();
                    assert_eq!(status("POST", path, &body), 400, "{path} {name} {bound}: {shown}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 60, "{tried}");
    server.stop();
}
