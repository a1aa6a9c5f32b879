//! Signs the checks zone as it is asked: ECDSA P-256 (RFC 6605), and denial by one record (RFC 9824).
//!
//! What is signed once is signed anew only after a day: the zone's own records, and those of its few fixed
//! names. Names that somebody thinks of cost a signature or two each; how many of these there are in a second by
//! UDP, whose senders can be forged, is bounded. The time is passed in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, RRSIG};
use hickory_proto::dnssec::{Algorithm, DigestType, SigningKey as _, TBS};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::layout::{NAME_TTL, ServedZone, TTL};

/// What validators have known longest of what is short (RFC 8624, section 3.1).
const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;

/// The type that says in a proof that there is no such name (RFC 9824, section 3.4).
pub(crate) const NXNAME: RecordType = RecordType::Unknown(128);

/// Seconds in a day.
const DAY: i64 = 86_400;

/// How long before the day on which it is made a signature is valid: the clocks of validators may be wrong.
const BEFORE: i64 = DAY;

/// How long after the beginning of that day.
const AFTER: i64 = 8 * DAY;

/// Signatures of fixed names that are kept; there are fewer than that.
const KEPT: usize = 256;

/// Answers with signatures made for them alone in one second, by UDP; who asks for more has to come by TCP. One
/// costs some tens of microseconds.
const FRESH: u32 = 2_000;

/// The key of the checks zone. It shows nothing of itself.
pub struct ZoneKey {
    key: EcdsaSigningKey,
    public: DNSKEY,
    tag: u16,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneKeyError {
    /// What was read is none.
    #[error(
        "it holds no private key of ECDSA P-256 in PKCS#8 as PEM; `exit-validator zone keys` makes one"
    )]
    Form,
    /// The system gives no random numbers, or the library fails.
    #[error("the key cannot be used: the cryptographic library refuses it")]
    Library,
}

impl fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneKey").field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl ZoneKey {
    /// A new key, as PEM.
    ///
    /// # Errors
    ///
    /// [`ZoneKeyError::Library`].
    pub fn generate() -> Result<String, ZoneKeyError> {
        let key = EcdsaSigningKey::generate_pkcs8(ALGORITHM).map_err(|_| ZoneKeyError::Library)?;
        let text = BASE64_STANDARD.encode(key.secret_pkcs8_der());
        let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        // Base64 is ASCII.
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|byte| char::from(*byte)).chain(['\n']));
        }
        Ok(pem + "-----END PRIVATE KEY-----\n")
    }

    /// The key that was written so.
    ///
    /// # Errors
    ///
    /// [`ZoneKeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, ZoneKeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| ZoneKeyError::Form)?;
        let key = EcdsaSigningKey::from_pkcs8(&key, ALGORITHM).map_err(|_| ZoneKeyError::Form)?;
        let public = key.to_public_key().map_err(|_| ZoneKeyError::Library)?;
        let public = DNSKEY::from_key(&public);
        let tag = public.calculate_key_tag().map_err(|_| ZoneKeyError::Library)?;
        Ok(Self { key, public, tag })
    }

    /// What the zone above the checks zone has to have, for it to be trusted: a DS record (RFC 4509).
    ///
    /// # Errors
    ///
    /// [`ZoneKeyError::Library`].
    pub fn delegation(&self, checks: &Name) -> Result<String, ZoneKeyError> {
        let digest = self.public.to_digest(checks, DigestType::SHA256);
        let digest = digest.map_err(|_| ZoneKeyError::Library)?.as_ref().to_vec();
        let ds = DS::new(self.tag, ALGORITHM, DigestType::SHA256, digest);
        Ok(format!("{checks} {TTL} IN DS {ds}"))
    }
}

/// Signs the checks zone.
#[derive(Debug)]
pub struct ZoneSigner {
    key: ZoneKey,
    /// The checks zone's name, in lower case.
    checks: Name,
    kept: Mutex<HashMap<Signed, RRSIG>>,
    /// A second, and what was signed in it for names that somebody thought of.
    fresh: Mutex<(i64, u32)>,
}

/// What was signed, and on which day.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    owner: Name,
    covered: RecordType,
    ttl: u32,
    day: i64,
}

/// How records are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seal {
    /// As the zone's fixed names are: the signature is kept.
    Kept,
    /// For this answer alone.
    Fresh,
    /// For this answer alone, and broken on purpose.
    Broken,
}

impl ZoneSigner {
    /// Signs the checks zone of this zone with that key.
    #[must_use]
    pub fn new(key: ZoneKey, zone: &ServedZone) -> Self {
        Self { key, checks: zone.checks.clone(), kept: Mutex::default(), fresh: Mutex::default() }
    }

    /// The zone's key, as a record of it.
    pub(crate) fn key(&self, owner: &Name) -> Record {
        let key = DNSSECRData::DNSKEY(self.key.public.clone());
        Record::from_rdata(owner.clone(), TTL, RData::DNSSEC(key))
    }

    /// Whether one more answer may be signed for itself in this second.
    pub(crate) fn has_time(&self, now: DateTime<Utc>) -> bool {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.timestamp();
        if fresh.0 != second {
            *fresh = (second, 0);
        }
        fresh.1 = fresh.1.saturating_add(1);
        fresh.1 <= FRESH
    }

