//! `onionoo-dns.json`: the verdicts by fingerprint, small enough to be joined to Onionoo's documents
//! on every build of a site.

use chrono::{DateTime, Utc};
use record::{Kind, OnionooDns, OnionooRelay, Report, ReportedRelay};

pub(crate) fn of_report(report: &Report) -> OnionooDns {
    let metadata = &report.metadata;
    OnionooDns {
        format: Kind::OnionooDns.format(),
        relays_published: time(metadata.timestamp),
        run_id: metadata.run_id.clone(),
        license: metadata.license.clone(),
        relays: report.results.iter().map(|one| relay(one, metadata.timestamp)).collect(),
    }
}

fn relay(relay: &ReportedRelay, now: DateTime<Utc>) -> OnionooRelay {
    OnionooRelay {
        fingerprint: relay.exit_fingerprint,
        status: relay.status,
        state: relay.state,
        error_code: relay.error_code,
        provisional: relay.provisional,
        degraded: relay.degraded,
        consecutive_failures: relay.consecutive_failures,
        failing_since: relay.failing_since.map(time),
        last_success: relay.last_success.filter(|last| *last != now).map(time),
        failure_rate_7d_percent: relay
            .failure_rate_7d
            .filter(|rate| rate.failed > 0)
            .map(|rate| rate.percent),
    }
}

/// As Onionoo writes times.
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
