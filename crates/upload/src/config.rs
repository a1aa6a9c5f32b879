//! From an environment to targets: which stores, where they are, with which keys. Pure. A variable
//! that is empty counts as not given.

use std::collections::BTreeMap;
use std::fmt;

/// An environment: what `config.env` and the process's own say.
pub type Environment = BTreeMap<String, String>;

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text` from now on.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that signs with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public part. Not shown either: with some stores it is enough to find the account.
    pub id: Secret,
    /// Its secret part.
    pub secret: Secret,
    /// Of a temporary key.
    pub token: Option<Secret>,
}

/// A store to publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What the configuration calls it: `do`, `r2`, or a name of the operator's.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with: empty, or ends with `/`.
    pub prefix: String,
    /// Where the store is, `https://...`; `None` for AWS itself.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket is a part of the path, and not of the host's name.
    pub path_style: bool,
    /// The ACL of published objects, where the store wants one. Runs never have one.
    pub acl: Option<String>,
    /// `None` for the usual AWS sources of credentials.
    pub key: Option<AccessKey>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No target is enabled, and none was named.
    #[error(
        "no store is configured: set DO_ENABLED=true, R2_ENABLED=true or S3_ENABLED=true and their \
         settings in config.env, or name one with --target"
    )]
    NoTarget,
    /// A target's name cannot be the beginning of a variable.
    #[error("the target {0:?} is not a name: letters, digits and _, beginning with a letter")]
    Name(String),
    /// A variable is missing.
    #[error("the target {target} needs {variable} in config.env")]
    Missing {
        /// The target.
        target: String,
        /// The variable.
        variable: String,
    },
    /// A variable has a value that cannot be meant. Never a secret's.
    #[error("{variable} is {value:?}: {wanted}")]
    Value {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
}

/// The targets named, or those that are enabled: `do`, `r2`, `s3` and whatever `UPLOAD_TARGETS`
/// names, in this order.
///
/// # Errors
///
/// [`ConfigError`].
pub fn targets(environment: &Environment, named: &[String]) -> Result<Vec<Target>, ConfigError> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    };
    if named.is_empty() {
        let more = environment.get("UPLOAD_TARGETS").map(String::as_str).unwrap_or_default();
        let more: Vec<&str> = more.split([',', ' ']).filter(|name| !name.is_empty()).collect();
        for name in ["do", "r2", "s3"] {
            if (TargetSettings { environment, name }).enabled(false)? {
                add(name);
            }
        }
        for name in more {
            // Named in the list is enabled, unless it says otherwise.
            if (TargetSettings { environment, name }).enabled(true)? {
                add(name);
            }
        }
    } else {
        named.iter().for_each(|name| add(name));
    }
    if names.is_empty() {
        return Err(ConfigError::NoTarget);
    }
    names.iter().map(|name| TargetSettings { environment, name }.target()).collect()
}

/// The variables of one target.
struct TargetSettings<'a> {
    environment: &'a Environment,
    name: &'a str,
}

