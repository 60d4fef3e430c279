//! The clock, the ids and the dice of this machine.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use petrel_core::ports::World;
use uuid::Uuid;

/// The world as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWorld;

#[async_trait]
impl World for SystemWorld {
    fn now_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970.
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> u128 {
        // 122 bits of the system's randomness.
        Uuid::new_v4().as_u128()
    }

    fn jitter(&self, below: u64) -> u64 {
        if below == 0 { 0 } else { fastrand::u64(..below) }
    }

    async fn pause(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_below() {
        assert_eq!(SystemWorld.jitter(0), 0);
        assert_eq!(SystemWorld.jitter(1), 0);
        assert!((0..1_000).all(|_| SystemWorld.jitter(3) < 3));
    }

    #[test]
    fn ids_are_of_now() {
        let before = SystemWorld.now_ms();
        let id = SystemWorld.new_id();
        assert_eq!(id.get_version_num(), 7);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let minted = seconds * 1_000 + u64::from(nanos) / 1_000_000;
        assert!((before..=SystemWorld.now_ms()).contains(&minted));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_takes_its_time() {
        let before = tokio::time::Instant::now();
        SystemWorld.pause(1_500).await;
        assert_eq!(before.elapsed(), Duration::from_millis(1_500));
    }
}
