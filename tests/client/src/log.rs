//! The log of one conversation as a device holds it: each entry once, in the order of seq, and what came too early apart
//! until the hole before it is filled.

use std::collections::BTreeMap;

/// A log of entries of whatever kind.
#[derive(Debug)]
pub struct Log<E> {
    entries: Vec<E>,
    ahead: BTreeMap<u64, E>,
    doubled: usize,
    floor: u64,
}

impl<E> Default for Log<E> {
    fn default() -> Self {
        Self { entries: vec![], ahead: BTreeMap::new(), doubled: 0, floor: 0 }
    }
}

impl<E: PartialEq> Log<E> {
    /// An empty log that begins above this seq.
    pub fn above(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Takes an entry. Whether it was new.
    ///
    /// # Errors
    /// When another entry is held at its place.
    pub fn take(&mut self, seq: u64, entry: E) -> Result<bool, String> {
        if seq <= self.floor {
            return Ok(false);
        }
        let at = usize::try_from(seq - self.floor - 1).unwrap_or(usize::MAX);
        if let Some(held) = self.entries.get(at).or_else(|| self.ahead.get(&seq)) {
            self.doubled += 1;
            if *held != entry {
                return Err(format!("two entries with one seq: {seq}"));
            }
            return Ok(false);
        }
        self.ahead.insert(seq, entry);
        while let Some(entry) = self.ahead.remove(&(self.last() + 1)) {
            self.entries.push(entry);
        }
        Ok(true)
    }

    /// Where it begins: 0, or just below the first entry that this device may have.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The highest seq below which nothing is missing.
    pub fn last(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    /// The entries, in order and without a hole.
    pub fn entries(&self) -> &[E] {
        &self.entries
    }

    /// The places of the entries that wait behind a hole.
    pub fn ahead(&self) -> impl Iterator<Item = u64> {
        self.ahead.keys().copied()
    }

    /// How many entries came again.
    pub fn doubled(&self) -> usize {
        self.doubled
    }
}