    /// The signature of these records, which have one name, type and time to live. None of no records, and where
    /// the library fails.
    pub(crate) fn sign(
        &self,
        records: &[Record],
        seal: Seal,
        now: DateTime<Utc>,
    ) -> Option<Record> {
        let Record { name, ttl, .. } = records.first()?;
        let covered = records.first()?.record_type();
        let day = now.timestamp().div_euclid(DAY);
        let signed = |signature| {
            let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
            Some(Record::from_rdata(name.clone(), *ttl, data))
        };
        if seal != Seal::Kept {
            return signed(self.make(records, seal, day)?);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Signed { owner: name.to_lowercase(), covered, ttl: *ttl, day };
        if let Some(signature) = kept.get(&key) {
            return signed(signature.clone());
        }
        let signature = self.make(records, seal, day)?;
        // Yesterday's go.
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, signature.clone());
        signed(signature)
    }

    fn make(&self, records: &[Record], seal: Seal, day: i64) -> Option<RRSIG> {
        let first = records.first()?;
        // Seconds modulo 2^32, compared as serial numbers (RFC 4034, section 3.1.5).
        let serial = |seconds: i64| u32::try_from(seconds.rem_euclid(1 << 32)).unwrap_or_default();
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: ALGORITHM,
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: serial(day * DAY + AFTER).into(),
            sig_inception: serial(day * DAY - BEFORE).into(),
            key_tag: self.key.tag,
            signer_name: self.checks.clone(),
        };
        let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).ok()?;
        let mut signature = self.key.key.sign(&tbs).ok()?;
        if let (Seal::Broken, Some(last)) = (seal, signature.last_mut()) {
            *last ^= 1;
        }
        Some(RRSIG::from_sig(input, signature))
    }
}

/// The proof that a name has records of these types and no others: of the name itself, up to the next that there
/// could be (RFC 9824, section 3). None for a name that leaves no room for one.
pub(crate) fn proof(owner: &Name, types: &[RecordType]) -> Option<Record> {
    // In lower case, as some take it to be in canonical form and some do not (RFC 6840, section 5.1).
    let next = owner.to_lowercase().prepend_label([0_u8].as_slice()).ok()?;
    let all = types.iter().copied().chain([RecordType::RRSIG, RecordType::NSEC]);
    let data = DNSSECRData::NSEC(NSEC::new(next, all));
    Some(Record::from_rdata(owner.clone(), NAME_TTL, RData::DNSSEC(data)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn signer() -> ZoneSigner {
        let key = ZoneKey::from_pem(ZoneKey::generate().unwrap().as_bytes()).unwrap();
        ZoneSigner::new(key, &crate::layout::tests::example())
    }

    #[test]
    fn a_key_shows_nothing_of_itself_and_what_is_no_key_is_refused() {
        let pem = ZoneKey::generate().unwrap();
        let key = ZoneKey::from_pem(pem.as_bytes()).unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("ZoneKey {{ tag: {}, .. }}", key.tag));
        let inside = pem.lines().nth(1).unwrap();
        for bad in ["", "x", &pem.replace(&inside[..8], "AAAAAAAA"), &pem[..80]] {
            let error = ZoneKey::from_pem(bad.as_bytes()).unwrap_err();
            assert_eq!(error, ZoneKeyError::Form);
            assert!(!error.to_string().contains(inside), "{error}");
        }
    }

    #[test]
    fn fixed_names_are_signed_once_a_day_and_others_so_often_in_a_second() {
        let signer = signer();
        let day = |n: i64| DateTime::from_timestamp(1_767_225_600 + n * DAY + 5, 0).unwrap();
        let records = [signer.key(&signer.checks)];
        let made = |seal, now| signer.sign(&records, seal, now).unwrap();
        let once = made(Seal::Kept, day(0));
        assert_eq!(made(Seal::Kept, day(0)), once);
        assert_ne!(made(Seal::Kept, day(1)), once);
        assert_ne!(made(Seal::Fresh, day(0)), once, "ECDSA signs differently each time");
        for n in 0..1_000 {
            made(Seal::Kept, day(n));
        }
        assert!(signer.kept.lock().unwrap().len() <= KEPT);
        let allowed = (0..5_000).filter(|_| signer.has_time(day(0))).count();
        assert_eq!(allowed, FRESH as usize);
        assert!(signer.has_time(day(0) + chrono::TimeDelta::seconds(1)));
    }

    #[test]
    fn a_signature_is_valid_for_a_day_before_and_a_week_after() {
        let signer = signer();
        let now = DateTime::from_timestamp(1_767_225_600 + DAY - 1, 0).unwrap();
        let record = signer.sign(&[signer.key(&signer.checks)], Seal::Kept, now).unwrap();
        let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = record.data else { panic!() };
        let now = u32::try_from(now.timestamp()).unwrap();
        let day = u32::try_from(DAY).unwrap();
        assert!(signature.input().sig_inception.get() <= now - day);
        assert!(signature.input().sig_expiration.get() >= now + 7 * day);
    }
}
