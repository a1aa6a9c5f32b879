//! `exit-validator manual`: the help of every verb as manual pages, for packages.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::{Call, Verb, program};
use crate::exit::Exit;
use crate::terminal::{Ended, Failure};

/// Write the manual pages of all verbs into a directory.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  exit-validator manual ~/.local/share/man/man1")]
struct ManualArgs {
    /// The directory; it is made if it is missing.
    directory: PathBuf,
}

pub(crate) const VERB: Verb = Verb {
    name: "manual",
    link: None,
    arguments: ManualArgs::augment_args,
    run,
    exits: &[Exit::Place],
};

fn run(call: &Call<'_>) -> Ended {
    let ManualArgs { directory } = call.arguments();
    fs::create_dir_all(&directory)
        .and_then(|()| clap_mangen::generate_to(program(), &directory))
        .map_err(|error| {
        Failure::new(
            Exit::Place,
            format_args!("cannot write the manual pages into {directory:?}: {error}"),
        )
    })?;
    Ok(Exit::Done)
}
