//! The document that the reference system serves of itself, held to its answers by another tool.

use std::process::Command;

use squall::reference::{Config, Server};
use squall::service::Setup;

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
    let apart = ["--exclude-operation-id", "operate", "--exclude-operation-id", "faults"];
    let endless = ["--exclude-path", "/v1/alerts/stream", "--exclude-path", "/v1/alerts"];
    schemathesis(&server, &[apart, endless].concat());
    for last in ["operate", "faults"] {
        schemathesis(&server, &["--include-operation-id", last]);
    }
    server.stop();
}
