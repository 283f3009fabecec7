//! The program `dax-sim`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dax_sim::cli::run()
}
