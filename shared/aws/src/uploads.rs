//! Uploads in the conversations table: one item each, and one for each user who may send another's.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{MediaId, UserId};
use petrel_core::media::{ContentType, File, Keep, Sha256, Upload, UploadState};
use petrel_core::ports::Uploads;

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, LIMIT, unless, within};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;

const fn state_name(state: UploadState) -> &'static str {
    match state {
        UploadState::Waiting => "waiting",
        UploadState::Pending => "pending",
        UploadState::Clean => "clean",
        UploadState::Blocked => "blocked",
    }
}

fn read_state(item: &Item) -> Result<UploadState> {
    match text(item, keys::STATE)? {
        "waiting" => Ok(UploadState::Waiting),
        "pending" => Ok(UploadState::Pending),
        "clean" => Ok(UploadState::Clean),
        "blocked" => Ok(UploadState::Blocked),
        _ => Err(malformed(keys::STATE)),
    }
}

fn upload_key(owner: &UserId, id: &MediaId) -> Item {
    item([(keys::PK, s(keys::upload(id))), (keys::SK, s(keys::user(owner)))])
}

fn loan_key(id: &MediaId, user: &UserId) -> Item {
    item([(keys::PK, s(keys::upload(id))), (keys::SK, s(keys::loan(user)))])
}

fn write(upload: &Upload) -> Item {
    let mut new = upload_key(&upload.owner, &upload.id);
    new.extend(item([
        (keys::CONTENT_TYPE, s(upload.file.content_type.as_str())),
        (keys::SIZE, n(upload.file.size)),
        (keys::SHA256, s(upload.file.sha256.as_str())),
        (keys::STATE, s(state_name(upload.state))),
        (keys::SHOWN, AttributeValue::Bool(upload.avatar)),
    ]));
    new.extend(upload.expires_at_s.map(|end| (keys::TTL.to_owned(), n(end))));
    new
}

fn read(id: &MediaId, item: &Item) -> Result<Upload> {
    read_fields(id, item).map_err(|error| at(item, &[keys::PK, keys::SK], &error))
}

fn read_fields(id: &MediaId, item: &Item) -> Result<Upload> {
    let Some(AttributeValue::Bool(avatar)) = item.get(keys::SHOWN) else {
        return Err(malformed(keys::SHOWN));
    };
    let expires_at_s = item.contains_key(keys::TTL).then(|| number(item, keys::TTL)).transpose()?;
    let owner = text(item, keys::SK)?.strip_prefix(keys::USER);
    let owner = owner.ok_or_else(|| malformed(keys::SK))?;
    Ok(Upload {
        id: id.clone(),
        owner: UserId::parse(owner).map_err(Error::port)?,
        file: File {
            content_type: ContentType::parse(text(item, keys::CONTENT_TYPE)?)
                .map_err(Error::port)?,
            size: number(item, keys::SIZE)?,
            sha256: Sha256::parse(text(item, keys::SHA256)?).map_err(Error::port)?,
        },
        state: read_state(item)?,
        avatar: *avatar,
        expires_at_s,
    })
}

impl Dynamo {
    async fn keep_until(
        &self,
        owner: &UserId,
        id: &MediaId,
        now_s: u64,
        keep: Keep,
    ) -> Result<bool> {
        // DynamoDB removes what has run out some time later: until then it is there, and gone for us.
        let (change, condition) = match keep {
            Keep::Until(_) => ("SET #t = :end", "#s <> :blocked AND #t > :now AND #t < :end"),
            Keep::Shown => (
                "SET #a = :shown REMOVE #t",
                "attribute_exists(#s) AND #s <> :blocked AND (attribute_not_exists(#t) OR #t > :now)",
            ),
        };
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.conversations)
            .set_key(Some(upload_key(owner, id)))
            .update_expression(change)
            .condition_expression(condition)
            .expression_attribute_names("#s", keys::STATE)
            .expression_attribute_names("#t", keys::TTL)
            .expression_attribute_values(":blocked", s(state_name(UploadState::Blocked)))
            .expression_attribute_values(":now", n(now_s));
        let update = match keep {
            Keep::Until(end) => update.expression_attribute_values(":end", n(end)),
            Keep::Shown => update
                .expression_attribute_names("#a", keys::SHOWN)
                .expression_attribute_values(":shown", AttributeValue::Bool(true)),
        };
        if unless(update.send().await, &[CHECK_FAILED])?.is_some() {
            return Ok(true);
        }
        let Keep::Until(end) = keep else { return Ok(false) };
        // It may be kept for as long already.
        let upload = self.upload(id).await?;
        Ok(upload.is_some_and(|upload| {
            upload.owner == *owner
                && upload.state != UploadState::Blocked
                && upload.expires_at_s.is_none_or(|its| its >= end && its > now_s)
        }))
    }
}

#[async_trait]
impl Uploads for Dynamo {
    async fn announce(&self, upload: &Upload) -> Result<()> {
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(write(upload))).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>> {
        // Its owner is in the sort key, and not asked for: so a stream that shows keys only tells whose it was.
        let found = self.partition(&keys::upload(id), keys::USER, None, 1).await?;
        found.first().map(|item| read(id, item)).transpose()
    }

    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool> {
        let names: Vec<_> = (0..from.len()).map(|i| format!(":from{i}")).collect();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.conversations)
            .set_key(Some(upload_key(owner, id)))
            .update_expression("SET #s = :to")
            .condition_expression(format!("#s IN ({})", names.join(", ")))
            .expression_attribute_names("#s", keys::STATE)
            .expression_attribute_values(":to", s(state_name(to)));
        for (name, state) in names.into_iter().zip(from) {
            update = update.expression_attribute_values(name, s(state_name(*state)));
        }
        Ok(unless(update.send().await, &[CHECK_FAILED])?.is_some())
    }

    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool> {
        within(LIMIT, self.keep_until(owner, id, now_s, keep)).await
    }

    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.tables.conversations);
        delete.set_key(Some(upload_key(owner, id))).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()> {
        let mut loan = loan_key(id, user);
        loan.insert(keys::TTL.to_owned(), n(until_s));
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(loan)).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>> {
        let found = self.get(&self.tables.conversations, loan_key(id, user)).await?;
        found.map(|item| number(&item, keys::TTL)).transpose()
    }
}

#[cfg(feature = "server")]
impl Dynamo {
    /// Uploads that have run out by now (s since 1970), with their owners. Reads the whole table: for a table on this
    /// machine, which has no TTL that removes them and no stream that tells of it.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn expired_uploads(&self, now_s: u64) -> Result<Vec<(UserId, MediaId)>> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.tables.conversations)
            .filter_expression("begins_with(#pk, :file) AND #ttl <= :now")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_names("#ttl", keys::TTL)
            .expression_attribute_values(":file", s(keys::FILE))
            .expression_attribute_values(":now", n(now_s))
            .into_paginator()
            .send();
        let mut found = vec![];
        while let Some(page) = pages.next().await {
            for item in page.map_err(Error::port)?.items.unwrap_or_default() {
                found.extend(keys::read_upload(text(&item, keys::PK)?, text(&item, keys::SK)?));
            }
        }
        Ok(found)
    }
}