impl TargetSettings<'_> {
    fn target(&self) -> Result<Target, ConfigError> {
        if !settings::is_target(self.name) {
            return Err(ConfigError::Name(self.name.to_owned()));
        }
        match self.name {
            "do" => self.spaces(),
            "r2" => self.r2(),
            _ => self.generic(),
        }
    }

    /// DigitalOcean Spaces: the bucket in the host's name, requests signed for the region that the
    /// host's name has. Objects are readable by anyone, as the dashboard falls back to them.
    fn spaces(&self) -> Result<Target, ConfigError> {
        let region = self.needed(&["SPACES_REGION", "REGION"])?;
        self.host_part("SPACES_REGION", &region)?;
        let endpoint = self.endpoint()?;
        self.build(Target {
            path_style: self.flag("PATH_STYLE")?.unwrap_or(endpoint.is_some()),
            endpoint: endpoint.or_else(|| Some(format!("https://{region}.digitaloceanspaces.com"))),
            acl: Some(self.get("ACL").unwrap_or_else(|| "public-read".to_owned())),
            key: self.key("SPACES_KEY", "SPACES_SECRET")?,
            ..self.empty(region)
        })
    }

    /// Cloudflare R2: the account in the host's name, region `auto`. It has no ACLs.
    fn r2(&self) -> Result<Target, ConfigError> {
        let endpoint = match self.endpoint()? {
            Some(endpoint) => endpoint,
            None => {
                let account = match self.environment.get("CF_ACCOUNT_ID").map(|id| id.trim()) {
                    None | Some("") => {
                        let variable = "CF_ACCOUNT_ID".to_owned();
                        return Err(ConfigError::Missing {
                            target: self.name.to_owned(),
                            variable,
                        });
                    }
                    Some(account) => account,
                };
                if !account.chars().all(|c| c.is_ascii_alphanumeric()) {
                    return Err(ConfigError::Value {
                        variable: "CF_ACCOUNT_ID".to_owned(),
                        value: account.to_owned(),
                        wanted: "an account's id is 32 hexadecimal digits",
                    });
                }
                format!("https://{account}.r2.cloudflarestorage.com")
            }
        };
        self.build(Target {
            path_style: self.flag("PATH_STYLE")?.unwrap_or(true),
            endpoint: Some(endpoint),
            key: self.key("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")?,
            ..self.empty(self.get("REGION").unwrap_or_else(|| "auto".to_owned()))
        })
    }

    /// Any other store: AWS where no endpoint is given, otherwise the bucket in the path, which
    /// every store of one's own understands.
    fn generic(&self) -> Result<Target, ConfigError> {
        let endpoint = self.endpoint()?;
        let region = self.get("REGION").unwrap_or_else(|| "us-east-1".to_owned());
        self.build(Target {
            path_style: self.flag("PATH_STYLE")?.unwrap_or(endpoint.is_some()),
            endpoint,
            acl: self.get("ACL"),
            key: self.key("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")?,
            ..self.empty(region)
        })
    }

    fn empty(&self, region: String) -> Target {
        Target {
            name: self.name.to_owned(),
            bucket: String::new(),
            prefix: String::new(),
            endpoint: None,
            region,
            path_style: true,
            acl: None,
            key: None,
        }
    }

    /// What every target has.
    fn build(&self, mut target: Target) -> Result<Target, ConfigError> {
        target.bucket = self.needed(&["BUCKET"])?;
        self.host_part("BUCKET", &target.bucket)?;
        if let Some(prefix) = self.get("PREFIX") {
            let prefix = prefix.trim_matches('/');
            if crate::keys::publishable(prefix).is_err() || prefix.len() > 100 {
                return Err(ConfigError::Value {
                    variable: self.variable("PREFIX"),
                    value: prefix.to_owned(),
                    wanted: "at most 100 letters, digits, and . _ - between single /",
                });
            }
            target.prefix = format!("{prefix}/");
        }
        Ok(target)
    }

    fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.name.to_ascii_uppercase())
    }

    fn get(&self, what: &str) -> Option<String> {
        let variable = self.variable(what);
        // The list of settings is complete.
        debug_assert!(
            settings::find(&variable)
                .or_else(|| settings::of_target(self.name, &variable))
                .is_some(),
            "{variable} is not in the list of settings"
        );
        let value = self.environment.get(&variable)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn needed(&self, whats: &[&str]) -> Result<String, ConfigError> {
        whats.iter().find_map(|what| self.get(what)).ok_or_else(|| ConfigError::Missing {
            target: self.name.to_owned(),
            variable: self.variable(whats.first().copied().unwrap_or_default()),
        })
    }

    fn enabled(&self, default: bool) -> Result<bool, ConfigError> {
        Ok(self.flag("ENABLED")?.unwrap_or(default))
    }

    fn flag(&self, what: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.get(what) else { return Ok(None) };
        match settings::yes_or_no(&value) {
            Some(yes) => Ok(Some(yes)),
            None => Err(ConfigError::Value {
                variable: self.variable(what),
                value,
                wanted: "write true or false",
            }),
        }
    }

    fn endpoint(&self) -> Result<Option<String>, ConfigError> {
        let Some(endpoint) = self.get("ENDPOINT") else { return Ok(None) };
        let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        // A user part would be a secret in a place that is shown.
        let sound = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']) && !rest.starts_with('/')
        });
        if sound {
            return Ok(Some(endpoint.trim_end_matches('/').to_owned()));
        }
        Err(ConfigError::Value {
            variable: self.variable("ENDPOINT"),
            value: if endpoint.contains('@') { "(not shown)".to_owned() } else { endpoint },
            wanted: "an endpoint is https://HOST or http://HOST:PORT, without a user",
        })
    }

    /// Both parts, or neither.
    fn key(&self, id: &str, secret: &str) -> Result<Option<AccessKey>, ConfigError> {
        let missing = |what| ConfigError::Missing {
            target: self.name.to_owned(),
            variable: self.variable(what),
        };
        match (self.get(id), self.get(secret)) {
            (Some(id), Some(secret)) => Ok(Some(AccessKey {
                id: Secret::new(id),
                secret: Secret::new(secret),
                token: self.get("SESSION_TOKEN").map(Secret::new),
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(secret)),
            (None, Some(_)) => Err(missing(id)),
        }
    }

    /// What becomes a part of a host's name or of a path.
    fn host_part(&self, what: &str, value: &str) -> Result<(), ConfigError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !value.is_empty() && value.len() <= 63 && value.chars().all(plain) {
            return Ok(());
        }
        Err(ConfigError::Value {
            variable: self.variable(what),
            value: value.to_owned(),
            wanted: "at most 63 letters, digits, and - . _",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
