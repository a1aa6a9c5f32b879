//! What a webhook says, in our JSON or in Alertmanager's, and its signature by Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>). Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use record::{Incident, IncidentSubject};
use serde::{Deserialize, Serialize};
use standardwebhooks::Webhook;

use crate::incident::Happening;
use crate::words;

/// Which JSON a webhook speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WebhookFormat {
    /// Ours: one message a happening
    Json,
    /// Alertmanager's, version 4: for what understands its webhooks
    Alertmanager,
}

/// A key that bodies are signed with. It is never shown.
pub struct SigningKey(Webhook);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// A key that is none. The text does not hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a key as Standard Webhooks has it: whsec_ and 24 to 64 bytes in base64")]
pub struct SigningKeyError;

impl SigningKey {
    /// The keys in a setting: one, or several with spaces between them, while a key changes.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`].
    pub fn all(text: &str) -> Result<Vec<Self>, SigningKeyError> {
        let keys = text.split_whitespace();
        keys.map(|key| Webhook::new(key).map(Self).map_err(|_| SigningKeyError)).collect()
    }
}

/// The headers of a signed message, by name.
#[must_use]
pub fn headers(
    keys: &[SigningKey],
    id: &str,
    now: DateTime<Utc>,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now.timestamp().to_string()),
    ];
    let signatures: Vec<String> =
        keys.iter().filter_map(|key| key.0.sign(id, now.timestamp(), body).ok()).collect();
    if !signatures.is_empty() {
        headers.push(("webhook-signature", signatures.join(" ")));
    }
    headers
}

/// Our message about an incident.
#[derive(Debug, Serialize)]
struct Message<'a> {
    r#type: &'static str,
    timestamp: DateTime<Utc>,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    incident: &'a Incident,
}

/// The body of a message in our JSON.
///
/// # Errors
///
/// None that is known: everything in an incident has a place in JSON.
pub fn ours(
    incident: &Incident,
    happening: Happening,
    at: DateTime<Utc>,
    site: Option<&str>,
) -> Result<String, serde_json::Error> {
    let r#type = match happening {
        Happening::Opened => "incident.opened",
        Happening::Reopened => "incident.reopened",
        Happening::Changed => "incident.changed",
        Happening::Closed => "incident.closed",
    };
    let url = site.map(|site| words::address(site, &incident.id));
    let data = Data { title: words::title(incident), url, incident };
    serde_json::to_string(&Message { r#type, timestamp: at, data })
}

/// A message that says nothing, in our JSON.
#[must_use]
pub fn test(now: DateTime<Utc>) -> serde_json::Value {
    serde_json::json!({ "type": "test", "timestamp": now, "data": {} })
}

/// An alert as Alertmanager knows it
/// (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// `firing` or `resolved`; not there in what is pushed to Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it is known by.
    pub labels: BTreeMap<String, String>,
    /// What there is to read.
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: DateTime<Utc>,
    /// When it ended, or is to be forgotten unless it is told again.
    pub ends_at: DateTime<Utc>,
    /// Where to look.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
    /// The same for the same incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertGroup {
    version: &'static str,
    group_key: String,
    truncated_alerts: u32,
    status: &'static str,
    receiver: &'static str,
    group_labels: BTreeMap<String, String>,
    common_labels: BTreeMap<String, String>,
    common_annotations: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: String,
    alerts: Vec<Alert>,
}

/// An incident as an alert. `forgotten`: when an open one ends unless it is told again.
#[must_use]
pub fn alert(incident: &Incident, forgotten: DateTime<Utc>, site: Option<&str>) -> Alert {
    let name = match incident.subject {
        IncidentSubject::Operator { .. } => "TorExitsCannotResolve",
        IncidentSubject::AutonomousSystem { .. } => "TorExitNetworkCannotResolve",
        IncidentSubject::ResolverNetwork { .. } => "TorExitResolverNetworkFails",
        IncidentSubject::FailureRate => "TorExitFailureRate",
        IncidentSubject::Zone => "TorExitValidatorZone",
        IncidentSubject::Silence => "TorExitValidatorSilent",
    };
    let severity = match incident.subject {
        IncidentSubject::Operator { .. }
        | IncidentSubject::AutonomousSystem { .. }
        | IncidentSubject::ResolverNetwork { .. } => "warning",
        IncidentSubject::FailureRate | IncidentSubject::Zone | IncidentSubject::Silence => {
            "critical"
        }
    };
    let mut labels = BTreeMap::from([
        ("alertname".to_owned(), name.to_owned()),
        ("severity".to_owned(), severity.to_owned()),
        ("incident".to_owned(), incident.id.clone()),
    ]);
    if let IncidentSubject::AutonomousSystem { number, .. }
    | IncidentSubject::ResolverNetwork { number, .. } = incident.subject
    {
        labels.insert("as".to_owned(), number.to_string());
    }
    let annotations = BTreeMap::from([
        ("summary".to_owned(), words::title(incident)),
        ("description".to_owned(), words::story(incident)),
    ]);
    Alert {
        status: None,
        labels,
        annotations,
        starts_at: incident.since,
        ends_at: incident.closed.unwrap_or(forgotten),
        generator_url: site.map_or_else(String::new, |site| words::address(site, &incident.id)),
        fingerprint: None,
    }
}

/// The body of a message in Alertmanager's JSON, version 4.
///
/// # Errors
///
/// As [`ours`].
pub fn alertmanager(incident: &Incident, site: Option<&str>) -> Result<String, serde_json::Error> {
    let status = if incident.is_open() { "firing" } else { "resolved" };
    // Alertmanager's own word for "not ended".
    let alert = Alert {
        status: Some(status.to_owned()),
        fingerprint: Some(incident.id.rsplit('-').next().unwrap_or_default().to_owned()),
        ..alert(incident, DateTime::default(), site)
    };
    serde_json::to_string(&AlertGroup {
        version: "4",
        group_key: format!("exit-validator:{}", incident.id),
        truncated_alerts: 0,
        status,
        receiver: "exit-validator",
        group_labels: BTreeMap::from([("incident".to_owned(), incident.id.clone())]),
        common_labels: alert.labels.clone(),
        common_annotations: alert.annotations.clone(),
        external_url: site.unwrap_or_default().to_owned(),
        alerts: vec![alert],
    })
}

/// What is pushed to Alertmanager: what is open, and what ended within the last day.
///
/// # Errors
///
/// As [`ours`].
pub fn pushed(
    incidents: &[&Incident],
    now: DateTime<Utc>,
    told_again: TimeDelta,
    site: Option<&str>,
) -> Result<String, serde_json::Error> {
    let day = TimeDelta::days(1);
    let fresh = |incident: &&&Incident| incident.closed.is_none_or(|closed| now - closed < day);
    let alerts: Vec<Alert> = incidents
        .iter()
        .filter(fresh)
        .map(|incident| alert(incident, now + told_again, site))
        .collect();
    serde_json::to_string(&alerts)
}
