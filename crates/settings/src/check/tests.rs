//! Configurations, good and bad.

use super::*;

const SAFE: Access = Access { owner: 0, mode: 0o640 };

fn checked(text: &str, access: Access, caller: u32) -> Vec<String> {
    let found = ConfigFile { bytes: text.as_bytes().to_vec(), access };
    check(&found, caller).problems.iter().map(|problem| format!("config.env:{problem}")).collect()
}

fn problems(text: &str) -> Vec<String> {
    checked(text, SAFE, 1000)
}

/// A snapshot of what is said of each of these.
macro_rules! assert_said {
    ($texts:expr) => {{
        let said = $texts.map(|text| {
            let problems = problems(text);
            let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
            assert!(!problem.contains("hunter2"), "{text}: {problem}");
            format!("{}\n    {problem}", printable(text))
        });
        insta::assert_snapshot!(said.join("\n"));
    }};
}

#[test]
fn a_good_one() {
    let text = "DO_ENABLED=true\nDO_SPACES_SECRET=hunter2\nSCAN_LIMIT=60\nTZ=UTC\nSHARD=\n\
                UPLOAD_TARGETS='attic, cellar'\nATTIC_BUCKET=b\nCELLAR_ACL=private\nRUN_STORE=shed\n\
                SHED_ENDPOINT=https://example.com\nGATHER=true\n";
    let found = ConfigFile { bytes: text.as_bytes().to_vec(), access: SAFE };
    assert_eq!(check(&found, 0), FileCheck { given: 10, problems: Vec::new() });
}

#[test]
fn a_setting_that_is_none_is_named_with_the_one_that_is_meant() {
    assert_said!([
        "BUILD_DELEY=hunter2",
        "build_delay=hunter2",
        "MAX_RETRYS=hunter2",
        "QUERY_TIMOUT=hunter2",
        "SHARDS=hunter2",
        "LOGDIR=hunter2",
        "DO_SPACE_SECRET=hunter2",
        "R2_SECRET_KEY=hunter2",
        "GATE_FRIDAYS=hunter2",
        "CLOUDFLARE_API_KEY=hunter2",
        "CONFIG_FILE=hunter2",
        "UPLOAD_TARGETS=attic\nATTIC_BUKET=hunter2",
    ]);
}

