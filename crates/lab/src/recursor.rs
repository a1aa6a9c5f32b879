//! Real resolvers for the lab's exits: unbound and BIND as Debian has them, each with its own ways, on an
//! address of its own. They ask the lab's name server and nobody else. Pure text, but for whether the
//! programs are there.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use record::CheckOutcome;
use serde::{Deserialize, Serialize};

use crate::authority;
use crate::process::Launch;
use crate::unpacked::unpacked;
use crate::zone::{CHECKS_DOMAIN, WILDCARD_DOMAIN};

/// The root of names that do not exist: no recursor of the lab asks anybody for them.
const INVALID: &str = "invalid";

/// A real resolver, and its ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Recursor {
    /// Unbound, which validates and shows no more of a name than it must. Its exit allows IPv6.
    Unbound,
    /// Unbound that does neither, and has no IPv6.
    UnboundPlain,
    /// Unbound that has no TCP.
    UnboundNoTcp,
    /// BIND, which validates and shows no more of a name than it must.
    Bind,
    /// BIND that does neither.
    BindPlain,
    /// Unbound that asks [`Recursor::Bind`] and nobody else.
    Forwarder,
}

/// What a true scan finds of a resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverTruth {
    /// Who asks the zone for it.
    pub addresses: Vec<IpAddr>,
    /// Whether it validates.
    pub validates: Option<CheckOutcome>,
    /// Whether it asks by TCP.
    pub tcp: Option<CheckOutcome>,
    /// Whether it asks by IPv6.
    pub ipv6: Option<CheckOutcome>,
}

impl Recursor {
    /// All of them, in the order of the lab's tables. Who is asked by another comes before that.
    pub const ALL: [Self; 6] = [
        Self::Unbound,
        Self::UnboundPlain,
        Self::UnboundNoTcp,
        Self::Bind,
        Self::BindPlain,
        Self::Forwarder,
    ];

