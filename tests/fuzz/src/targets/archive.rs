//! Objects of cold history: whatever lies in the bucket, reading it ends, takes no more memory than a good one, and yields what
//! an archiver could have written, or an error.

use std::io::Write;

use petrel_aws::archive::object;
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;

/// The conversation whose objects they are said to be, and what the first is named.
const OF: &str = "d:ana:bo";
const LAST: u64 = 2;
/// How often an input is repeated in one frame: a bomb.
const TIMES: usize = 1_024;

fn packed(lines: &[u8], times: usize) -> Vec<u8> {
    let mut frame = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    for _ in 0..times {
        frame.write_all(lines).expect("memory");
    }
    frame.finish().expect("memory")
}

/// What is read is a stretch that ends where its name says, and is written and read again as the same.
fn read(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (of, last) = (ConversationId::parse(OF).expect("an id"), Seq::new(LAST));
    let entries = object::decode(&of, last, bytes).ok()?;
    assert!(entries.iter().all(|e| e.conversation_id == of));
    assert!(entries.is_sorted_by(|a, b| a.seq.next() == b.seq));
    assert_eq!(entries.last().map(|e| e.seq), Some(last));
    let again = object::encode(&entries).expect("what was read can be written");
    assert_eq!(object::decode(&of, last, &again).expect("and read"), entries);
    Some(entries)
}

pub fn run(input: &[u8]) {
    read(input);
    let Some(good) = read(&packed(input, 1)) else {
        read(&packed(input, TIMES));
        return;
    };
    // Bytes of a good object that changed where it lies.
    let bytes = object::encode(&good).expect("what was read can be written");
    for (at, byte) in input.iter().take(64).enumerate() {
        let mut changed = bytes.clone();
        let place = (usize::from(*byte) * 7 + at * 31) % changed.len();
        changed[place] ^= byte | 1;
        if let Some(entries) = read(&changed) {
            assert_eq!(entries, good, "a check sum lets this through");
        }
    }
}
