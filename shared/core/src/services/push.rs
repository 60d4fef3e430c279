//! Waking phones. A push is a hint: what it announces lies in the log, and a device that syncs needs none.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{self, Either};
use futures::stream::{self, StreamExt};

use super::cold::Ends;
use super::connect::MAX_DEVICES;
use super::deliver::{MAX_ATTEMPTS, put_back_delay_s};
use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::{ConversationId, DeviceId, Seq, UserId};
use crate::limits::Use;
use crate::message::{Content, Entry};
use crate::metrics::{Count, Timing};
use crate::mutants::mutant;
use crate::people::Profile;
use crate::ports::{Endpoint, Job, Notification, Platform, Pushed, UserConversation};

/// Longest preview, characters.
const MAX_PREVIEW: usize = 120;
/// Users whose unread messages are counted at once.
const CONCURRENT_BADGES: usize = 8;
/// Most time that badges may keep a push waiting, ms. Whose is not counted by then gets a push without one.
const MAX_BADGES_MS: u64 = 2_000;
/// Longest device token, bytes.
const MAX_TOKEN_BYTES: usize = 4096;

impl App {
    /// Sets where a device of the caller takes pushes.
    ///
    /// # Errors
    /// `bad_request` for a token or a platform that the push service refuses, and past [`MAX_DEVICES`]; `busy`.
    pub async fn set_push(
        &self,
        caller: &Caller,
        device: DeviceId,
        platform: Platform,
        token: &str,
    ) -> Result<()> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return Err(Error::bad_request(format!("token is 1 to {MAX_TOKEN_BYTES} bytes")));
        }
        self.spend(&caller.user, Use::Requests, 1)?;
        let user = caller.user.clone();
        let stands = self.connections.account(&user).await?.devices.endpoints;
        let is_new = stands.iter().all(|e| e.device != device);
        if is_new && stands.len() >= MAX_DEVICES {
            return Err(too_many());
        }
        let id = self.notifier.endpoint(platform, token, &user).await?;
        let endpoint = Endpoint { user, device, id };
        // What the device had until now is nobody's.
        if let Some(replaced) = self.connections.set_endpoint(&endpoint).await?
            && !mutant!(ReplacedStays)
        {
            self.forget_endpoint(&replaced).await;
        }
        // Others may have come meanwhile: whoever finds too many takes himself off again.
        if is_new
            && self.connections.account(&endpoint.user).await?.devices.endpoints.len() > MAX_DEVICES
        {
            self.take_endpoint_off(&endpoint).await?;
            return Err(too_many());
        }
        Ok(())
    }

    /// A device of the caller takes no more pushes, and the push service forgets it, if it can be reached. May be repeated.
    ///
    /// # Errors
    /// `busy`.
    pub async fn remove_push(&self, caller: &Caller, device: &DeviceId) -> Result<()> {
        self.spend_request(caller)?;
        // Also of who has just been disabled: what stands here is his when he is let in again.
        let devices = self.connections.account(&caller.user).await?.devices;
        for endpoint in devices.endpoints.iter().filter(|e| e.device == *device) {
            if mutant!(RemovedStays) {
                self.forget_endpoint(endpoint).await;
                continue;
            }
            self.take_endpoint_off(endpoint).await?;
        }
        Ok(())
    }

    /// Takes an endpoint off its device, and lets the push service forget it. That first: whoever dies in between leaves a
    /// row whose next push finds nobody, and goes then; the other way round, nobody would know of the endpoint any more.
    pub(super) async fn take_endpoint_off(&self, endpoint: &Endpoint) -> Result<()> {
        if mutant!(RowGoesFirst) {
            self.connections.remove_endpoint(endpoint).await?;
        }
        if mutant!(SignOutNeedsPushService) {
            self.notifier.remove(&endpoint.id).await?;
        }
        self.forget_endpoint(endpoint).await;
        self.connections.remove_endpoint(endpoint).await
    }

    /// Lets the push service forget an endpoint. Should that fail, whoever signs out is signed out all the same: pushes come to
    /// those alone whose row stands here, and an operator finds by the log what is left there.
    async fn forget_endpoint(&self, endpoint: &Endpoint) {
        if let Err(error) = self.notifier.remove(&endpoint.id).await {
            self.metrics.count(Count::Failures, 1);
            let (user, device) = (endpoint.user.as_str(), endpoint.device.as_str());
            let error = error.with_causes();
            tracing::error!(user, device, error, "an endpoint is left at the push service");
        }
    }

    /// Pushes to the phones of these users, except of those who have the entry by now, may not read it, or
    /// want to hear nothing of the conversation and are not mentioned. Endpoints
    /// that are disabled are removed, at the push service too. This is what the push function runs for each job.
    ///
    /// # Errors
    /// `busy` when a row, the entry or an endpoint cannot be read, or when the push service is still overloaded after
    /// the last attempt.
    pub async fn push(
        &self,
        to: Vec<UserId>,
        conversation: &ConversationId,
        seq: Seq,
        attempt: u8,
    ) -> Result<()> {
        self.about(conversation, Some(seq));
        let taken = self.world.now_ms();
        let found = self.log.newest(conversation, seq, Some(seq.next()), 1).await?;
        let Some(entry) = found.into_iter().next() else { return Ok(()) };
        if attempt == 0 {
            self.metrics.time(Timing::PushAge, taken.saturating_sub(entry.sent_at));
        }
        // Nothing is announced that was deleted meanwhile, and of what was edited what it says now.
        let Some(says) = self.said(&entry).await? else { return Ok(()) };
        let words = words(&says);
        // After what is said: who is out by now is told nothing that was written since.
        let (rows, devices) =
            futures::join!(self.conversations.rows_of(conversation, &to), self.connections.of(&to));
        let rows: BTreeMap<UserId, _> = rows?.into_iter().collect();
        let mentioned = |user: &UserId| entry.mentions(user);
        let quiet = |row: &UserConversation, user: &UserId| {
            row.own.is_quiet(taken)
                && !mutant!(MutedWoken)
                && (!mentioned(user) || mutant!(MentionIgnored))
        };
        let waiting = |user: &UserId| {
            rows.get(user).is_some_and(|row| {
                row.joined <= seq && row.marks.delivered < seq && !quiet(row, user)
            })
        };
        let mut devices = devices?;
        if mutant!(PushSkipsOnline) {
            let online = |u: &UserId| devices.connections.iter().any(|c| c.user == *u);
            devices.endpoints.retain(|e| !online(&e.user));
        }
        let endpoints = devices.endpoints;
        let delivered = |user: &UserId| rows.get(user).is_some_and(|r| r.marks.delivered >= seq);
        let skipped = endpoints.iter().filter(|e| delivered(&e.user)).count() as u64;
        self.metrics.count(Count::PushesSkipped, skipped);
        let endpoints: Vec<_> = endpoints.into_iter().filter(|e| waiting(&e.user)).collect();
        let users: BTreeSet<&UserId> = endpoints.iter().map(|e| &e.user).collect();
        let (badges, profiles) = futures::join!(
            self.badges(users.iter().copied()),
            self.push_profiles(&entry.sender_id, &users)
        );
        let sender = profiles.get(&entry.sender_id).cloned().unwrap_or_default();
        let sender_name = sender.name.map(|name| name.to_string());
        // Of whom nothing was found nothing is known, also not that he wants to show it.
        let shows = |user: &UserId| {
            self.settings.push_preview
                && profiles.get(user).is_some_and(|p| !p.hide_previews || mutant!(PreviewShown))
        };
        let notification = |user: &UserId| Notification {
            conversation_id: conversation.clone(),
            seq,
            sender_id: entry.sender_id.clone(),
            sender_name: sender_name.clone(),
            sender_avatar: sender.avatar.clone(),
            preview: words.clone().filter(|_| shows(user)),
            badge: badges.get(user).copied().flatten(),
            mentioned: mentioned(user),
        };
        let pushes = endpoints.iter().map(|endpoint| {
            let notification = notification(&endpoint.user);
            async move { (endpoint, self.notifier.push(&endpoint.id, &notification).await) }
        });
        let mut later = BTreeSet::new();
        for (endpoint, pushed) in futures::future::join_all(pushes).await {
            match pushed {
                Pushed::Accepted => self.metrics.count(Count::Pushes, 1),
                // Left for the next push if it fails.
                Pushed::Disabled if mutant!(DisabledStays) => {}
                Pushed::Disabled => drop(self.take_endpoint_off(endpoint).await),
                Pushed::Later => {
                    self.metrics.count(Count::PushFailures, 1);
                    later.insert(endpoint.user.clone());
                }
            }
        }
        if later.is_empty() {
            return Ok(());
        }
        if attempt >= MAX_ATTEMPTS {
            return Err(Error::port("the push service is overloaded"));
        }
        let job = Job::Push {
            to: later.into_iter().collect(),
            conversation: conversation.clone(),
            seq,
            attempt: attempt + 1,
        };
        self.jobs.enqueue(vec![job], put_back_delay_s(attempt)).await
    }

    /// What an entry says by now, if it was not deleted.
    async fn said(&self, entry: &Entry) -> Result<Option<Content>> {
        if matches!(entry.content, Content::Gone { .. }) {
            return Ok(None);
        }
        let Some(last) = entry.edits.last() else { return Ok(Some(entry.content.clone())) };
        let edit = self.log.newest(&entry.conversation_id, *last, Some(last.next()), 1).await?;
        // Whoever deletes what was edited leaves edits of nothing.
        let says = |it: &Content| matches!(it, Content::Edit { text, .. } if !text.is_empty());
        Ok(edit.into_iter().map(|edit| edit.content).find(says))
    }

    /// What a phone calls the sender, and whether these users want to see what was written; in one call for most. If that
    /// fails, a push without either is better than none.
    async fn push_profiles(
        &self,
        sender: &UserId,
        users: &BTreeSet<&UserId>,
    ) -> BTreeMap<UserId, Profile> {
        if users.is_empty() {
            return BTreeMap::new();
        }
        let mut wanted = BTreeSet::from([sender]);
        if self.settings.push_preview {
            wanted.extend(users);
        }
        let wanted: Vec<UserId> = wanted.into_iter().cloned().collect();
        self.recent_profiles_of(&wanted).await.unwrap_or_default()
    }

    /// What the icons of these users' phones show.
    async fn badges(&self, users: impl Iterator<Item = &UserId>) -> BTreeMap<UserId, Option<u64>> {
        if !self.settings.push_badge {
            return BTreeMap::new();
        }
        let users: BTreeSet<UserId> = users.cloned().collect();
        if users.is_empty() {
            return BTreeMap::new();
        }
        let ends = &Ends::default();
        let badges: Vec<_> = users
            .into_iter()
            .map(|user| async move {
                let badge = self.badge(&user, ends).await;
                (user, badge)
            })
            .collect();
        let mut counted = stream::iter(badges).buffer_unordered(CONCURRENT_BADGES);
        let mut found = BTreeMap::new();
        let mut late = self.world.pause(MAX_BADGES_MS);
        while let Either::Left((Some((user, badge)), _)) =
            future::select(counted.next(), late.as_mut()).await
        {
            found.insert(user, badge);
        }
        found
    }
}

fn too_many() -> Error {
    let words = format!("at most {MAX_DEVICES} devices of a user take pushes; remove one first");
    Error::bad_request(words)
}

/// The first words of what a person wrote in the clear.
fn words(says: &Content) -> Option<String> {
    let written = match says {
        Content::Text { text, .. }
        | Content::Reply { text, .. }
        | Content::Edit { text, .. }
        | Content::Notice { text } => Some(text),
        Content::Media { caption, .. } => caption.as_ref(),
        _ => None,
    };
    written.map(|text| text.chars().take(MAX_PREVIEW).collect())
}
