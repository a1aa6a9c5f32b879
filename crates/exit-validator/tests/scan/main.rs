//! `exit-validator scan` as its users meet it, by its old name `scanner`: the real program, the real
//! tor, and the lab's network, on good days and on bad ones.
//!
//! A harness of its own, since the network takes twenty seconds to start: all tests share one, and
//! it is ended when the last of them is over. Flags are those of `cargo test`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod control;
mod network;
mod others;
mod run;
mod shared;
mod simulated;
#[path = "../support/program.rs"]
mod support;
mod tor;
mod usage;
mod witness;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// How many tests run at once: they mostly wait.
const THREADS: usize = 4;

/// A test by its name.
macro_rules! trials {
    ($($module:ident :: { $($name:ident),+ $(,)? }),+ $(,)?) => {
        vec![$($(Trial::test(
            concat!(stringify!($module), "::", stringify!($name)),
            || { $module::$name(); Ok::<(), Failed>(()) },
        )),+),+]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let conclusion = libtest_mimic::run(&arguments, trials());
    shared::end();
    conclusion.exit_code()
}

/// In an order by which those that take long, and those that wait for each other, overlap with the
/// others. The measurement comes last: it wants the machine for itself.
#[expect(clippy::too_many_lines, reason = "the list of tests")]
fn trials() -> Vec<Trial> {
    trials! {
        network::{
            a_tor_of_its_own_that_hangs_is_started_again,
            an_exit_that_has_noticed_that_its_resolver_makes_up_answers,
            what_resolvers_do_is_found_and_where_lookups_get_lost,
            every_verdict_is_true_in_wildcard_mode,
        },
        usage::{
            single_values_are_checked,
            flags_that_do_not_go_together_are_refused,
            lists_that_cannot_be_read_are_refused,
            a_directory_with_a_run_needs_resume_and_resume_needs_a_run,
            a_directory_that_cannot_be_written_is_told_before_tor_is_started,
            an_empty_variable_is_as_good_as_none,
            variables_stand_for_flags,
            settings_are_checked_and_nothing_else_is_done,
            a_tor_that_cannot_be_started_is_told,
            a_tor_directory_that_cannot_be_used_is_told,
            help_tells_the_exit_codes,
        },
        control::{
            nothing_listens,
            something_that_is_not_tor,
            something_that_says_nothing,
            a_control_port_that_falls_silent_before_the_scan,
            a_connection_that_breaks_after_the_handshake,
            replies_that_break_the_protocol,
            a_cookie_that_is_not_its,
            a_password_that_is_wrong_and_one_that_stays_secret,
            a_tor_that_cannot_be_used_is_left_as_it_was,
        },
        witness::{
            a_tor_that_maps_addresses_is_named_and_refused,
            a_port_that_takes_no_lookups_is_named_and_another_is_taken,
            a_tor_that_begins_to_map_in_the_middle_ends_the_scan_and_blames_no_exit,
            a_tor_with_microdescriptors_knows_who_exits,
            a_tor_that_has_learned_how_long_circuits_take_is_not_believed,
        },
        others::{
            a_way_out_that_is_closed_for_a_while,
            others_are_neither_taken_along_nor_cut,
            a_stream_that_comes_while_the_control_connection_is_lost,
            a_lookup_of_a_name_with_blanks,
            a_scan_that_is_killed_leaves_tor_as_it_was,
            a_scan_that_hangs_keeps_nobody_waiting,
            a_running_tor_that_reads_its_configuration_again,
            a_lookup_by_dnsport_under_way_does_not_end_tor,
            a_tor_of_its_own_that_reads_its_configuration_again,
            a_first_hop_that_stays_away,
            two_tors_in_containers,
        },
        simulated::{
            it_says_what_a_real_one_says,
        },
        network::{
            other_programs_use_the_tor_while_it_scans,
            a_tor_that_another_scan_uses_is_refused,
            interrupted_with_a_tor_of_its_own,
            interrupted_with_a_running_tor,
            interrupted_before_the_first_circuit,
            killed_and_resumed,
            every_verdict_is_true_in_nxdomain_mode,
            a_tor_of_its_own_that_dies_is_started_again,
            a_running_tor_that_comes_back_is_used_again,
            a_running_tor_that_does_not_come_back_leaves_a_run_to_resume,
            a_disk_that_fills_up,
            a_directory_that_goes_away,
            every_verdict_is_true_through_a_running_tor,
            a_tor_that_never_bootstraps,
            the_first_hop_that_was_asked_for,
            which_exits_are_chosen,
            exits_of_a_country,
            a_dry_run_touches_nothing,
            one_relay_has_its_story_told,
            ipv6_addresses_are_asked_of_exits_that_have_ipv6,
            a_relay_that_has_left_the_consensus_and_one_with_a_hostile_name,
            a_complete_run_has_nothing_to_resume_and_another_question_is_another_run,
            the_log_can_be_read_by_programs,
            the_resolve_time_is_the_resolvers_own,
        },
    }
}
