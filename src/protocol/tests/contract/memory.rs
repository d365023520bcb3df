//! What sessions hold: bounded whatever comes, and little while they are idle.
//!
//! Allocations are the process's, so each case is counted in a process of its own, with no other test beside it.

use std::env;
use std::net::SocketAddr;
use std::task::Poll;
use std::thread;

use tokio::net::TcpListener;
use tokio::{runtime, task};

use super::super::super::harness::script::context;
use super::super::super::{Endpoint, Event, Failure, Identity, Session, Settings, TABLE, connect};
use super::conversation::{Conversation, Usage};
use crate::net::tests::allocation::{held, is_alone, run_alone};

/// Where the devices of the process that counts connect to, by the table.
const ADDRESSES: &str = "SQUALL_CONTRACT_ADDRESSES";

/// What comes of a message that does not end, bytes.
const COMES: usize = 2 << 20;

/// What a session may hold of it, bytes.
const MOST_HELD: usize = 768 << 10;

/// Devices that are counted, and as many before them that bring what is the process's.
const IDLE: usize = 200;

/// What the engine keeps of an idle device besides its session, bytes.
const BESIDES: u64 = 1 << 10;

/// Runs the test of this name again where it is alone; false in that process.
fn elsewhere(test: &str, addresses: &str) -> bool {
    if is_alone() {
        return false;
    }
    run_alone(module_path!(), test, &[(ADDRESSES, addresses.as_ref())]);
    true
}

/// Lets a message come that does not end, where what is written is taken or is not.
fn endure(usage: &Usage, nth: usize, reads: bool) -> Result<(), String> {
    let (head, rest) = usage.proof().endless(&usage.settings).swap_remove(nth);
    let shown = format!("{}, endless message {nth}, peer reads: {reads}", usage.name());
    let mut conversation = Conversation::open(usage);
    if usage.sends() {
        conversation.send();
    }
    let wire = conversation.wire.clone();
    let mut session = conversation.session.take().unwrap();
    if !reads {
        wire.set_room(0);
    }
    wire.push(&head);
    let piece = rest.repeat((64 << 10) / rest.len() + 1);
    let before = held();
    for _ in 0..COMES / piece.len() {
        if !wire.is_awaited() && wire.unread() > piece.len() {
            // It has stopped reading, since the peer does not read either.
            return if reads { Err(format!("{shown}: it does not read on")) } else { Ok(()) };
        }
        wire.push(&piece);
        loop {
            match session.poll_event(&mut context()) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(failure)) => {
                    let said = &failure.reason.sentence;
                    let limit = said.contains(|c: char| c.is_ascii_digit());
                    return if limit { Ok(()) } else { Err(format!("{shown}: no limit in `{said}`")) };
                }
                Poll::Pending => break,
            }
        }
        session.take_unmatched();
        wire.take_written();
        let growth = held().saturating_sub(before);
        if growth > MOST_HELD {
            return Err(format!("{shown}: {growth} bytes held"));
        }
    }
    Ok(())
}

#[test]
fn a_message_that_never_ends_is_bounded() {
    if elsewhere("a_message_that_never_ends_is_bounded", "") {
        return;
    }
    let mut faults = Vec::new();
    let mut usages = Usage::every();
    // What closes readings makes no difference here.
    usages.dedup_by_key(|usage| (usage.driver.facts().protocol, usage.variant));
    for usage in usages {
        for nth in 0..usage.proof().endless(&usage.settings).len() {
            faults.extend(
                [true, false].map(|reads| endure(&usage, nth, reads)).into_iter().filter_map(Result::err),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Answers connections of every protocol of the table, in its order; gives the addresses.
fn serve_raw() -> Vec<SocketAddr> {
    let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners: Vec<_> = TABLE.iter().map(bind).collect();
    let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    thread::spawn(move || {
        block_on(async move {
            for (driver, listener) in TABLE.iter().zip(listeners) {
                listener.set_nonblocking(true).unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                task::spawn_local(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        task::spawn_local(driver.serve_raw(stream));
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    });
    addresses
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
    task::LocalSet::new().block_on(&runtime, future)
}

/// A device that has connected and has nothing to do.
async fn idle(endpoint: &Endpoint, settings: &Settings, nth: usize) -> Result<Box<dyn Session>, Failure> {
    let identity = Identity::of(&format!("device-{nth:05}"));
    let mut session = connect(endpoint, settings, &identity).await?;
    while let Poll::Ready(told) = session.poll_event(&mut context()) {
        assert_eq!(told.ok(), Some(Event::Asks), "{endpoint:?}: something to tell");
    }
    Ok(session)
}

/// Bytes of each idle device with these settings; `None` if the raw target does not serve that.
async fn bytes_per_device(endpoint: &Endpoint, settings: Settings) -> Option<u64> {
    let mut sessions = Vec::with_capacity(2 * IDLE);
    for nth in 0..IDLE {
        sessions.push(idle(endpoint, &settings, nth).await.ok()?);
    }
    let before = held();
    for nth in IDLE..2 * IDLE {
        sessions.push(idle(endpoint, &settings, nth).await.unwrap());
    }
    Some((held() - before).div_ceil(IDLE) as u64)
}

#[test]
fn an_idle_device_takes_no_more_than_is_stated() {
    let addresses = match env::var(ADDRESSES) {
        Ok(addresses) => addresses.split(',').map(|text| text.parse().unwrap()).collect(),
        Err(_) => serve_raw(),
    };
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if elsewhere("an_idle_device_takes_no_more_than_is_stated", &shown.join(",")) {
        return;
    }
    for (driver, address) in TABLE.iter().zip(addresses) {
        let facts = driver.facts();
        let url = format!("{}://{address}{}", facts.target.schemes[0], facts.path.unwrap_or_default());
        let endpoint = Endpoint::resolve(facts.protocol, &url).unwrap();
        let mut counted = 0;
        for usage in
            Usage::every().into_iter().filter(|usage| usage.driver.facts().protocol == facts.protocol)
        {
            let name = usage.name();
            let Some(bytes) = block_on(bytes_per_device(&endpoint, usage.settings)) else { continue };
            println!("{name}: {bytes} bytes per idle device");
            assert!(bytes + BESIDES <= facts.idle_bytes, "{}: {bytes} bytes", facts.protocol);
            counted += 1;
        }
        assert!(counted > 0, "{}: its raw target serves none of its usages", facts.protocol);
    }
}
