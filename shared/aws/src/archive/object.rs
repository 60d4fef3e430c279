//! The form of an object of cold history: one zstd frame with a check sum, and in it lines of JSON, first a header and
//! then an entry each. Reading one is a pure function that takes any bytes: what is not whole, not what it is named, or
//! larger than it may be, is an error, and takes no more memory than a good one.

use std::io::{BufRead, BufReader, Read};

use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use serde::{Deserialize, Serialize};

/// Most bytes of an object as it is stored.
pub const MAX_STORED_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of its lines. The archiver fills one with 1 MiB, or with one entry of at most 128 KiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The logarithm of the most bytes that reading may look back, and so of the memory it takes: 4 MiB.
const WINDOW_LOG: u32 = 22;
/// The compression level: its default, about 400 MB/s, and a quarter of the size for chat in JSON.
const LEVEL: i32 = 3;
/// Which form this is.
const VERSION: u32 = 1;

/// Why an object cannot be read. Says where, and quotes nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// It is larger than any may be.
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// It is no frame, or not the whole of one, or has changed since.
    #[error("it is no whole zstd frame: {0}")]
    Frame(#[source] std::io::Error),
    /// More follows the frame.
    #[error("something follows its frame")]
    Trailing,
    /// A line is not what it should be.
    #[error("its line {0} is none of ours")]
    Line(usize),
    /// It is of another form.
    #[error("it has the form {0}, and not {VERSION}")]
    Version(u32),
    /// Its entries are not those that its name or its header says.
    #[error("it does not hold what it is named for")]
    Other,
}

#[derive(Serialize, Deserialize)]
struct Header {
    petrel: u32,
    conversation_id: ConversationId,
    first: Seq,
    last: Seq,
}

/// The object of a stretch: entries of one conversation, at least one, without a hole.
///
/// # Errors
/// If it is no stretch, or too large.
pub fn encode(stretch: &[Entry]) -> Result<Vec<u8>, Damaged> {
    let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
        return Err(Damaged::Other);
    };
    let header = Header {
        petrel: VERSION,
        conversation_id: first.conversation_id.clone(),
        first: first.seq,
        last: last.seq,
    };
    let mut lines = serde_json::to_vec(&header).map_err(|_| Damaged::Line(1))?;
    for (i, entry) in stretch.iter().enumerate() {
        lines.push(b'\n');
        serde_json::to_writer(&mut lines, entry).map_err(|_| Damaged::Line(i + 2))?;
    }
    check(&header, stretch)?;
    if lines.len() > MAX_BYTES {
        return Err(Damaged::TooLarge);
    }
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(Damaged::Frame)?;
    encoder.include_checksum(true).map_err(Damaged::Frame)?;
    std::io::Write::write_all(&mut encoder, &lines).map_err(Damaged::Frame)?;
    let bytes = encoder.finish().map_err(Damaged::Frame)?;
    if bytes.len() > MAX_STORED_BYTES { Err(Damaged::TooLarge) } else { Ok(bytes) }
}

/// The entries of the object of this conversation that is named by this last seq, oldest first.
///
/// # Errors
/// If it is not exactly what [`encode`] made.
pub fn decode(of: &ConversationId, last: Seq, bytes: &[u8]) -> Result<Vec<Entry>, Damaged> {
    if bytes.len() > MAX_STORED_BYTES {
        return Err(Damaged::TooLarge);
    }
    let mut frame = zstd::Decoder::with_buffer(bytes).map_err(Damaged::Frame)?.single_frame();
    frame.window_log_max(WINDOW_LOG).map_err(Damaged::Frame)?;
    let mut lines = BufReader::new((&mut frame).take(MAX_BYTES as u64 + 1));
    let (mut line, mut total, mut number) = (Vec::new(), 0, 0);
    let mut header: Option<Header> = None;
    let mut entries: Vec<Entry> = vec![];
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(Damaged::Frame)?;
        if read == 0 {
            break;
        }
        total += read;
        if total > MAX_BYTES {
            return Err(Damaged::TooLarge);
        }
        number += 1;
        let bad = |_| Damaged::Line(number);
        match &header {
            None => {
                let read: Header = serde_json::from_slice(&line).map_err(bad)?;
                if read.petrel != VERSION {
                    return Err(Damaged::Version(read.petrel));
                }
                if read.conversation_id != *of || read.last != last {
                    return Err(Damaged::Other);
                }
                header = Some(read);
            }
            Some(header) => {
                let entry: Entry = serde_json::from_slice(&line).map_err(bad)?;
                // At once, so that no more are kept than there may be.
                if entry.seq > header.last {
                    return Err(Damaged::Other);
                }
                entries.push(entry);
            }
        }
    }
    if !frame.finish().is_empty() {
        return Err(Damaged::Trailing);
    }
    let header = header.ok_or(Damaged::Line(1))?;
    check(&header, &entries)?;
    Ok(entries)
}

