//! The plain HTTP/1.1 target: every request is answered with the same 200, on connections that stay.
//!
//! `GET /reset` begins to keep the instants of arrival, `GET /judge?<rate>` tells how even they were.

use std::cell::RefCell;

use squall_peers::plain::{self, Codec};
use squall_peers::stamps::Stamps;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

thread_local! {
    static STAMPS: RefCell<Stamps> = RefCell::default();
}

#[derive(Default)]
struct Http;

impl Codec for Http {
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let mut taken = 0;
        while let Some(size) = request(&input[taken..])? {
            let bytes = &input[taken..taken + size];
            if bytes.starts_with(b"GET /") {
                control(bytes, output);
            } else {
                STAMPS.with_borrow_mut(Stamps::note);
                output.extend_from_slice(ANSWER);
            }
            taken += size;
        }
        Some(taken)
    }
}

fn control(bytes: &[u8], output: &mut Vec<u8>) {
    let line = std::str::from_utf8(bytes).unwrap_or_default().lines().next().unwrap_or_default();
    let target = line.split(' ').nth(1).unwrap_or_default();
    let body = match target.split_once('?') {
        Some(("/judge", rate)) => STAMPS.with_borrow(|stamps| stamps.judge(rate.parse().unwrap_or(1.0))),
        _ => {
            STAMPS.with_borrow_mut(Stamps::reset);
            "{}".to_owned()
        }
    };
    output.extend_from_slice(
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
    );
}

/// The size of the first request, `Some(None)` if it is not there whole, `None` if it is none.
#[expect(clippy::option_option, reason = "three answers, told apart where they are used")]
fn request(bytes: &[u8]) -> Option<Option<usize>> {
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Some(None) };
    let fields = &bytes[..head];
    let length = match find_field(fields) {
        Some(digits) => std::str::from_utf8(digits).ok()?.trim().parse().ok()?,
        None => 0_usize,
    };
    let size = head + 4 + length;
    Some((bytes.len() >= size).then_some(size))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The value of Content-Length, whatever its case.
fn find_field(fields: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"content-length:";
    fields.split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    })
}

fn main() -> std::io::Result<()> {
    plain::serve::<Http>()
}
