//! What people read when an upload fails, under snapshots: a change of a text shows in its review.

use std::io;
use std::path::PathBuf;

use record::Kind;

use crate::app::UploadError;
use crate::err::{Cause, StoreError};
use crate::keys::publishable;
use crate::local::LocalError;
use crate::runs::PackError;

#[test]
fn the_causes() {
    let causes = [
        Cause::NoCredentials,
        Cause::BadKey,
        Cause::Denied,
        Cause::NoBucket,
        Cause::ClockSkew,
        Cause::NoRoute,
        Cause::Throttled,
        Cause::Unavailable,
        Cause::Conflict,
        Cause::Unverified,
        Cause::Incomplete,
        Cause::Newer,
        Cause::Older,
        Cause::OtherNotices,
        Cause::Local,
        Cause::Deadline,
        Cause::NotFound,
        Cause::Changed,
        Cause::Unsupported,
        Cause::Elsewhere,
        Cause::Other,
    ];
    let said = causes.map(|cause| StoreError::new("list the bucket", cause, "").to_string());
    let hostile = StoreError::new("write latest.json", Cause::Other, "\u{1b}[2J<html>");
    insta::assert_snapshot!(said.join("\n") + "\n" + &hostile.to_string());
}

#[test]
fn the_errors() {
    let path = || PathBuf::from("public");
    let gone = || io::Error::from_raw_os_error(2);
    let source = Kind::Files.parse::<record::Files>(b"{").unwrap_err();
    let local = [
        LocalError::List { path: path(), source: gone() },
        LocalError::Read { path: path(), source: gone() },
        LocalError::Files { path: path(), source },
        LocalError::TooMany { path: path() },
        LocalError::Empty { path: path() },
    ];
    let pack = [
        PackError::Run { path: path(), reason: "\"x\" is no run id".to_owned() },
        PackError::Incomplete { directory: path() },
        PackError::Io { directory: path(), source: gone() },
    ];
    let mut texts: Vec<String> = local.iter().map(ToString::to_string).collect();
    texts.extend(pack.iter().map(ToString::to_string));
    texts.push(UploadError::Internal(gone()).to_string());
    let skipped = [".hidden", "_headers", "runs/x/run.json", "a b.json"];
    texts.extend(skipped.map(|file| publishable(file).unwrap_err().to_string()));
    insta::assert_snapshot!(texts.join("\n"));
}
