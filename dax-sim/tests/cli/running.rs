//! A run that is under way, and that a test reads and disturbs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{dax_sim, words};

/// A run of many short samples, and what it says on standard error, which tells how far it is.
pub(crate) struct Running {
    pub(crate) child: std::process::Child,
    pub(crate) said: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, said }
    }

    /// Reads on until a tenth of the samples is done.
    pub(crate) fn until_it_samples(&mut self) {
        let said = self.said.by_ref().map(Result::unwrap);
        assert!(said.into_iter().any(|line| line.contains("% done")), "it ended before");
    }

    /// Reads on until the samples begin.
    pub(crate) fn until_it_runs(&mut self) {
        let said = self.said.by_ref().map(Result::unwrap);
        assert!(said.into_iter().any(|line| line.contains(" samples of ")), "it ended before");
    }

    /// What it says from now on, and its exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let said: Vec<String> = self.said.by_ref().map(Result::unwrap).collect();
        (said.join("\n"), self.child.wait().unwrap().code())
    }
}

/// Many short samples of `variants` on the file `device`.
pub(crate) fn on_device(folder: &Path, more: &str) -> Command {
    let arguments = "--duration-ms 25 --rounds 1000 --threads 2 --media-us 0 --file device";
    dax_sim(folder, &[&words(arguments)[..], &words(more)].concat())
}
