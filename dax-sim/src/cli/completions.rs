//! `dax-sim completions`: a script by which a shell completes commands, options and names.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, answer};

/// Options of `dax-sim completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  dax-sim completions bash > ~/.local/share/bash-completion/completions/dax-sim
  dax-sim completions zsh > ~/.zfunc/_dax-sim
  dax-sim completions fish > ~/.config/fish/completions/dax-sim.fish")]
pub(crate) struct CompletionOptions {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(options: &CompletionOptions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "dax-sim", &mut script);
    let script = String::from_utf8(script).map_err(Failure::broken)?;
    answer(&script)
}
