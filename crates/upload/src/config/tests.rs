//! Configurations, good and bad.

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const BOTH: &[(&str, &str)] = &[
    ("DO_ENABLED", "true"),
    ("DO_BUCKET", "reports"),
    ("DO_SPACES_KEY", "spaces-id"),
    ("DO_SPACES_SECRET", "spaces-secret"),
    ("DO_SPACES_REGION", "nyc3"),
    ("R2_ENABLED", "1"),
    ("R2_BUCKET", "reports-r2"),
    ("R2_ACCESS_KEY_ID", "r2-id"),
    ("R2_SECRET_ACCESS_KEY", "r2-secret"),
    ("CF_ACCOUNT_ID", "0123456789abcdef0123456789abcdef"),
];

#[test]
fn spaces_and_r2() {
    let both = targets(&environment(BOTH), &[]).unwrap();
    let [spaces, r2] = both.as_slice() else { panic!("{both:?}") };
    assert_eq!(spaces.name, "do");
    assert_eq!(spaces.endpoint.as_deref(), Some("https://nyc3.digitaloceanspaces.com"));
    assert_eq!(spaces.region, "nyc3");
    assert!(!spaces.path_style);
    assert_eq!(spaces.acl.as_deref(), Some("public-read"));
    assert_eq!(r2.name, "r2");
    assert_eq!(
        r2.endpoint.as_deref(),
        Some("https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com")
    );
    assert_eq!(r2.region, "auto");
    assert!(r2.path_style);
    assert_eq!(r2.acl, None);
    assert_eq!(r2.key.as_ref().unwrap().secret.reveal(), "r2-secret");
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", targets(&environment(BOTH), &[]).unwrap());
    for secret in ["spaces-id", "spaces-secret", "r2-id", "r2-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn named_ones_need_not_be_enabled() {
    let mut environment = environment(BOTH);
    environment.insert("R2_ENABLED".to_owned(), "false".to_owned());
    let named = targets(&environment, &["R2".to_owned(), "r2".to_owned()]).unwrap();
    assert_eq!(named.len(), 1);
    let enabled = targets(&environment, &[]).unwrap();
    assert_eq!(enabled.len(), 1);
    assert_eq!(enabled[0].name, "do");
}

#[test]
fn any_other_store() {
    let mut variables = environment(&[
        ("UPLOAD_TARGETS", "attic"),
        ("ATTIC_BUCKET", "b"),
        ("ATTIC_ENDPOINT", "http://127.0.0.1:9000/"),
        ("ATTIC_PREFIX", "/tor/dns/"),
    ]);
    let attic = targets(&variables, &[]).unwrap().remove(0);
    assert_eq!(attic.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert!(attic.path_style);
    assert_eq!(attic.prefix, "tor/dns/");
    assert_eq!(attic.key, None);
    variables.insert("ATTIC_ENABLED".to_owned(), "no".to_owned());
    assert_eq!(targets(&variables, &[]), Err(ConfigError::NoTarget));
}

#[test]
fn aws_itself() {
    let aws = environment(&[("S3_ENABLED", "yes"), ("S3_BUCKET", "b"), ("S3_REGION", "eu-west-1")]);
    let aws = targets(&aws, &[]).unwrap().remove(0);
    assert_eq!((aws.endpoint, aws.path_style, aws.region.as_str()), (None, false, "eu-west-1"));
}

#[test]
fn what_is_wrong_is_named() {
    let said = [
        ("DO_BUCKET", " "),
        ("DO_ENABLED", "maybe"),
        ("DO_SPACES_SECRET", ""),
        ("DO_SPACES_REGION", "evil.example/"),
        ("CF_ACCOUNT_ID", ""),
        ("CF_ACCOUNT_ID", "x.example"),
        ("R2_ENDPOINT", "r2.example"),
        ("R2_PREFIX", "../x"),
        ("R2_ENDPOINT", "https://me:hunter2@r2.example"),
        ("UPLOAD_TARGETS", "1x"),
    ]
    .map(|(name, value)| {
        let mut environment = environment(BOTH);
        environment.insert(name.to_owned(), value.to_owned());
        targets(&environment, &[]).unwrap_err().to_string()
    });
    assert!(!said.concat().contains("hunter2"));
    let none = targets(&Environment::new(), &[]).unwrap_err();
    insta::assert_snapshot!(said.join("\n") + "\n" + &none.to_string());
}

#[test]
fn every_setting_of_a_store_is_read_and_has_the_default_of_the_list() {
    use settings::{DefaultValue, Group, Reader};
    let mut all = environment(BOTH);
    all.extend(environment(&[
        ("S3_ENABLED", "true"),
        ("S3_BUCKET", "b"),
        ("S3_ACCESS_KEY_ID", "s3-id"),
        ("S3_SECRET_ACCESS_KEY", "s3-secret"),
    ]));
    assert_eq!(targets(&all, &[]).unwrap().len(), 3);
    let of_stores = settings::keys()
        .filter(|key| key.group == Group::Stores && key.readers.contains(&Reader::Upload));
    for key in of_stores {
        let mut without = all.clone();
        without.remove(key.name);
        if key.name == "DO_REGION" {
            without.remove("DO_SPACES_REGION");
        }
        let with = |value: &str| {
            let mut with = without.clone();
            with.insert(key.name.to_owned(), value.to_owned());
            targets(&with, &[])
        };
        let differs = ["true", "false", "x1", "https://x1.example"]
            .into_iter()
            .any(|value| with(value) != targets(&without, &[]));
        assert!(differs, "{} changes nothing", key.name);
        if let DefaultValue::Value(value) = key.default {
            assert_eq!(with(value), targets(&without, &[]), "{}", key.name);
        }
    }
}

#[test]
fn a_store_of_ones_own_reads_what_the_list_has_of_s3() {
    // Each variable that is read is looked for in the list: a debug assertion.
    let mut own = Environment::new();
    for key in settings::keys() {
        if let Some(rest) = key.name.strip_prefix("S3_") {
            let value = match rest {
                "ENABLED" | "PATH_STYLE" => "true",
                "ENDPOINT" => "https://attic.example",
                _ => "x1",
            };
            own.insert(format!("ATTIC_{rest}"), value.to_owned());
        }
    }
    own.insert("UPLOAD_TARGETS".to_owned(), "attic".to_owned());
    let attic = targets(&own, &[]).unwrap().remove(0);
    assert_eq!((attic.bucket.as_str(), attic.prefix.as_str()), ("x1", "x1/"));
    assert_eq!((attic.region.as_str(), attic.acl.as_deref()), ("x1", Some("x1")));
    assert!(attic.key.unwrap().token.is_some());
}

/// A target with this endpoint, or AWS.
pub fn target_at(endpoint: Option<&str>) -> Target {
    let mut pairs = vec![
        ("S3_ENABLED", "true"),
        ("S3_BUCKET", "reports"),
        ("S3_ACCESS_KEY_ID", "id"),
        ("S3_SECRET_ACCESS_KEY", "secret"),
    ];
    pairs.extend(endpoint.map(|endpoint| ("S3_ENDPOINT", endpoint)));
    targets(&environment(&pairs), &[]).unwrap().remove(0)
}
