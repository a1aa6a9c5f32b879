//! The closed lists: what a verdict can be, why, and where the fault lies.

use serde::{Deserialize, Serialize};

/// An enum whose variants have fixed names in JSON, and a list of all of them.
macro_rules! closed_list {
    (
        $(#[$list:meta])*
        $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$list])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $( $(#[doc = $doc])+ #[serde(rename = $text)] $variant, )+ }

        impl $name {
            /// Every value, in the documented order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON and in the documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What the value means, in plain words: the text of the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use closed_list;

closed_list! {
    /// What became of a relay, or of one attempt at it.
    Status {
        /// The expected answer came; in nxdomain mode, a definite answer of the exit's resolver.
        Success = "success",
        /// An address other than the expected one came, on any attempt: a later right answer does
        /// not wipe out a wrong one.
        WrongIp = "wrong_ip",
        /// The exit answered that it could not resolve the name.
        DnsFail = "dns_fail",
        /// The query was sent on a built circuit and nothing came back in time.
        Timeout = "timeout",
        /// The circuit did not build, or died before an answer came. Says nothing about the
        /// relay's DNS.
        CircuitFail = "circuit_fail",
        /// The local tor failed us, or what came was not the answer of an exit.
        Error = "error",
        /// A fault of the scanner itself.
        Exception = "exception",
    }
}

impl Status {
    /// Whether the relay's DNS was really put to the test.
    #[must_use]
    pub const fn tested(self) -> bool {
        matches!(self, Self::Success | Self::WrongIp | Self::DnsFail | Self::Timeout)
    }

    /// Whether it counts against the relay's DNS.
    #[must_use]
    pub const fn counts_against_dns(self) -> bool {
        self.tested() && !matches!(self, Self::Success)
    }
}

closed_list! {
    /// Where the fault lies.
    Blame {
        /// This host: the scanner, its tor, or its network.
        Scanner = "scanner",
        /// The first relay of the circuit.
        FirstHop = "first_hop",
        /// The exit relay, apart from its resolver.
        Exit = "exit",
        /// The exit's DNS resolver.
        Resolver = "resolver",
        /// Our own DNS zone.
        Zone = "zone",
        /// The evidence does not tell, for instance whether the first hop or the exit broke the
        /// link between them when only one first hop was tried.
        Unknown = "unknown",
    }
}

closed_list! {
    /// Why a verdict is not a success.
    ErrorCode {
        /// The exit's resolver gave a public address other than the expected one.
        UnexpectedAddress = "UNEXPECTED_ADDRESS",
        /// The exit's resolver gave an address that is private, local or otherwise not public. On
        /// the public network tor refuses such an answer and the address itself is not known.
        PrivateAddress = "PRIVATE_ADDRESS",
        /// The resolver's permanent error, which is NXDOMAIN, REFUSED or no such record: tor does
        /// not tell them apart.
        Nxdomain = "NXDOMAIN",
        /// The name resolves, but not in the address family asked for.
        NoAddress = "NO_ADDRESS",
        /// The resolver's transient error, which came before the exit gave up waiting: SERVFAIL, a
        /// truncated answer without TCP, or an answer that cannot be read.
        Servfail = "SERVFAIL",
        /// A transient error that came when the exit gave up waiting: its resolver is silent, too
        /// slow, or not configured.
        ResolverTimeout = "RESOLVER_TIMEOUT",
        /// The exit answered that it could not resolve, but of which kind the error is could not be
        /// learned: the second lookup failed, or the path itself is too slow to tell.
        ResolveFailed = "RESOLVE_FAILED",
        /// The exit ended the lookup without an answer of either kind.
        ExitEndedStream = "EXIT_ENDED_STREAM",
        /// The relay no longer exits: it refuses lookups, and by its exit policy a connection that
        /// its published policy allows.
        NotAnExit = "NOT_AN_EXIT",
        /// The exit is out of its traffic allowance or shuts down: it takes no streams, and answers
        /// lookups without asking its resolver.
        Hibernating = "HIBERNATING",
        /// Nothing came back in time, neither an answer nor the exit's own giving up.
        Timeout = "TIMEOUT",
        /// The circuit was not built in time.
        CircuitTimeout = "CIRCUIT_TIMEOUT",
        /// The first hop could not be reached, or refused.
        CircuitFirstHopFailed = "CIRCUIT_FIRST_HOP_FAILED",
        /// The first hop was reached and could not reach the exit.
        CircuitExitUnreachable = "CIRCUIT_EXIT_UNREACHABLE",
        /// The circuit was built and died before an answer came.
        CircuitDestroyed = "CIRCUIT_DESTROYED",
        /// The circuit failed in a way that is not known to mean any of the others; the reasons
        /// that tor gave are kept with the attempt.
        CircuitFailed = "CIRCUIT_FAILED",
        /// The relay left the consensus after it was selected.
        LeftConsensus = "LEFT_CONSENSUS",
        /// The local tor has no descriptor of the relay, or of the first hop.
        NoDescriptor = "NO_DESCRIPTOR",
        /// The local tor gave the circuit up before the scanner's own time limit: it has learned, or
        /// was told, to be less patient.
        TorGaveUp = "TOR_GAVE_UP",
        /// The local tor, or another controller of it, closed the circuit.
        ClosedLocally = "CLOSED_LOCALLY",
        /// SOCKS reply 1.
        SocksGeneralFailure = "SOCKS_GENERAL_FAILURE",
        /// SOCKS reply 2.
        SocksNotAllowed = "SOCKS_NOT_ALLOWED",
        /// SOCKS reply 3.
        SocksNetworkUnreachable = "SOCKS_NETWORK_UNREACHABLE",
        /// SOCKS reply 4 without the closing event of the stream that would tell what it means.
        SocksHostUnreachable = "SOCKS_HOST_UNREACHABLE",
        /// SOCKS reply 5.
        SocksConnectionRefused = "SOCKS_CONNECTION_REFUSED",
        /// SOCKS reply 6.
        SocksTtlExpired = "SOCKS_TTL_EXPIRED",
        /// SOCKS reply 7.
        SocksCommandNotSupported = "SOCKS_COMMAND_NOT_SUPPORTED",
        /// SOCKS reply 8.
        SocksAddressTypeNotSupported = "SOCKS_ADDRESS_TYPE_NOT_SUPPORTED",
        /// A SOCKS reply that RFC 1928 does not assign.
        SocksUnknownReply = "SOCKS_UNKNOWN_REPLY",
        /// Tor's SOCKS port could not be reached, or broke off without a reply.
        SocksFailed = "SOCKS_FAILED",
        /// Tor's DNSPort could not be reached, or did not answer as DNS.
        DnsPortFailed = "DNS_PORT_FAILED",
        /// Tor never showed the stream of our lookup.
        StreamNotSeen = "STREAM_NOT_SEEN",
        /// A reply came, and tor never showed the stream of our lookup: the port belongs to another
        /// tor or another program.
        ForeignPort = "FOREIGN_PORT",
        /// Tor answered the lookup itself, or changed its name, by a map of addresses, and asked no
        /// exit for it.
        AnsweredByTor = "ANSWERED_BY_TOR",
        /// What tor's events say of the lookup and the reply on its socket do not agree, or one of
        /// them never came.
        WitnessesDisagree = "WITNESSES_DISAGREE",
        /// Tor refused to attach our lookup to the circuit, or another controller of the same tor
        /// took it to a circuit of its own.
        AttachRefused = "ATTACH_REFUSED",
        /// The stream closed in a way that is not known to mean any of the others; the reasons
        /// that tor gave are kept with the attempt.
        StreamFailed = "STREAM_FAILED",
        /// The local tor refused to launch the circuit for a reason of its own.
        LaunchRefused = "LAUNCH_REFUSED",
        /// The local tor died or its control port went silent in the middle of the attempt.
        TorLost = "TOR_LOST",
        /// A fault of the scanner.
        Exception = "EXCEPTION",
    }
}

closed_list! {
    /// How a scan judges answers.
    Mode {
        /// Names in a zone that answers every name with one expected address.
        Wildcard = "wildcard",
        /// Names that do not exist: any definite answer of the exit's resolver is a success.
        Nxdomain = "nxdomain",
    }
}

closed_list! {
    /// What was found beside a verdict. It changes no verdict and no streak.
    FindingCode {
        /// The answer was the page of a well-known filter, which `name` tells.
        NamedFilter = "NAMED_FILTER",
        /// The exit allows IPv6, and its resolver never answers for IPv6 addresses: every lookup takes
        /// as long as the exit waits.
        AaaaStall = "AAAA_STALL",
    }
}

closed_list! {
    /// What came of asking for IPv6 addresses.
    Ipv6Outcome {
        /// The expected address came.
        Expected = "expected",
        /// An address came; which one would be right was not asked for.
        Address = "address",
        /// An address other than the expected one came.
        WrongAddress = "wrong_address",
        /// The exit answered, without an IPv6 address: the zone has none, or the resolver failed.
        NoAddress = "no_address",
        /// Two circuits saw the exit wait in vain for its resolver.
        Stall = "stall",
        /// The exit did not answer, or it is not certain that it did.
        Unknown = "unknown",
    }
}
