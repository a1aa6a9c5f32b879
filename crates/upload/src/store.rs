//! One store by the S3 API: requests with tries, pauses and timeouts, and objects that are
//! verified after they were written. IO; what to write, and in which order, is decided elsewhere.

mod limit;
mod multipart;
mod redirect;
mod request;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, ProvideCredentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::Target;
use crate::digest::{self, Digest, Hasher};
use crate::err::{Cause, StoreError};
use crate::keys;
use crate::local::Whole;
use crate::plan::{self, Head, Listed, Sameness};
use crate::retry::Policy;

/// The metadata that holds an object's SHA-256; sent as `x-amz-meta-sha256`.
const SHA256: &str = "sha256";

/// The metadata that holds the time that an object is of.
const TIMESTAMP: &str = "timestamp";

/// Files up to this size are sent in one request, larger ones in parts of it: 8 MiB. S3 wants
/// parts of 5 MiB at least.
pub const PART: u64 = 8 << 20;

/// Most objects of a listing that are taken in: more than twice what anybody publishes.
const LISTING_LIMIT: usize = 250_000;

/// Most bytes of one page of a listing: 1,000 objects with the longest keys take less.
const PAGE_LIMIT: usize = 16 << 20;

/// How often a request is made elsewhere because the store says so.
const REDIRECTS: u32 = 3;

/// How requests are made.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Tries and pauses.
    pub policy: Policy,
    /// How long one request, or a pause in its answer, may take.
    pub timeout: Duration,
    /// A number of at least 0 and below 1, another each time.
    pub chance: fn() -> f64,
    /// The present time.
    pub now: fn() -> DateTime<Utc>,
}

/// Under which condition an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// None.
    Always,
    /// If there is none of this name.
    Absent,
    /// If it has this ETag still.
    Unchanged(&'a str),
}

/// What comes with an object's bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes {
    /// The time that it is of.
    pub timestamp: Option<DateTime<Utc>>,
    /// For this project's programs alone: no ACL.
    pub private: bool,
}

/// A store.
pub struct Store {
    client: RefCell<Client>,
    target: Target,
    manner: Manner,
    /// Whether the store knows `If-None-Match` and `If-Match` when writing, as far as is known.
    conditional: Cell<bool>,
    /// Whether an ETag that looks like an MD5 is one here, as far as is known.
    md5_etags: Cell<bool>,
    requests: Cell<u64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares for requests; makes none to the store. Where the target has no key, the usual AWS
    /// sources are asked: environment, profile, web identity, container, instance.
    ///
    /// # Errors
    ///
    /// [`Cause::NoCredentials`].
    pub async fn open(target: Target, manner: Manner) -> Result<Self, StoreError> {
        let region = Region::new(target.region.clone());
        let credentials = match &target.key {
            Some(key) => SharedCredentialsProvider::new(Credentials::new(
                key.id.reveal(),
                key.secret.reveal(),
                key.token.as_ref().map(|token| token.reveal().to_owned()),
                None,
                "config.env",
            )),
            None => {
                let chain =
                    aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
                        .region(region.clone())
                        .build()
                        .await;
                // Now, so that its absence is told as what it is.
                chain.provide_credentials().await.map_err(|error| {
                    let detail = request::chain(&error);
                    StoreError::new("find credentials", Cause::NoCredentials, detail)
                })?;
                SharedCredentialsProvider::new(chain)
            }
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(manner.timeout.min(Duration::from_secs(10)))
            .operation_attempt_timeout(manner.timeout)
            .build();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(credentials)
            .force_path_style(target.path_style)
            // Ours, which knows what may be tried again, and until when.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // A store may take its time to answer a large object; the timeouts are above.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Stores other than AWS do not all know the newer checksums. Content-MD5 they know.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // One answer with a wrong date would spoil the signatures of all later requests; a
            // clock that is wrong is told instead.
            .disable_clock_skew_correction(true);
        if let Some(endpoint) = &target.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = Client::from_conf(config.build());
        Ok(Self {
            client: RefCell::new(client),
            target,
            manner,
            conditional: Cell::new(true),
            md5_etags: Cell::new(true),
            requests: Cell::new(0),
        })
    }

    /// The target.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// How many requests were made.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Whether the store is thought to know conditional writes.
    #[must_use]
    pub fn conditional(&self) -> bool {
        self.conditional.get()
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.manner.now)()
    }

    fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// Makes further requests where the store says, if that is the same store's.
    fn follow(&self, location: &str) -> bool {
        let Some(endpoint) = redirect::endpoint(&self.target, location) else { return false };
        tracing::info!("{}: the store sends requests on to {endpoint}", self.target.name);
        let config = self.client().config().to_builder().endpoint_url(endpoint).build();
        self.client.replace(Client::from_conf(config));
        true
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.target.prefix)
    }

    /// Does something until it works, cannot work, or has been tried often enough.
    async fn retried<T>(
        &self,
        once: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (mut tried, mut followed) = (0, 0);
        loop {
            tried += 1;
            self.requests.set(self.requests.get() + 1);
            let error = match Box::pin(once()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.status == Some(307)
                && followed < REDIRECTS
                && error.location.as_deref().is_some_and(|location| self.follow(location))
            {
                followed += 1;
                continue;
            }
            self.pause(tried, &error).await.ok_or(error)?;
        }
    }

    /// Waits before the next try; `None` where there is none.
    async fn pause(&self, tried: u32, error: &StoreError) -> Option<()> {
        let chance = (self.manner.chance)();
        let policy = self.manner.policy;
        let pause = policy.pause(tried, error.cause.retry(), error.wish, chance)?;
        tracing::debug!(
            "{}: {error}; try {} of {} in {:.1} s",
            self.target.name,
            tried + 1,
            policy.tries,
            pause.as_secs_f64()
        );
        tokio::time::sleep(pause).await;
        Some(())
    }

    /// What is directly under `prefix`, by key without the target's prefix.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Listed>, StoreError> {
        self.list_all(prefix, Some("/")).await
    }

    /// What is anywhere under `prefix`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list_deep(&self, prefix: &str) -> Result<BTreeMap<String, Listed>, StoreError> {
        self.list_all(prefix, None).await
    }

    async fn list_all(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
    ) -> Result<BTreeMap<String, Listed>, StoreError> {
        let doing = || format!("list the bucket {:?}", self.target.bucket);
        let mut listing = BTreeMap::new();
        let mut token: Option<String> = None;
        let mut tokens = HashSet::new();
        loop {
            let page = self
                .retried(async || {
                    self.client()
                        .list_objects_v2()
                        .bucket(&self.target.bucket)
                        .prefix(self.key(prefix))
                        .set_delimiter(delimiter.map(str::to_owned))
                        .set_continuation_token(token.clone())
                        .customize()
                        .interceptor(limit::Body(PAGE_LIMIT))
                        .send()
                        .await
                        .map_err(|error| self.failed(doing(), &error))
                })
                .await?;
            for object in page.contents() {
                let key = object.key().and_then(|key| key.strip_prefix(&self.target.prefix));
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                if let (Some(key), Some(size)) = (key, size) {
                    let modified = object.last_modified().and_then(|time| {
                        DateTime::from_timestamp(time.secs(), time.subsec_nanos())
                    });
                    let etag = object.e_tag().map(|etag| digest::bare_etag(etag).to_owned());
                    listing.insert(key.to_owned(), Listed { size, modified, etag });
                }
            }
            let next = page.next_continuation_token().map(str::to_owned);
            if listing.len() > LISTING_LIMIT {
                return Err(StoreError::new(doing(), Cause::Other, "too many objects"));
            }
            match next.filter(|_| page.is_truncated() == Some(true)) {
                // A store that turns in a circle must not hold us for ever, and half of its
                // listing must not be taken for all of it.
                Some(next) if !tokens.insert(next.clone()) => {
                    return Err(StoreError::new(doing(), Cause::Other, "its pages go in a circle"));
                }
                Some(next) => token = Some(next),
                None => return Ok(listing),
            }
        }
    }

    /// What the store says of one object; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let doing = || format!("look at {key}");
        let answer = self
            .retried(async || {
                self.client()
                    .head_object()
                    .bucket(&self.target.bucket)
                    .key(self.key(key))
                    .send()
                    .await
                    .map_err(|error| self.failed(doing(), &error))
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(head_of(
                answer.content_length(),
                answer.e_tag(),
                answer.metadata(),
                answer.server_side_encryption(),
                answer.sse_customer_algorithm(),
            ))),
            Err(error) if error.cause == Cause::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object of at most `limit` bytes; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<(Whole, Head)>, StoreError> {
        let got = self
            .retried(async || {
                let mut bytes = Vec::new();
                let head = self.fetch(key, limit, &mut bytes).await?;
                let digest = Digest::of(&bytes);
                self.check(key, &head, &digest)?;
                Ok((Whole { bytes: bytes.into(), digest }, head))
            })
            .await;
        match got {
            Ok(got) => Ok(Some(got)),
            Err(error) if error.cause == Cause::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object of at most `limit` bytes to a file, checked against what the store and the
    /// object's writer say of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get_file(
        &self,
        key: &str,
        limit: u64,
        file: &std::fs::File,
    ) -> Result<Digest, StoreError> {
        self.retried(async || {
            let mut sink = Sink { file, hasher: Hasher::default() };
            sink.restart().map_err(|error| of_io(key, &error))?;
            let head = self.fetch(key, limit, &mut sink).await?;
            let digest = sink.hasher.finish();
            self.check(key, &head, &digest)?;
            Ok(digest)
        })
        .await
    }

    /// The digests of an object's bytes, which are read and thrown away.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn digest(&self, key: &str) -> Result<Digest, StoreError> {
        self.retried(async || {
            let mut hasher = Counter(Hasher::default());
            self.fetch(key, u64::MAX, &mut hasher).await?;
            Ok(hasher.0.finish())
        })
        .await
    }

    async fn fetch(
        &self,
        key: &str,
        limit: u64,
        sink: &mut dyn std::io::Write,
    ) -> Result<Head, StoreError> {
        let doing = || format!("read {key}");
        let mut answer = self
            .client()
            .get_object()
            .bucket(&self.target.bucket)
            .key(self.key(key))
            .send()
            .await
            .map_err(|error| self.failed(doing(), &error))?;
        let head = head_of(
            answer.content_length(),
            answer.e_tag(),
            answer.metadata(),
            answer.server_side_encryption(),
            answer.sse_customer_algorithm(),
        );
        let mut size = 0;
        loop {
            let next = tokio::time::timeout(self.manner.timeout, answer.body.next()).await;
            let chunk = match next {
                Ok(None) => break,
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => {
                    let detail = request::chain(&error);
                    return Err(StoreError::new(doing(), Cause::Unavailable, detail));
                }
                Err(_) => {
                    return Err(StoreError::new(doing(), Cause::Unavailable, "it has stalled"));
                }
            };
            size += chunk.len() as u64;
            if size > limit {
                let detail = format!("larger than {limit} bytes");
                return Err(StoreError::new(doing(), Cause::Other, detail));
            }
            sink.write_all(&chunk).map_err(|error| of_io(key, &error))?;
        }
        if size != head.size {
            let detail = format!("{size} bytes came, of {}", head.size);
            return Err(StoreError::new(doing(), Cause::Unavailable, detail));
        }
        Ok(head)
    }

    /// Whether what was read is what the store and its writer say.
    fn check(&self, key: &str, head: &Head, digest: &Digest) -> Result<(), StoreError> {
        let wrong = head.sha256.as_ref().is_some_and(|sha256| *sha256 != digest.sha256);
        if wrong || plan::compare(head, digest) == Sameness::Different {
            let detail = format!("what came of {key} has not the digest that it should have");
            return Err(StoreError::new(format!("read {key}"), Cause::Unverified, detail));
        }
        Ok(())
    }

    /// Writes an object and makes sure that the store holds it: where it answers that the
    /// condition does not hold, whether it is there with these bytes all the same, for instance
    /// after a connection broke when the store had written it already.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`Cause::Changed`] where the condition does not hold.
    pub async fn write(
        &self,
        key: &str,
        whole: &Whole,
        condition: Condition<'_>,
        attributes: Attributes,
    ) -> Result<(), StoreError> {
        self.verified(key, &whole.digest, None, condition, async |conditional| {
            self.retried(async || self.put(key, whole, conditional, attributes).await).await
        })
        .await
    }

    /// Writes a file that is larger than [`PART`] in parts, reading each when its turn comes. As
    /// [`Store::write`] otherwise.
    ///
    /// # Errors
    ///
    /// As [`Store::write`], and [`Cause::Local`].
    pub async fn write_file(
        &self,
        key: &str,
        path: &Path,
        digests: &(Digest, Vec<[u8; 16]>),
        condition: Condition<'_>,
        attributes: Attributes,
        sent: &dyn Fn(u64),
    ) -> Result<(), StoreError> {
        let (digest, parts) = digests;
        let whole = digest::etag_of_parts(parts);
        self.verified(key, digest, Some(&whole), condition, async |conditional| {
            self.put_parts(key, path, digests, conditional, attributes, sent).await
        })
        .await
    }

    async fn verified(
        &self,
        key: &str,
        digest: &Digest,
        parts_etag: Option<&str>,
        condition: Condition<'_>,
        put: impl AsyncFn(Condition<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let conditional = self.conditional.get();
            let done = if conditional {
                Box::pin(put(condition)).await
            } else {
                match Box::pin(self.recheck(key, condition)).await {
                    Ok(()) => Box::pin(put(Condition::Always)).await,
                    Err(error) => Err(error),
                }
            };
            let refused = match done {
                Ok(()) => None,
                Err(error) if error.cause == Cause::Changed => Some(error),
                // Some stores answer to a condition that they do not know with 501, some with 400.
                Err(error)
                    if (error.cause == Cause::Unsupported || error.status == Some(400))
                        && conditional
                        && condition != Condition::Always =>
                {
                    tracing::info!(
                        "{}: the store does not know conditional writes; looking first instead",
                        self.target.name
                    );
                    self.conditional.set(false);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let doing = format!("write {key}");
            let head = self.head(key).await?;
            if let Some(head) = &head
                && self.holds(key, head, digest, parts_etag).await?
            {
                return Ok(());
            }
            let error = match (head, refused) {
                (_, Some(refused)) => return Err(refused),
                (Some(head), None) => {
                    let detail = format!("it holds {} bytes, of {}", head.size, digest.size);
                    StoreError::new(doing, Cause::Unverified, detail)
                }
                (None, None) => StoreError::new(doing, Cause::Unverified, "it is not there"),
            };
            self.pause(tried, &error).await.ok_or(error)?;
        }
    }

    /// Whether an object is the one just written.
    async fn holds(
        &self,
        key: &str,
        head: &Head,
        digest: &Digest,
        parts_etag: Option<&str>,
    ) -> Result<bool, StoreError> {
        let of_parts =
            parts_etag.is_some() && head.size == digest.size && head.etag.as_deref() == parts_etag;
        Ok(of_parts || self.is_same(key, head, digest).await?)
    }

    /// Whether an object has these bytes, reading it where nothing else tells. Where that shows that
    /// the store's ETags are no MD5s, they are not asked any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn is_same(
        &self,
        key: &str,
        head: &Head,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let md5_etags = self.md5_etags.get();
        let known = if md5_etags {
            plan::compare(head, digest)
        } else {
            plan::compare(&Head { etag: None, ..head.clone() }, digest)
        };
        Ok(match known {
            Sameness::Same => true,
            Sameness::Different => false,
            Sameness::Unknown => {
                let same = self.digest(key).await?.sha256 == digest.sha256;
                let is_md5 = head.etag.as_deref().is_some_and(digest::is_md5);
                if same && md5_etags && is_md5 && !head.encrypted && head.sha256.is_some() {
                    tracing::info!(
                        "{}: an ETag of the store is no MD5, and is not compared any more",
                        self.target.name
                    );
                    self.md5_etags.set(false);
                }
                same
            }
        })
    }

    /// The condition, as far as a look tells.
    async fn recheck(&self, key: &str, condition: Condition<'_>) -> Result<(), StoreError> {
        let head = self.head(key).await?;
        let holds = match (condition, &head) {
            (Condition::Always, _) | (Condition::Absent, None) => true,
            (Condition::Unchanged(etag), Some(head)) => head.etag.as_deref() == Some(etag),
            (Condition::Absent, Some(_)) | (Condition::Unchanged(_), None) => false,
        };
        if holds {
            return Ok(());
        }
        Err(StoreError::new(format!("write {key}"), Cause::Changed, "it is another than before"))
    }

    async fn put(
        &self,
        key: &str,
        whole: &Whole,
        condition: Condition<'_>,
        attributes: Attributes,
    ) -> Result<(), StoreError> {
        let mut request = self
            .client()
            .put_object()
            .bucket(&self.target.bucket)
            .key(self.key(key))
            .content_type(keys::content_type(key))
            .cache_control(keys::cache_control(key))
            .content_md5(STANDARD.encode(whole.digest.md5))
            .set_metadata(Some(metadata(&whole.digest, attributes)))
            .set_acl(self.acl(attributes))
            .body(ByteStream::from(Bytes::clone(&whole.bytes)));
        match condition {
            Condition::Always => {}
            Condition::Absent => request = request.if_none_match("*"),
            Condition::Unchanged(etag) => request = request.if_match(format!("\"{etag}\"")),
        }
        request.send().await.map_err(|error| self.failed(format!("write {key}"), &error))?;
        Ok(())
    }

    fn acl(&self, attributes: Attributes) -> Option<ObjectCannedAcl> {
        let acl = self.target.acl.as_deref().filter(|_| !attributes.private)?;
        Some(ObjectCannedAcl::from(acl))
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.retried(async || {
            self.client()
                .delete_object()
                .bucket(&self.target.bucket)
                .key(self.key(key))
                .send()
                .await
                .map_err(|error| self.failed(format!("remove {key}"), &error))
        })
        .await?;
        Ok(())
    }
}

fn metadata(digest: &Digest, attributes: Attributes) -> HashMap<String, String> {
    let mut metadata = HashMap::from([(SHA256.to_owned(), digest.sha256.clone())]);
    if let Some(time) = attributes.timestamp {
        metadata.insert(TIMESTAMP.to_owned(), time.to_rfc3339_opts(SecondsFormat::Secs, true));
    }
    metadata
}

fn head_of(
    size: Option<i64>,
    etag: Option<&str>,
    metadata: Option<&HashMap<String, String>>,
    encryption: Option<&ServerSideEncryption>,
    customer: Option<&str>,
) -> Head {
    let of = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    Head {
        // A size that is missing or negative is that of no object of ours.
        size: size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX),
        etag: etag.map(|etag| digest::bare_etag(etag).to_owned()),
        sha256: of(SHA256).filter(|text| digest::is_sha256(text)).cloned(),
        timestamp: of(TIMESTAMP).and_then(|text| text.parse().ok()),
        encrypted: customer.is_some()
            || encryption.is_some_and(|kind| *kind != ServerSideEncryption::Aes256),
    }
}

fn of_io(key: &str, error: &std::io::Error) -> StoreError {
    StoreError::new(format!("keep what was read of {key}"), Cause::Local, error.to_string())
}

/// A file that is written and hashed.
struct Sink<'a> {
    file: &'a std::fs::File,
    hasher: Hasher,
}

impl Sink<'_> {
    fn restart(&mut self) -> std::io::Result<()> {
        use std::io::Seek as _;
        self.file.set_len(0)?;
        self.file.rewind()
    }
}

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Bytes that are hashed alone.
struct Counter(Hasher);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether an error is about one object alone, so that others can go on.
#[must_use]
pub const fn is_of_one_object(cause: Cause) -> bool {
    matches!(cause, Cause::Conflict | Cause::Local)
}
