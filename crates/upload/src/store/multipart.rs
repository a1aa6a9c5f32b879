//! Files that are too large for one request: sent in parts, each checked, a few at a time.

use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Attributes, Condition, PART, Store, metadata};
use crate::digest::{self, Digest};
use crate::err::{Cause, StoreError};
use crate::{keys, local};

/// Parts under way at once: what is held in memory of a file.
const PARTS_AT_ONCE: usize = 3;

/// Most parts that the S3 API allows.
const MOST_PARTS: usize = 10_000;

impl Store {
    /// Sends a file in parts. What was sent is given up where it cannot be finished.
    pub(super) async fn put_parts(
        &self,
        key: &str,
        path: &Path,
        digests: &(Digest, Vec<[u8; 16]>),
        condition: Condition<'_>,
        attributes: Attributes,
        sent: &dyn Fn(u64),
    ) -> Result<(), StoreError> {
        let doing = || format!("write {key}");
        if digests.1.len() > MOST_PARTS {
            let most = PART * MOST_PARTS as u64;
            let detail = format!("larger than {most} bytes, which is all that a store takes");
            return Err(StoreError::new(doing(), Cause::Local, detail));
        }
        let begun = self
            .retried(async || {
                self.client()
                    .create_multipart_upload()
                    .bucket(&self.target.bucket)
                    .key(self.key(key))
                    .content_type(keys::content_type(key))
                    .cache_control(keys::cache_control(key))
                    .set_metadata(Some(metadata(&digests.0, attributes)))
                    .set_acl(self.acl(attributes))
                    .send()
                    .await
                    .map_err(|error| self.failed(doing(), &error))
            })
            .await?;
        let Some(id) = begun.upload_id() else {
            return Err(StoreError::new(doing(), Cause::Other, "the store gave no upload id"));
        };
        let done = self.send_parts(key, path, digests, id, condition, sent).await;
        if done.is_err() {
            // What stays is not seen by readers; the store's own rules for abandoned parts remove
            // it in the end.
            let _ = self
                .client()
                .abort_multipart_upload()
                .bucket(&self.target.bucket)
                .key(self.key(key))
                .upload_id(id)
                .send()
                .await;
        }
        done
    }

    async fn send_parts(
        &self,
        key: &str,
        path: &Path,
        (digest, md5s): &(Digest, Vec<[u8; 16]>),
        id: &str,
        condition: Condition<'_>,
        sent: &dyn Fn(u64),
    ) -> Result<(), StoreError> {
        let doing = || format!("write {key}");
        let of_file =
            |error: local::LocalError| StoreError::new(doing(), Cause::Local, error.to_string());
        let (file, _) = local::open(path).map_err(of_file)?;
        let file = &file;
        let parts = stream::iter(md5s.iter().zip(0u64..).map(|(md5, index)| async move {
            let offset = index * PART;
            let length = (digest.size - offset).min(PART);
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let bytes = local::piece(path, file, offset, usize::try_from(length).unwrap_or(0))
                .map_err(of_file)?;
            let part = self.send_part(key, id, number, bytes, md5).await?;
            sent(length);
            Ok(part)
        }))
        .buffered(PARTS_AT_ONCE)
        .try_collect()
        .await?;
        self.finish_parts(key, id, parts, condition).await
    }

    async fn send_part(
        &self,
        key: &str,
        id: &str,
        number: i32,
        bytes: Bytes,
        md5: &[u8; 16],
    ) -> Result<CompletedPart, StoreError> {
        let doing = || format!("write {key}");
        if Digest::of(&bytes).md5 != *md5 {
            return Err(StoreError::new(doing(), Cause::Local, "it changes while it is read"));
        }
        let answer = self
            .retried(async || {
                self.client()
                    .upload_part()
                    .bucket(&self.target.bucket)
                    .key(self.key(key))
                    .upload_id(id)
                    .part_number(number)
                    .content_md5(STANDARD.encode(md5))
                    .body(ByteStream::from(bytes.clone()))
                    .send()
                    .await
                    .map_err(|error| self.failed(doing(), &error))
            })
            .await?;
        let etag = answer.e_tag().map(str::to_owned);
        let wrong = etag.as_deref().map(digest::bare_etag).is_none_or(|etag| {
            digest::is_md5(etag)
                && answer.server_side_encryption().is_none()
                && !etag.eq_ignore_ascii_case(&digest::hex(md5))
        });
        if wrong {
            let detail = format!("the store has other bytes as part {number}");
            return Err(StoreError::new(doing(), Cause::Unverified, detail));
        }
        Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
    }

    async fn finish_parts(
        &self,
        key: &str,
        id: &str,
        parts: Vec<CompletedPart>,
        condition: Condition<'_>,
    ) -> Result<(), StoreError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.retried(async || {
            let mut request = self
                .client()
                .complete_multipart_upload()
                .bucket(&self.target.bucket)
                .key(self.key(key))
                .upload_id(id)
                .multipart_upload(parts.clone());
            match condition {
                Condition::Always => {}
                Condition::Absent => request = request.if_none_match("*"),
                Condition::Unchanged(etag) => request = request.if_match(format!("\"{etag}\"")),
            }
            let done = request.send().await;
            done.map_err(|error| {
                let mut failed = self.failed(format!("write {key}"), &error);
                // Finished already, by a try whose answer was lost: a look will tell.
                if failed.detail.contains("NoSuchUpload") {
                    failed.cause = Cause::Changed;
                }
                failed
            })
        })
        .await?;
        Ok(())
    }
}
