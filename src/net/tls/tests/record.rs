//! Records that come in parts, writes that do not fit, and the ways a connection ends.

use std::future::poll_fn;
use std::io;

use tokio::io::AsyncWrite;

use super::*;

/// What the stream holds for itself.
fn held(stream: &Connection) -> usize {
    stream.held()
}

#[test]
fn a_long_record_in_slices_of_two_bytes_is_whole_and_memory_shrinks_again() {
    let pki = Pki::new();
    block_on(async {
        let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
        // Tickets first.
        while glance(&mut client).is_some() {}
        let message = vec![7; 16 * 1024];
        peer.tls.writer().write_all(&message).unwrap();
        let record = peer.waiting();
        assert!(record.len() > message.len());
        let (slices, last) = record.as_chunks::<2>();
        let mut heard = Vec::new();
        for (nth, slice) in slices.iter().enumerate() {
            peer.socket.write_all(slice).await.unwrap();
            match glance(&mut client) {
                None => assert!(held(&client) <= 17 * 1024, "{nth}"),
                Some(read) => heard.extend(read.unwrap()),
            }
            let whole = (nth + 1) * 2 == record.len();
            assert!(whole || heard.is_empty(), "half a record is not a message");
        }
        peer.socket.write_all(last).await.unwrap();
        while heard.len() < message.len() {
            heard.extend(glance(&mut client).unwrap_or(Ok(Vec::new())).unwrap());
        }
        assert_eq!(heard, message);
        assert_eq!(held(&client), 0);
    });
}

#[test]
fn records_that_reads_cut_anywhere_are_told_whole_and_in_their_order() {
    let pki = Pki::new();
    block_on(async {
        let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
        while glance(&mut client).is_some() {}
        for cut in [1, 4, 5, 60, 141, 142, 143, 200, 283] {
            for message in [[1; 120], [2; 120]] {
                peer.tls.writer().write_all(&message).unwrap();
            }
            let records = peer.waiting();
            assert_eq!(
                records.len(),
                2 * 142,
                "each has a header of 5 bytes, a byte for its type and a tag of 16"
            );
            let mut heard = Vec::new();
            for (part, whole) in [(&records[..cut], cut / 142), (&records[cut..], 2)] {
                peer.socket.write_all(part).await.unwrap();
                loop {
                    while let Some(read) = glance(&mut client) {
                        heard.extend(read.unwrap());
                    }
                    if heard.len() >= whole * 120 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                assert_eq!(heard.len(), whole * 120, "cut at {cut}");
            }
            assert_eq!(heard, [[1; 120], [2; 120]].concat(), "cut at {cut}");
            assert_eq!(held(&client), 0, "cut at {cut}");
        }
    });
}

#[test]
fn an_end_without_goodbye_is_a_reset_and_one_with_it_the_end_of_the_stream() {
    let pki = Pki::new();
    block_on(async {
        for polite in [true, false] {
            let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
            peer.say(b"last").await;
            if polite {
                peer.tls.send_close_notify();
                peer.flush().await;
            }
            peer.socket.shutdown().await.unwrap();
            let mut heard = Vec::new();
            let read = client.read_to_end(&mut heard).await;
            assert_eq!(heard, b"last");
            match read {
                Ok(_) => assert!(polite),
                Err(error) => {
                    assert!(!polite && error.kind() == io::ErrorKind::ConnectionReset, "{error:?}");
                    assert_eq!(TlsFailure::of(&error), None, "a reset is none of TLS' own failures");
                }
            }
        }
    });
}

/// Writes until nothing more fits, and gives how much was taken.
async fn fill(client: &mut Connection, message: &[u8]) -> usize {
    let mut taken = 0;
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut *client).poll_write(cx, &message[taken..]) {
                Poll::Ready(written) => taken += written.unwrap(),
                Poll::Pending => return Poll::Ready(()),
            }
        }
    })
    .await;
    taken
}

#[test]
fn what_did_not_fit_goes_on_by_reading_alone_and_is_owed_to_its_writer() {
    let pki = Pki::new();
    block_on(async {
        let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
        let message: Vec<u8> = (0..16_000_000_u32).map(|at| at as u8).collect();
        let taken = fill(&mut client, &message).await;
        assert!(taken < message.len(), "the socket never fills");
        // The writer polls to read only, as a session does that has nothing more to say.
        let mut heard = Vec::new();
        let mut bytes = [0; 64];
        let owed = loop {
            tokio::select! {
                biased;
                more = peer.hear(1) => heard.extend(more),
                _ = client.read(&mut bytes) => unreachable!("the server says nothing"),
            }
            if heard.len() > taken {
                break heard.len() - taken;
            }
        };
        let written = poll_fn(|cx| Pin::new(&mut client).poll_write(cx, &message[taken..])).await.unwrap();
        assert!(written >= owed, "{written} of {owed}");
        while heard.len() < taken + written {
            heard.extend(peer.hear(1).await);
        }
        assert_eq!(heard, message[..taken + written], "nothing is lost and nothing comes twice");
        assert_eq!(held(&client), 0);
    });
}

#[test]
fn keys_are_renewed_in_the_midst_of_messages_on_both_sides() {
    let pki = Pki::new();
    block_on(async {
        let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
        for round in 0..3_u8 {
            // Asks the client to renew its own keys too.
            peer.tls.refresh_traffic_keys().unwrap();
            let (spoken, mut heard) = ([round; 9], [0; 4]);
            let (read, ()) = tokio::join!(client.read_exact(&mut heard), peer.say(&spoken[..4]));
            read.unwrap();
            assert_eq!(heard, [round; 4]);
            let (sent, heard) = tokio::join!(client.write_all(&spoken), peer.hear(9));
            sent.unwrap();
            assert_eq!(heard, [round; 9]);
        }
    });
}

#[test]
fn a_record_that_was_changed_on_its_way_ends_the_connection() {
    let pki = Pki::new();
    block_on(async {
        let (mut client, mut peer) = connected(&pki.server(), &device(&pki)).await;
        peer.flush().await;
        peer.tls.writer().write_all(b"hello").unwrap();
        let mut record = peer.waiting();
        *record.last_mut().unwrap() ^= 1;
        peer.socket.write_all(&record).await.unwrap();
        let error = client.read(&mut [0; 64]).await.unwrap_err();
        assert!(TlsFailure::of(&error).unwrap().sentence().starts_with("TLS failed"), "{error}");
    });
}
