//! The plain echo over TCP: sends back whatever comes.

use squall_peers::plain::{self, Codec};

#[derive(Default)]
struct Echo;

impl Codec for Echo {
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        output.extend_from_slice(input);
        Some(input.len())
    }
}

fn main() -> std::io::Result<()> {
    plain::serve::<Echo>()
}