    /// Those whose programs are there: unpacked by `tools/unpack`, or the machine's own. Without unbound
    /// or without BIND there are none of these, nor who asks them.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let there = |name, program| {
            let said = unpacked(name, program)
                .arg("-V")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            said.is_ok_and(|status| status.success())
        };
        let (unbound, bind) = (there("unbound", "unbound"), there("named", "named"));
        let is_there = |recursor: &Self| match recursor {
            Self::Unbound | Self::UnboundPlain | Self::UnboundNoTcp => unbound,
            Self::Bind | Self::BindPlain => bind,
            Self::Forwarder => unbound && bind,
        };
        Self::ALL.into_iter().filter(is_there).collect()
    }

    /// A short name, fit to be a relay's nickname.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::UnboundPlain => "unboundplain",
            Self::UnboundNoTcp => "unboundnotcp",
            Self::Bind => "bind",
            Self::BindPlain => "bindplain",
            Self::Forwarder => "forwarder",
        }
    }

    /// What it is, in plain words.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Unbound => "unbound; its exit allows IPv6",
            Self::UnboundPlain => "unbound, without validation and IPv6",
            Self::UnboundNoTcp => "unbound, without TCP",
            Self::Bind => "BIND",
            Self::BindPlain => "BIND, without validation",
            Self::Forwarder => "unbound, which asks that BIND",
        }
    }

    /// Its own address on loopback, from which it asks.
    pub(crate) const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, 0, 1 + self as u8)
    }

    /// Where it listens: BIND does so at no address but those that an interface has.
    pub(crate) const fn listens_on(self) -> Ipv4Addr {
        if self.is_bind() { Ipv4Addr::LOCALHOST } else { self.address() }
    }

    /// Whether its exit allows IPv6.
    pub(crate) const fn ipv6_exit(self) -> bool {
        matches!(self, Self::Unbound)
    }

    const fn is_bind(self) -> bool {
        matches!(self, Self::Bind | Self::BindPlain)
    }

    const fn validates(self) -> bool {
        !matches!(self, Self::UnboundPlain | Self::BindPlain)
    }

    /// Who asks the zone's name server in the end.
    const fn asks(self) -> Self {
        match self {
            Self::Forwarder => Self::Bind,
            other => other,
        }
    }

    /// What a true scan finds, on a machine with or without IPv6.
    pub(crate) fn truth(self, ipv6: bool) -> ResolverTruth {
        let yes = |it: bool| Some(if it { CheckOutcome::Yes } else { CheckOutcome::No });
        let asks = self.asks();
        let mut addresses = vec![IpAddr::V4(asks.address())];
        addresses.extend((ipv6 && self.ipv6_exit()).then_some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        ResolverTruth {
            addresses,
            validates: yes(self.validates()),
            tcp: yes(asks != Self::UnboundNoTcp),
            ipv6: yes(ipv6 && asks != Self::UnboundPlain),
        }
    }

    /// How to start it, with its files in `dir`: what to run, and the files that it reads, by name.
    pub(crate) fn launch(
        self,
        dir: &Path,
        ground: &RecursorGround,
    ) -> (Launch, Vec<(&'static str, String)>) {
        let conf = dir.join("conf");
        let (command, mut arguments, files) = if self.is_bind() {
            let files =
                vec![("conf", self.named(dir, ground)), ("hints", hints()), ("none", empty_zone())];
            let arguments = vec![OsString::from("-g"), "-n".into(), "1".into(), "-c".into()];
            (unpacked("named", "named"), arguments, files)
        } else {
            let arguments = vec![OsString::from("-d"), "-p".into(), "-c".into()];
            (unpacked("unbound", "unbound"), arguments, vec![("conf", self.unbound(dir, ground))])
        };
        arguments.push(conf.into());
        let environment = command.get_envs();
        let environment =
            environment.filter_map(|(name, value)| Some((name.into(), value?.into())));
        let launch = Launch {
            program: command.get_program().into(),
            arguments,
            environment: environment.collect(),
            output: dir.join("output"),
        };
        (launch, files)
    }

    /// Unbound's configuration.
    fn unbound(self, dir: &Path, ground: &RecursorGround) -> String {
        let on = |it: bool| if it { "yes" } else { "no" };
        let (address, port) = (self.address(), ground.port(self));
        let ipv6 = ground.ipv6 && self != Self::UnboundPlain;
        let modules = if self.validates() { "validator iterator" } else { "iterator" };
        let mut text = format!(
            "server:\n directory: \"{dir}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n \
             use-syslog: no\n logfile: \"\"\n num-threads: 1\n interface: {address}@{port}\n \
             outgoing-interface: {address}\n do-ip6: {ip6}\n do-tcp: {tcp}\n \
             do-not-query-localhost: no\n access-control: 127.0.0.0/8 allow\n \
             module-config: \"{modules}\"\n qname-minimisation: {minimises}\n \
             outgoing-range: 128\n num-queries-per-thread: 64\n msg-cache-size: 1m\n \
             rrset-cache-size: 2m\n key-cache-size: 1m\n",
            dir = dir.display(),
            ip6 = on(ipv6),
            tcp = on(self != Self::UnboundNoTcp),
            minimises = on(self != Self::UnboundPlain),
        );
        if ipv6 {
            text += " outgoing-interface: ::1\n";
        }
        if self.validates() {
            let _ = writeln!(text, " trust-anchor: \"{}\"", ground.anchor);
        }
        text += "remote-control:\n control-enable: no\n";
        if self == Self::Forwarder {
            let (address, port) = (Self::Bind.listens_on(), ground.port(Self::Bind));
            return text
                + &format!("forward-zone:\n name: \".\"\n forward-addr: {address}@{port}\n");
        }
        // It follows no referral to another port than 53. Whatever else is asked for stays here as well.
        let server = ground.authority;
        let [v4, v6] = [server.to_string().replace(':', "@"), format!("::1@{}", server.port())];
        for (name, by) in [
            (".", &v4),
            (WILDCARD_DOMAIN, &v4),
            (CHECKS_DOMAIN, &v4),
            (&format!("who.{CHECKS_DOMAIN}"), &v4),
            (&format!("who6.{CHECKS_DOMAIN}"), &v6),
            (&format!("v6.{CHECKS_DOMAIN}"), &v6),
        ] {
            let _ = writeln!(text, "stub-zone:\n name: \"{name}\"\n stub-addr: {by}");
        }
        text
    }

    /// BIND's configuration. It follows referrals to `port`, which it asks for everything.
    fn named(self, dir: &Path, ground: &RecursorGround) -> String {
        let on = |it: bool| if it { "yes" } else { "no" };
        let (address, server) = (self.address(), authority::ADDRESS);
        let mut text = format!(
            "options {{\n directory \"{dir}\";\n pid-file none;\n session-keyfile none;\n \
             managed-keys-directory \"{dir}\";\n port {port};\n \
             listen-on port {own} {{ {listens}; }};\n listen-on-v6 {{ none; }};\n \
             query-source address {address};\n {ipv6} recursion yes;\n \
             allow-query {{ 127.0.0.0/8; }};\n allow-recursion {{ 127.0.0.0/8; }};\n \
             dnssec-validation {validates};\n qname-minimization {minimises};\n \
             max-cache-size 8m;\n notify no;\n}};\ncontrols {{ }};\n",
            dir = dir.display(),
            port = ground.authority.port(),
            own = ground.port(self),
            listens = self.listens_on(),
            ipv6 = if ground.ipv6 { "query-source-v6 address ::1;\n" } else { "" },
            validates = on(self.validates()),
            minimises = if self == Self::BindPlain { "off" } else { "relaxed" },
        );
        if self.validates() {
            let _ = writeln!(text, "trust-anchors {{ {} }};", bind_anchor(&ground.anchor));
        }
        for (name, what) in [
            (".", "type hint; file \"hints\";".to_owned()),
            (INVALID, "type primary; file \"none\";".to_owned()),
            (WILDCARD_DOMAIN, format!("type static-stub; server-addresses {{ {server}; }};")),
            (CHECKS_DOMAIN, format!("type static-stub; server-addresses {{ {server}; }};")),
        ] {
            let _ = writeln!(text, "zone \"{name}\" {{ {what} }};");
        }
        text
    }
}

/// What every recursor of a lab is started with.
#[derive(Debug)]
pub(crate) struct RecursorGround {
    /// The zone's name server.
    pub(crate) authority: SocketAddr,
    /// Whether that has an IPv6 address.
    pub(crate) ipv6: bool,
    /// The checks zone's key as a DS record, for those that validate.
    pub(crate) anchor: String,
    /// The port of each, in the order of [`Recursor::ALL`].
    pub(crate) ports: [u16; Recursor::ALL.len()],
}

impl RecursorGround {
    /// A recursor's port on its own address.
    pub(crate) const fn port(&self, recursor: Recursor) -> u16 {
        self.ports[recursor as usize]
    }
}

/// Who is asked for the root: the zone's name server, which refuses.
fn hints() -> String {
    format!(". 3600 IN NS ns.{INVALID}.\nns.{INVALID}. 3600 IN A {}\n", authority::ADDRESS)
}

/// A zone in which no name exists.
fn empty_zone() -> String {
    "@ 3600 IN SOA localhost. root.localhost. 1 3600 3600 3600 60\n@ 3600 IN NS localhost.\n"
        .to_owned()
}

/// A DS record as BIND has it: `NAME static-ds TAG ALGORITHM KIND "DIGEST";`.
fn bind_anchor(ds: &str) -> String {
    let words: Vec<&str> = ds.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "DS").unwrap_or(0);
    let rest = words.get(at + 1..).unwrap_or_default();
    let (numbers, digest) = rest.split_at(rest.len().min(3));
    let name = words.first().copied().unwrap_or_default();
    format!("\"{name}\" static-ds {} \"{}\";", numbers.join(" "), digest.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_address_and_a_name_of_its_own() {
        let addresses: std::collections::BTreeSet<_> =
            Recursor::ALL.iter().map(|recursor| recursor.address()).collect();
        assert_eq!(addresses.len(), Recursor::ALL.len());
        let of = |recursor: Recursor| recursor.truth(true).addresses;
        assert_eq!(of(Recursor::Forwarder), of(Recursor::Bind), "who asks is who is asked");
    }

    #[test]
    fn a_key_is_written_as_bind_wants_it() {
        let ds = "checks.example. 3600 IN DS 12345 13 2 ABCD EF01";
        let bind = "\"checks.example.\" static-ds 12345 13 2 \"ABCDEF01\";";
        assert_eq!(bind_anchor(ds), bind);
    }
}
