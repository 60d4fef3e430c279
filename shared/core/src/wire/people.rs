//! The bodies about profiles and blocks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{MediaId, UserId};
use crate::message::present;
use crate::people::{Audience, DisplayName, Profile, ProfileChange};
use crate::services::BlockPage;

/// `PATCH /api/profile`: what is absent stays, `null` takes away.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchProfile {
    /// What others see.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<DisplayName>"))]
    pub name: Option<Option<DisplayName>>,
    /// The picture.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<MediaId>"))]
    pub avatar: Option<Option<MediaId>>,
    /// Whether others are not told what the user has read.
    pub hide_read_receipts: Option<bool>,
    /// Who sees whether the user is online and when they last were.
    pub presence: Option<Audience>,
    /// Whether pushes to the user's phones leave out what was written.
    pub hide_previews: Option<bool>,
}

impl From<PatchProfile> for ProfileChange {
    fn from(patch: PatchProfile) -> Self {
        let PatchProfile { name, avatar, hide_read_receipts, presence, hide_previews } = patch;
        Self { name, avatar, hide_read_receipts, presence, hide_previews }
    }
}

/// What `GET` and `PATCH /api/profile` answer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnProfile {
    user_id: UserId,
    name: Option<DisplayName>,
    avatar: Option<MediaId>,
    hide_read_receipts: bool,
    presence: Audience,
    hide_previews: bool,
}

impl OwnProfile {
    /// The answer to this user.
    pub fn new(user_id: UserId, profile: Profile) -> Self {
        let Profile { name, avatar, hide_read_receipts, presence, hide_previews } = profile;
        Self { user_id, name, avatar, hide_read_receipts, presence, hide_previews }
    }
}

/// `POST /api/profiles`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostProfiles {
    /// Whose, 1 to 100.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub user_ids: Vec<UserId>,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ProfileAnswer {
    user_id: UserId,
    name: Option<DisplayName>,
    avatar: Option<MediaId>,
}

/// What a `POST /api/profiles` answers: each user once, in the order of their ids.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProfileList {
    profiles: Vec<ProfileAnswer>,
}

impl From<BTreeMap<UserId, Profile>> for ProfileList {
    fn from(profiles: BTreeMap<UserId, Profile>) -> Self {
        let answer = |(user_id, profile): (UserId, Profile)| ProfileAnswer {
            user_id,
            name: profile.name,
            avatar: profile.avatar,
        };
        Self { profiles: profiles.into_iter().map(answer).collect() }
    }
}

/// What a `GET /api/blocks` answers: at most 100.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockList {
    user_ids: Vec<UserId>,
    page: Option<UserId>,
}

impl From<BlockPage> for BlockList {
    fn from(blocked: BlockPage) -> Self {
        Self { user_ids: blocked.users, page: blocked.page }
    }
}
