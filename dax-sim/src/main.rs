//! The program `dax-sim`: calls the library's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    dax_sim::cli::run()
}
