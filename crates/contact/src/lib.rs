//! Contact lines: what they say of who operates a relay, and what proves it.
//!
//! * [`mod@line`] reads a line: the operator's address, and the fields of the ContactInfo specification.
//! * [`claim`] says which domain a line claims.
//! * [`declared`] says what a line declares of the relay's resolver.
//! * [`proof`] says what proves a claim, how long that counts, and when it is checked.
//!
//! A contact line is a stranger's text, and proves nothing by itself. Everything here but `check` is
//! pure; that asks websites and the domain name system, and is there with the feature of its name.

#[cfg(feature = "check")]
pub mod check;
pub mod claim;
pub mod declared;
pub mod line;
pub mod proof;
