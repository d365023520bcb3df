//! The integration tests, in one binary so that they link once.
#![cfg(test)]

mod ab;
mod accounting;
mod admission;
mod alert;
mod architecture;
#[path = "support/authority.rs"]
mod authority;
mod behaviour;
#[path = "support/broker.rs"]
mod broker;
mod browser;
mod budget;
mod bundled;
mod capacity;
mod carrier;
mod cli;
#[path = "support/client.rs"]
mod client;
mod cluster;
mod compare;
mod completion;
mod consumer;
mod contrib;
mod delivery;
mod detection;
mod documentation;
mod examples;
mod exec;
mod experiment;
mod export;
mod external;
mod failure;
mod fault;
mod foreign;
mod foreign_page;
mod guard;
mod hlog_reader;
#[path = "support/http.rs"]
mod http_service;
mod instance;
mod interop_device;
mod interop_mqtt;
mod interop_reference;
mod isolation;
mod job;
mod lab;
mod language;
mod live;
#[path = "support/markdown.rs"]
mod markdown;
mod odd_broker;
#[path = "support/odd_broker.rs"]
mod odd_broker_peer;
mod one_line;
mod openapi;
mod outside;
mod page;
mod page_browser;
mod pattern;
#[path = "support/peer.rs"]
mod peer;
mod phase;
mod pipeline;
mod polling;
mod probe;
#[path = "support/program.rs"]
mod program;
mod prometheus;
mod reconnect;
mod recording;
mod report;
mod response_topic;
mod retry;
mod reverse_proxy;
mod scrape;
mod secret;
mod service;
mod service_fault;
mod shard;
mod silence;
#[path = "support/skip.rs"]
mod skip;
mod state;
mod storm;
mod support;
mod target;
mod tcp;
mod tls;
mod topic;
mod trace;
