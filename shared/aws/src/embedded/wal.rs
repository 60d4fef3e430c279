//! Whether a write-ahead log of SQLite is damaged before its end, or ends too early. SQLite itself takes the first frame
//! that does not fit for the end of the log, as it is after a crash, and drops what follows without a word: what was
//! acknowledged would be gone. The format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Begins the file; the last bit says in which byte order the sums are taken.
const MAGIC: u32 = 0x377f_0682;
/// As it is where another program opened and closed a database that a kill left, or an earlier version did.
const ENDS_EARLY: &str = "it ends before what was acknowledged (if another program has put all of it into the database \
                          since, remove the -mark beside it; otherwise what was acknowledged last is lost by that)";

/// How far a log reaches: what tells it from the one before it, and its frames. The default is the beginning of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// As they stand in the log. The first is one more each time that the log is begun again.
    pub salts: [u8; 8],
    /// Those of transactions that are committed.
    pub frames: u32,
}

impl Position {
    /// Whether a log with these salts was begun after this one, all of which is in the database then.
    fn is_before(&self, salts: &[u8]) -> bool {
        let later = number(salts).wrapping_sub(number(&self.salts));
        (1..1 << 31).contains(&later)
    }
}

/// The sums that SQLite keeps, over everything so far.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum {
    big_endian: bool,
    parts: (u32, u32),
}

impl Sum {
    fn over(mut self, bytes: &[u8]) -> Self {
        let word = |b: &[u8]| {
            let b = b.try_into().unwrap_or_default();
            if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
        };
        for pair in bytes.chunks_exact(8) {
            let (first, second) = pair.split_at(4);
            self.parts.0 = self.parts.0.wrapping_add(word(first)).wrapping_add(self.parts.1);
            self.parts.1 = self.parts.1.wrapping_add(word(second)).wrapping_add(self.parts.0);
        }
        self
    }

    fn stored(self, bytes: &[u8]) -> Self {
        Self { parts: (number(bytes), number(&bytes[4..])), ..self }
    }
}

/// The sum of these bytes alone.
pub fn sum(big_endian: bool, bytes: &[u8]) -> (u32, u32) {
    Sum { big_endian, parts: (0, 0) }.over(bytes).parts
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap_or_default())
}

/// Fills the buffer, unless the file ends before.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// What is wrong with the log in a file, which must reach as far as what was acknowledged. No file is an empty one.
///
/// A crash may leave one transaction half-written at the end: each one is synced before the next begins. So a frame that
/// does not fit, with two or more transactions behind it, is damage. Damage in the very last one is told from a crash only
/// by what was acknowledged.
///
/// # Errors
/// If the file cannot be read.
pub fn damage(file: &Path, acknowledged: Position) -> io::Result<Option<String>> {
    match File::open(file) {
        Ok(file) => damage_in(BufReader::new(file), acknowledged),
        Err(e) if e.kind() == ErrorKind::NotFound => damage_in(io::empty(), acknowledged),
        Err(e) => Err(e),
    }
}

