//! `run_dns_validation` as cron calls it: the real script, the real programs, a private Tor network
//! and real S3 servers, on good days and on bad ones.
//!
//! A harness of its own, since the network takes a while to start: all tests share one, and it is
//! ended when the last of them is over. Flags are those of `cargo test`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cycles;
mod days;
mod host;
mod machine;
mod network;
mod reader;
mod several;
mod usage;

use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};

use libtest_mimic::{Arguments, Failed, Trial};

/// How many tests run at once: they mostly wait.
const THREADS: usize = 4;

/// Written by the test that has a network of its own, of which every exit counts: 33 tors more,
/// beside other tests' scans, are too much for two cores to be in time.
static MACHINE: RwLock<()> = RwLock::new(());

/// A test by its name, which uses the machine by `read`, beside others, or by `write`, alone.
macro_rules! trials {
    ($use:ident $($module:ident :: { $($name:ident),+ $(,)? }),+ $(,)?) => {
        vec![$($(Trial::test(
            concat!(stringify!($module), "::", stringify!($name)),
            || {
                let _machine = MACHINE.$use().unwrap_or_else(PoisonError::into_inner);
                $module::$name();
                Ok::<(), Failed>(())
            },
        )),+),+]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let conclusion = libtest_mimic::run(&arguments, trials());
    network::end();
    conclusion.exit_code()
}

/// The one that wants the machine for itself first, then the longest.
fn trials() -> Vec<Trial> {
    let mut trials = trials! { write machine::{a_dry_run_as_a_user_without_rights} };
    trials.extend(trials! {
        read
        cycles::{twenty_cycles_with_faults},
        several::{
            shards_are_gathered,
            a_shard_that_does_not_come_is_told,
            a_run_that_was_not_handed_over_is_handed_over_by_the_next,
        },
        days::{
            a_good_day,
            a_closed_gate,
            one_store_of_two_is_down,
            ended_in_each_stage_and_run_again,
            killed_in_each_stage_and_run_again,
            a_second_run_says_so,
            an_unfinished_scan_is_gone_on_with,
            a_run_without_a_report_is_reported_by_the_next,
            a_retest_by_hand_is_no_run_of_the_network,
            a_stage_that_takes_too_long,
            no_tor,
            a_program_that_somebody_kills,
            a_check_that_is_ended,
            keys_stay_with_the_upload,
            a_log_of_every_step_for_programs,
        },
        machine::{
            a_full_disk,
            too_little_room,
            a_clock_behind_the_last_report,
            a_clock_that_jumps_during_the_scan,
            directories_that_others_can_write_to,
            nobody_else_holds_the_lock,
            a_lock_that_cannot_be_taken,
            the_check,
            a_configuration_that_must_not_be_read,
        },
        usage::{
            wrong_arguments,
            wrong_settings,
            wrong_settings_in_the_environment,
            programs_that_are_missing,
            programs_that_the_file_names,
            the_environment_goes_before_the_file,
            relative_places_are_those_of_the_caller,
        },
    });
    trials
}