/// The entries are those that the header names, each once and in order.
fn check(header: &Header, entries: &[Entry]) -> Result<(), Damaged> {
    let ours = |e: &Entry| e.conversation_id == header.conversation_id;
    let whole = entries.first().is_some_and(|e| e.seq == header.first && e.seq > Seq::ZERO)
        && entries.last().is_some_and(|e| e.seq == header.last)
        && entries.is_sorted_by(|a, b| a.seq.next() == b.seq);
    if whole && entries.iter().all(ours) { Ok(()) } else { Err(Damaged::Other) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

    use petrel_core::ids::{MessageId, UserId};
    use petrel_core::message::Content;
    use uuid::Uuid;

    use super::*;

    fn of() -> ConversationId {
        ConversationId::parse("d:ana:bo").unwrap()
    }

    fn stretch(first: u64, last: u64, text: &str) -> Vec<Entry> {
        let entry = |seq| Entry {
            conversation_id: of(),
            seq: Seq::new(seq),
            ordinal: seq,
            message_id: MessageId::minted(Uuid::from_u128(u128::from(seq) | 7 << 76)),
            sender_id: UserId::parse("ana").unwrap(),
            sent_at: 1_790_000_000_000 + seq,
            content: Content::text(format!("{text} {seq}")),
            level: 0,
            edits: vec![],
        };
        (first..=last).map(entry).collect()
    }

    fn packed(lines: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut encoder, lines).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_goes_in_comes_out_and_is_smaller() {
        let stretch = stretch(501, 1_000, "line\nbreaks and \u{1f426} are content");
        let bytes = encode(&stretch).unwrap();
        let json: usize = stretch.iter().map(|e| serde_json::to_vec(e).unwrap().len()).sum();
        assert!(bytes.len() * 6 < json, "{} of {json}", bytes.len());
        assert_eq!(decode(&of(), Seq::new(1_000), &bytes).unwrap(), stretch);
    }

    #[test]
    fn no_byte_may_be_missing_or_other_than_it_was() {
        let stretch = stretch(1, 20, "x");
        let bytes = encode(&stretch).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&of(), Seq::new(20), &bytes[..length]).is_err(), "cut at {length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            // Some bits of a frame's header say nothing; then what comes out must be the same.
            if let Ok(read) = decode(&of(), Seq::new(20), &changed) {
                assert_eq!(read, stretch, "byte {at}");
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(decode(&of(), Seq::new(20), &longer), Err(Damaged::Trailing)));
        let twice = [bytes.clone(), bytes].concat();
        assert!(matches!(decode(&of(), Seq::new(20), &twice), Err(Damaged::Trailing)));
    }

    #[test]
    fn another_name_or_another_content_is_refused() {
        let bytes = encode(&stretch(1, 20, "x")).unwrap();
        let other = ConversationId::parse("d:ana:cy").unwrap();
        assert!(matches!(decode(&other, Seq::new(20), &bytes), Err(Damaged::Other)));
        assert!(matches!(decode(&of(), Seq::new(21), &bytes), Err(Damaged::Other)));
        let header = r#"{"petrel":1,"conversation_id":"d:ana:bo","first":1,"last":2}"#;
        let line = |seq: u64| serde_json::to_string(&stretch(seq, seq, "x")[0]).unwrap();
        let object = |lines: &[String]| packed(lines.join("\n").as_bytes());
        let read = |lines: &[String]| decode(&of(), Seq::new(2), &object(lines));
        let header = header.to_owned();
        assert!(read(&[header.clone(), line(1), line(2)]).is_ok());
        for bad in [
            vec![],
            vec![header.clone()],
            vec![header.clone(), line(1)],
            vec![header.clone(), line(2)],
            vec![header.clone(), line(2), line(1)],
            vec![header.clone(), line(1), line(1), line(2)],
            vec![header.clone(), line(1), line(2), line(3)],
            vec![header.clone(), line(1), "{}".into(), line(2)],
            vec![header.clone(), line(1).replace("d:ana:bo", "d:ana:cy"), line(2)],
            vec![header.replace("\"petrel\":1", "\"petrel\":2"), line(1), line(2)],
            vec![header.replace("\"first\":1", "\"first\":2"), line(1), line(2)],
            vec![line(1), line(2)],
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
        assert!(encode(&[]).is_err());
        let holed = [stretch(1, 1, "x"), stretch(3, 3, "x")].concat();
        assert!(encode(&holed).is_err());
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        // A gigabyte of blanks in a line that never ends, in some 30 KB.
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        let blanks = vec![b' '; 1 << 20];
        for _ in 0..1024 {
            std::io::Write::write_all(&mut encoder, &blanks).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 200_000);
        assert!(matches!(decode(&of(), Seq::new(1), &bomb), Err(Damaged::TooLarge)));
        let mut wide = zstd::Encoder::new(Vec::new(), 3).unwrap();
        wide.window_log(27).unwrap();
        std::io::Write::write_all(&mut wide, &blanks).unwrap();
        let wide = wide.finish().unwrap();
        assert!(matches!(decode(&of(), Seq::new(1), &wide), Err(Damaged::Frame(_))));
        let large = vec![0; MAX_STORED_BYTES + 1];
        assert!(matches!(decode(&of(), Seq::new(1), &large), Err(Damaged::TooLarge)));
    }
}