fn damage_in(mut log: impl Read, acknowledged: Position) -> io::Result<Option<String>> {
    let needed = u64::from(acknowledged.frames);
    let mut reached = needed == 0;
    let ends = |reached: bool| (!reached).then(|| ENDS_EARLY.to_owned());
    let mut header = [0; HEADER];
    // All zeros: the file grew, and the machine lost its power before anything of it was synced.
    if !fill(&mut log, &mut header)? || header == [0; HEADER] {
        return Ok(ends(reached));
    }
    let big_endian = number(&header) & 1 == 1;
    let mut sum = Sum { big_endian, parts: (0, 0) }.over(&header[..24]);
    let page = usize::try_from(number(&header[8..])).unwrap_or_default();
    let sound = number(&header) & !1 == MAGIC
        && page.is_power_of_two()
        && (512..=65_536).contains(&page)
        && sum == sum.stored(&header[24..]);
    if !sound {
        return Ok(Some("its header is none".to_owned()));
    }
    let salt = &header[16..24];
    reached |= acknowledged.is_before(salt);
    let is_it = salt == acknowledged.salts;
    let mut frame = vec![0; FRAME_HEADER + page];
    let (mut count, mut broken, mut behind) = (0_u64, None, 0);
    while fill(&mut log, &mut frame)? {
        count += 1;
        let ours = &frame[8..16] == salt;
        let ends_transaction = number(&frame[4..]) != 0;
        let expected = sum.over(&frame[..8]).over(&frame[FRAME_HEADER..]);
        // What follows is summed up from what is stored, so that frames behind a broken one still fit each other.
        sum = sum.stored(&frame[16..]);
        let fits = ours && expected == sum;
        if !fits && broken.is_none() {
            broken = Some(count);
        } else if !fits {
            behind = 0;
        }
        if broken.is_none() && is_it && count == needed {
            reached = ends_transaction;
        }
        if broken.is_some() && ours && ends_transaction {
            behind += 1;
        }
        if behind >= 2 {
            let at = broken.unwrap_or(count);
            return Ok(Some(format!("its frame {at} does not fit, and more follows")));
        }
    }
    Ok(ends(reached))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// A log of transactions of two frames each.
    fn log(transactions: u32) -> Vec<u8> {
        let mut log = vec![];
        for n in [MAGIC | 1, 3_007_000, 512, 0, 7, 9] {
            log.extend(n.to_be_bytes());
        }
        let mut sum = Sum { big_endian: true, parts: (0, 0) }.over(&log);
        let end = |log: &mut Vec<u8>, sum: Sum| {
            log.extend(sum.parts.0.to_be_bytes());
            log.extend(sum.parts.1.to_be_bytes());
        };
        end(&mut log, sum);
        for n in 0..transactions * 2 {
            let start = [n + 1, n % 2 * (n + 1)].map(u32::to_be_bytes).concat();
            let data = [u8::try_from(n % 251).unwrap(); PAGE];
            sum = sum.over(&start).over(&data);
            log.extend(start);
            log.extend([7_u32, 9].map(u32::to_be_bytes).concat());
            end(&mut log, sum);
            log.extend(data);
        }
        log
    }

    fn found(log: &[u8]) -> Option<String> {
        damage_in(log, Position::default()).unwrap()
    }

    /// Whether it reaches so far, and nothing else is wrong with it.
    fn reaches(log: &[u8], salts: [u32; 2], frames: u32) -> bool {
        let salts = salts.map(u32::to_be_bytes).concat().try_into().unwrap();
        match damage_in(log, Position { salts, frames }).unwrap() {
            None => true,
            Some(reason) => {
                assert_eq!(reason, ENDS_EARLY);
                false
            }
        }
    }

    /// Where a frame's page begins, counted from 0.
    fn page_of(frame: usize) -> usize {
        HEADER + frame * (FRAME_HEADER + PAGE) + FRAME_HEADER
    }

    #[test]
    fn what_a_crash_leaves_is_no_damage() {
        let whole = log(5);
        assert_eq!(found(&whole), None);
        for length in [0, 10, HEADER, page_of(3), page_of(9) + 100] {
            assert_eq!(found(&whole[..length]), None, "cut at {length}");
        }
        assert_eq!(found(&[0; 4096]), None, "grown, and never synced");
        // The last transaction: its first page was not written, its end was.
        let mut torn = log(5);
        torn[page_of(8)..page_of(8) + PAGE].fill(0);
        assert_eq!(found(&torn), None);
        // Left of the time before the log was begun again.
        let mut older = log(5);
        for frame in 2..10 {
            older[page_of(frame) - 16] ^= 1;
        }
        assert_eq!(found(&older), None);
    }

    #[test]
    fn damage_before_the_last_transaction_is_found() {
        for frame in 0..8 {
            let mut damaged = log(5);
            damaged[page_of(frame) + 17] ^= 1;
            let says = format!("its frame {} does not fit, and more follows", frame + 1);
            assert_eq!(found(&damaged), Some(says));
        }
        let mut damaged = log(5);
        damaged[page_of(2) - 16..page_of(4)].fill(0xa5);
        assert!(found(&damaged).is_some(), "garbage over two frames");
        for at in [0, 9, 17, 25] {
            let mut damaged = log(5);
            damaged[at] ^= 0x40;
            assert_eq!(found(&damaged), Some("its header is none".to_owned()));
        }
    }

    #[test]
    fn a_log_that_ends_before_what_was_acknowledged_is_found() {
        let whole = log(5);
        for frames in (0..=10).step_by(2) {
            assert!(reaches(&whole, [7, 9], frames));
            let rest = &whole[..HEADER + usize::try_from(frames).unwrap() * (FRAME_HEADER + PAGE)];
            assert!(reaches(rest, [7, 9], frames), "cut behind it");
            assert!(frames == 0 || !reaches(&rest[..rest.len() - 1], [7, 9], frames), "cut in it");
        }
        assert!(!reaches(&whole, [7, 9], 12));
        assert!(!reaches(&whole, [7, 9], 9), "no transaction ends there");
        for log in [&[][..], &whole[..10], &whole[..HEADER], &[0; 4096]] {
            assert!(!reaches(log, [7, 9], 2));
            assert!(reaches(log, [7, 9], 0));
        }
        for frame in [8, 9] {
            let mut changed = log(5);
            changed[page_of(frame) + 17] ^= 1;
            assert!(!reaches(&changed, [7, 9], 10));
            assert!(reaches(&changed, [7, 9], 8), "a crash may leave that");
        }
    }

    #[test]
    fn only_a_log_that_was_begun_later_need_not_reach_so_far() {
        let whole = log(1);
        for earlier in [[6, 9], [6, 1], [7_u32.wrapping_sub(1 << 30), 0]] {
            assert!(reaches(&whole, earlier, 1_000), "{earlier:?}");
            assert!(reaches(&whole[..HEADER], earlier, 1_000), "{earlier:?}");
        }
        for other in [[8, 9], [7, 8], [1 << 30, 9]] {
            assert!(!reaches(&whole, other, 2), "{other:?}");
        }
        let before = Position { salts: [0xff; 8], frames: 2 };
        assert!(before.is_before(&[0; 8]), "they are counted around");
    }
}
