//! What a scan would do, told to a person. Pure.

use std::fmt::Write;

use record::{Mode, printable};

use crate::cli::ScanConfig;
use crate::prepare::Basis;
use crate::summary::spoken;

/// Most exits that are listed.
const MOST_LISTED: usize = 50;

/// Which exits would be tested, through what, at what pace and for how long.
#[must_use]
pub fn tell(config: &ScanConfig, basis: &Basis, own_tor: bool, tor_version: &str) -> String {
    let mut text = String::new();
    let exits = &basis.exits;
    let pace = &config.pace;
    let _ = writeln!(
        text,
        "Would test {} relays; the consensus of {} has {} exits:",
        exits.len(),
        basis.valid_after.map_or("unknown time".to_owned(), |time| time.to_string()),
        basis.selection.exits_in_consensus,
    );
    for (relay, info, _) in exits.iter().take(MOST_LISTED) {
        let _ = writeln!(
            text,
            "  {} {:<19} {:<15} {} {}",
            relay.fingerprint,
            printable(&relay.nickname),
            relay.address,
            info.country.as_deref().unwrap_or("??"),
            printable(&info.flags.join(" "))
        );
    }
    if exits.len() > MOST_LISTED {
        let _ = writeln!(text, "  and {} more", exits.len() - MOST_LISTED);
    }
    let whose = if own_tor { "a tor of its own" } else { "the running tor" };
    let through = match config.first_hop {
        Some(hop) => format!("the first hop {hop}"),
        None => format!("{} first hops at random", basis.hops.len()),
    };
    let _ = writeln!(text, "Through {whose} ({}) and {through}.", printable(tor_version));
    let _ = writeln!(
        text,
        "Names under {} ({} mode: {}).",
        config.domain,
        config.mode,
        mode_in_words(config.mode)
    );
    let _ = writeln!(
        text,
        "A circuit every {} s, {} s more or less; at most {} at once, {} through one first hop; \
         up to {} tries each, then {} confirming rounds for what fails.",
        pace.build_delay.as_secs_f64(),
        pace.delay_noise.as_secs_f64(),
        pace.max_in_flight,
        config.max_per_first_hop,
        pace.tries,
        pace.confirm_rounds
    );
    let _ = writeln!(
        text,
        "That takes about {} if nothing fails. No circuit was built.",
        expected_duration(config, exits.len())
    );
    text
}

/// How long a scan of `exits` takes at this pace if nothing fails.
fn expected_duration(config: &ScanConfig, exits: usize) -> String {
    let exits = u32::try_from(exits).unwrap_or(u32::MAX);
    spoken(config.pace.build_delay.saturating_mul(exits))
}

/// The mode in words.
const fn mode_in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Wildcard => "every name must resolve to the expected address",
        Mode::Nxdomain => "no name exists; any definite answer is a success",
    }
}