#[test]
fn other_programs_variables_are_let_be() {
    for name in [
        "TZ",
        "PATH",
        "HOME",
        "USER",
        "SHELL",
        "TERM",
        "LANG",
        "LC_ALL",
        "LANGUAGE",
        "MAILTO",
        "TMPDIR",
        "NO_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "RUST_BACKTRACE",
        "RUST_LOG_STYLE",
        "NO_COLOR",
        "EDITOR",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_SESSION_TOKEN",
        "CHUTNEY_PATH",
        "LD_LIBRARY_PATH",
        "NODE_OPTIONS",
        "CARGO_HOME",
        "DEBIAN_FRONTEND",
        "LOGNAME",
        "HOSTNAME",
        "PAGER",
        "CI",
        "NICE",
    ] {
        assert_eq!(problems(&format!("{name}=x")), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn of_each_settings_first_word_it_is_decided_whether_it_is_ours_alone() {
    let others_too = [
        "ALL",
        "ANALYSIS",
        "BOOTSTRAP",
        "BUILD",
        "CF",
        "CHECK",
        "DATA",
        "DELAY",
        "EXCLUDE",
        "FIRST",
        "KEY",
        "KNOWN",
        "LOCATION",
        "LOG",
        "MAX",
        "MIN",
        // NOTIFY_SOCKET is systemd's.
        "NOTIFY",
        "OUTPUT",
        "OVERDUE",
        "PROGRAM",
        "PUBLISHER",
        "QUERY",
        "RETRY",
        "RUN",
        "RUST",
        "SITE",
        "STATE",
        "STORE",
    ];
    let ours = OURS.map(|prefix| prefix.trim_end_matches('_'));
    let first = keys().filter_map(|key| Some(key.name.split_once('_')?.0));
    assert_eq!(
        ours.into_iter().chain(others_too).collect::<BTreeSet<_>>(),
        first.collect::<BTreeSet<_>>()
    );
}

#[test]
fn values_out_of_range() {
    assert_said!([
        "SCAN_LIMIT=59",
        "SCAN_LIMIT=86401",
        "SCAN_LIMIT=060",
        "SCAN_LIMIT=1.5",
        "UPLOAD_LIMIT=+5",
        "KEEP_RUNS=-1",
        "KEEP_RUNS=many",
        "MIN_FREE_MB=99999999999999999999999",
        "STORE_DEADLINE_MS=99",
        "GATHER=yes",
        "ZONE_CHECK=flase",
        "R2_ENABLED=2",
        "UPLOAD_TARGETS=attic\nATTIC_ENABLED=2",
        "RUN_STORE='do r2'",
        "STATE_DIR='~/state'",
        "LOG_DIR='~\u{202e}x'",
    ]);
    for text in ["SCAN_LIMIT=60", "SCAN_LIMIT=86400", "KEEP_RUNS=0", "ZONE_CHECK=No", "SCAN_LIMIT="]
    {
        assert_eq!(problems(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn everything_in_one_go_and_in_order() {
    let text = "SCAN_LIMIT=1\nexport A=1\nBUILD_DELEY=1\nDO_SPACES_SECRET=hunter2\n";
    let said = |mode| checked(text, Access { owner: 7, mode }, 1000).join("\n");
    insta::assert_snapshot!([said(0o666), said(0o620)].join("\n\n"));
}

#[test]
fn who_may_touch_the_file() {
    let secret = "A=1\nDO_SPACES_SECRET=hunter2\n";
    let with = |text: &str, owner, mode| checked(text, Access { owner, mode }, 1000).len();
    for mode in [0o400, 0o600, 0o640, 0o440] {
        assert_eq!(with(secret, 1000, mode), 0);
        assert_eq!(with(secret, 0, mode), 0);
    }
    assert_eq!(with(secret, 0, 0o644), 1);
    for other in [
        "DO_SPACES_SECRET=",
        "DO_BUCKET=reports",
        "AWS_PROFILE=x",
        "HTTPS_PROXY=http://proxy:3128",
        "SCAN_LIMIT=100",
    ] {
        assert_eq!(with(other, 0, 0o644), 0, "{other}");
    }
    for secret in [
        "AWS_SECRET_ACCESS_KEY=x",
        "AWS_ACCESS_KEY_ID=x",
        "HTTPS_PROXY=http://me:hunter2@proxy:3128",
        "UPLOAD_TARGETS=attic\nATTIC_SECRET_ACCESS_KEY=x",
        "CLOUDFLARE_API_TOKEN=x",
    ] {
        assert_eq!(with(secret, 0, 0o644), 1, "{secret}");
    }
    for (owner, mode) in [(1000, 0o620), (1000, 0o602), (1001, 0o600)] {
        assert_eq!(with("A=1", owner, mode), 1, "{owner} {mode:o}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_acts_on_a_terminal(bytes: Vec<u8>, owner: u32, mode in 0u32..0o7777) {
            for problem in check(&ConfigFile { bytes, access: Access { owner, mode } }, 0).problems {
                prop_assert_eq!(printable(&problem.to_string()), problem.to_string());
            }
        }

        #[test]
        fn names_and_values_of_any_kind(name in "[A-Z][A-Z_]{0,12}", value in "\\PC{0,10}") {
            let text = format!("{name}='{value}'\nUPLOAD_TARGETS='{value}'\nRUN_STORE='{value}'\n");
            for problem in problems(&text) {
                prop_assert_eq!(printable(&problem), problem);
            }
        }
    }
}
