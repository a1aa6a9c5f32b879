//! `exit-validator completions`: what a shell completes the program's arguments with.

use clap::Args;
use clap_complete::Shell;

use super::{Call, NAME, Verb, program};
use crate::exit::Exit;
use crate::terminal::{Ended, print};

/// Print a script by which a shell completes verbs, flags and values.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  exit-validator completions bash > ~/.local/share/bash-completion/completions/exit-validator"
)]
struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) const VERB: Verb = Verb {
    name: "completions",
    link: None,
    arguments: CompletionsArgs::augment_args,
    run,
    exits: &[Exit::Output],
};

fn run(call: &Call<'_>) -> Ended {
    let CompletionsArgs { shell } = call.arguments();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program(), NAME, &mut script);
    print(&script)?;
    Ok(Exit::Done)
}
