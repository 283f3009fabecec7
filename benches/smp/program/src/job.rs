//! Runs points, each in a process of its own, several at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use smp_workloads::Workload;

use crate::plan::Effort;
use crate::point::{CANNOT_RUN, MachineOptions};
use crate::record::PointLine;

/// The arguments of one process.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) lock: &'static str,
    pub(crate) workload: Workload,
    pub(crate) cpus: usize,
    pub(crate) threads: Option<usize>,
    pub(crate) machine: MachineOptions,
    pub(crate) effort: Effort,
    pub(crate) check: bool,
}

/// How one process ended.
pub(crate) enum Ended {
    Line(Box<PointLine>),
    /// The point has no figure: the lock cannot run this workload, for example.
    CannotRun(String),
    Failed(String),
}

/// How much longer than its limit of real time a process may run before it is killed. Code that
/// makes no access does not notice the limit.
const PATIENCE: Duration = Duration::from_secs(30);

/// A point that runs in a process of its own.
pub(crate) trait Task: Sync {
    /// The arguments of the program.
    fn arguments(&self) -> Vec<String>;

    /// Its name, for messages.
    fn name(&self) -> String;

    /// The machine on which it runs.
    fn machine(&self) -> &MachineOptions;

    #[doc(hidden)]
    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(self.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Runs it in a process of its own.
    fn run(&self) -> Ended {
        self.outcome().unwrap_or_else(|error| self.failed(&error.to_string()))
    }

    fn named(&self, why: &str) -> String {
        let MachineOptions { topology, directory, overlap, seed, .. } = self.machine();
        format!("{} ({topology} {directory} {overlap} seed {seed}): {why}", self.name())
    }

    #[doc(hidden)]
    fn failed(&self, why: &str) -> Ended {
        Ended::Failed(self.named(why))
    }

    fn outcome(&self) -> io::Result<Ended> {
        let started = Instant::now();
        let patience = Duration::from_secs(self.machine().limit) + PATIENCE;
        let mut child = self.start()?;
        // A point prints less than a pipe holds, so its output can be read when the point is over.
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > patience {
                child.kill()?;
                child.wait()?;
                return Ok(self.failed(&format!("not done after {} s, killed", patience.as_secs())));
            }
            thread::sleep(Duration::from_millis(5));
        };
        let read = |pipe: Option<&mut dyn Read>| -> io::Result<String> {
            let mut text = String::new();
            if let Some(pipe) = pipe {
                pipe.read_to_string(&mut text)?;
            }
            Ok(text)
        };
        let out = read(child.stdout.as_mut().map(|pipe| pipe as _))?;
        let errors = read(child.stderr.as_mut().map(|pipe| pipe as _))?;
        if status.code() == Some(CANNOT_RUN) {
            return Ok(Ended::CannotRun(self.named(errors.trim())));
        }
        if !status.success() {
            return Ok(self.failed(&format!("{status}: {}", errors.trim())));
        }
        Ok(match serde_json::from_str(&out) {
            Ok(line) => Ended::Line(Box::new(line)),
            Err(error) => self.failed(&format!("{error} in {out:?}")),
        })
    }
}

impl Task for Job {
    fn arguments(&self) -> Vec<String> {
        let Job { lock, workload, cpus, threads, machine, effort, check } = self;
        let named = [
            ("--lock", (*lock).to_owned()),
            ("--workload", workload.name()),
            ("--cpus", cpus.to_string()),
            ("--threads", threads.unwrap_or(*cpus).to_string()),
            ("--effort", effort.name().to_owned()),
        ];
        let named = named.into_iter().chain(machine.arguments());
        let mut arguments = vec!["point".to_owned()];
        arguments.extend(named.flat_map(|(name, value)| [name.to_owned(), value]));
        arguments.extend(check.then(|| "--check".to_owned()));
        arguments
    }

    fn name(&self) -> String {
        let Job { lock, cpus, workload, .. } = self;
        format!("{lock} {} {cpus} CPUs", workload.name())
    }

    fn machine(&self) -> &MachineOptions {
        &self.machine
    }
}

/// The default number of points that run at a time: one for each CPU.
pub(crate) fn one_for_each_cpu() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs all jobs, `at_once` at a time. Returns how they ended, in their order.
pub(crate) fn run_all<T: Task>(jobs: &[T], at_once: usize, progress: &Progress) -> Vec<Ended> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new(mixed(jobs.len()).into());
    let mut ended: Vec<Option<Ended>> = jobs.iter().map(|_| None).collect();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(next) = next else { return };
                    // The receiver lives until all senders are gone.
                    let _ = sender.send((next, jobs[next].run()));
                }
            });
        }
        drop(sender);
        for (n, how) in receiver {
            progress.done(&jobs[n]);
            ended[n] = Some(how);
        }
    });
    progress.end();
    ended.into_iter().map(|how| how.expect("the queue was emptied")).collect()
}

/// All numbers below `n` in a fixed order that mixes expensive and cheap points, so that the time
/// left can be estimated from the points left.
fn mixed(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    order
}

/// Shows progress on stderr: a bar on a terminal, a line for each tenth elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    total: usize,
    done: Cell<usize>,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        let bar = if io::stderr().is_terminal() {
            let style =
                ProgressStyle::with_template("{bar:24.green} {pos}/{len}  {eta} left  {wide_msg:.dim}");
            ProgressBar::new(total as u64).with_style(style.expect("the template is a constant"))
        } else {
            ProgressBar::hidden()
        };
        Progress { bar, started: Instant::now(), total, done: Cell::new(0) }
    }

    /// Shows nothing.
    pub(crate) fn hidden() -> Self {
        Progress { bar: ProgressBar::hidden(), started: Instant::now(), total: 0, done: Cell::new(0) }
    }

    fn done(&self, job: &impl Task) {
        self.bar.set_message(job.name());
        self.bar.inc(1);
        let done = self.done.get() + 1;
        self.done.set(done);
        let tenth = |n: usize| 10 * n / self.total.max(1);
        if self.total != 0 && self.bar.is_hidden() && tenth(done) != tenth(done - 1) {
            let left = self.started.elapsed().as_secs_f64() * (self.total - done) as f64 / done as f64;
            eprintln!("{done} of {} points, {left:.0} s left", self.total);
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
