//! A small seeded generator (SplitMix64). Every choice of a run comes from one of these, so the run follows from its seed.

/// The source of every choice.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed ^ 0x7065_7472_656c_5349);
        dice.next();
        dice
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n` − 1; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// From `low` to `high`, each order of magnitude as likely as the next.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let mut top = low.max(1);
        let steps = (high / top).max(1).ilog2();
        top <<= self.below(u64::from(steps) + 1);
        self.between(low, (top * 2).clamp(low, high))
    }

    /// Whether it happens, so often in 10,000.
    pub fn chance(&mut self, of_10_000: u32) -> bool {
        self.below(10_000) < u64::from(of_10_000)
    }

    /// Whether it happens, in per cent.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.chance(percent * 100)
    }

    /// An index of a list of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// One of a list, unless it is empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.index(list.len()))
    }
}
