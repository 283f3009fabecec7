//! Explores one scenario in one variant: all its schedules up to a bound, and many at random.

use std::collections::BTreeSet;
use std::fmt;

use super::chooser::{Exhaustive, Pct, Random, Told};
use super::engine::{self, Body, Chooser, End, Outcome, Place, Stacks, Step};
use super::registers::Registers;
use super::scenario::{Op, Scenario};
use super::seed::Seed;
use super::world::World;
use crate::check::{Finding, Invariant};
use crate::file::File;
use crate::fs::{CopyRetries, FileSystem};
use crate::mm::PMD_SIZE;
use crate::pmem::{Device, DeviceError, DeviceOptions, MIN_DEVICE_SIZE};
use crate::schedule::{PlantedFault, Schedule, SchedulePoint, ranks, thread};
use crate::variant::{LockKind, Locks, Mix, Variant};

/// How many schedules an exploration runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The exploration runs all schedules with at most this many preemptions.
    pub preemptions: u32,
    /// How many random schedules the exploration runs. In every second schedule, the exploration
    /// chooses the next thread at random, each thread with the same probability. In the other
    /// schedules the exploration chooses by random priorities (PCT).
    pub random: u32,
}

impl Effort {
    /// The effort after which a cell without failures counts as safe.
    pub const FULL: Effort = Effort { preemptions: 2, random: 10_000 };
    /// A short exploration, which is enough to find the broken invariants.
    pub const QUICK: Effort = Effort { preemptions: 2, random: 400 };
}

/// Schedules, and how many of them went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many schedules were run.
    pub run: u64,
    /// How many of these schedules failed.
    pub failed: u64,
}

/// A schedule that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that repeats the schedule.
    pub seed: Seed,
    /// The length of the schedule in steps.
    pub steps: u32,
    /// What is wrong in the schedule.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            write!(f, "{}{finding}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// The result of a scenario in a variant.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The variant, and its locks.
    pub mix: Mix,
    /// The exhaustive search.
    pub exhaustive: Tally,
    /// The random schedules.
    pub random: Tally,
    /// All invariants that some schedule breaks.
    pub broken: BTreeSet<Invariant>,
    /// How often write(2) had to copy again, in all schedules together.
    pub copy_retries: CopyRetries,
    /// The shortest explored schedule that breaks an invariant. If the expected result is
    /// [`Expected::Broken`], and explored schedules break the first invariant of its list,
    /// `shortest` is the shortest of these schedules.
    pub shortest: Option<Failure>,
}

/// The expected result of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing goes wrong.
    Safe,
    /// Some schedule breaks the first of these invariants. Schedules may break the other invariants
    /// of the list. No schedule breaks an invariant that is not in the list.
    Broken(&'static [Invariant]),
    /// Anything except a panic.
    Anything,
}

impl Scenario {
    /// Returns the expected result of the scenario in a variant with its own locks, or with other
    /// locks.
    ///
    /// * With its own locks, a variant that the scenario lists must break the first of the listed
    ///   invariants, and may break the others ([`Expected::Broken`]). [`Variant::Unserialised`] may
    ///   have any result except a panic, if the scenario does not list it. Every other variant must
    ///   be safe.
    /// * With other locks, a correct variant ([`Variant::is_correct`]) must be safe if neither lock
    ///   is [`LockKind::None`]. Otherwise the variant may have any result except a panic.
    pub fn expected(&'static self, mix: impl Into<Mix>) -> Expected {
        let Mix { variant, locks } = mix.into();
        if locks != Locks::default() {
            let all = locks.i_rwsem != Some(LockKind::None) && locks.i_mmap_sem != Some(LockKind::None);
            return if all && variant.is_correct() { Expected::Safe } else { Expected::Anything };
        }
        let broken = self.broken_in.iter().find(|(broken, _)| *broken == variant);
        match broken {
            Some((_, broken)) => Expected::Broken(broken),
            None if variant == Variant::Unserialised => Expected::Anything,
            None => Expected::Safe,
        }
    }
}

impl Cell {
    /// Whether the result is as expected.
    pub fn is_as_expected(&self) -> bool {
        match self.scenario.expected(self.mix) {
            Expected::Safe => self.broken.is_empty(),
            Expected::Broken(among) => {
                self.broken.contains(&among[0]) && self.broken.iter().all(|broken| among.contains(broken))
            }
            Expected::Anything => !self.broken.contains(&Invariant::NoPanic),
        }
    }

    /// How many schedules were run.
    pub fn schedules(&self) -> u64 {
        self.exhaustive.run + self.random.run
    }
}

/// Explores a scenario in a variant. The locks are the variant's own locks, or the locks that `mix`
/// names in their place.
///
/// # Errors
///
/// If there is no memory for the device.
pub fn explore(
    scenario: &'static Scenario,
    mix: impl Into<Mix>,
    effort: Effort,
) -> Result<Cell, DeviceError> {
    explore_with_fault(scenario, mix, effort, None)
}

/// The same with a fault planted on purpose.
///
/// # Errors
///
/// If there is no memory for the device.
#[doc(hidden)]
pub fn explore_with_fault(
    scenario: &'static Scenario,
    mix: impl Into<Mix>,
    effort: Effort,
    fault: Option<PlantedFault>,
) -> Result<Cell, DeviceError> {
    let mix = mix.into();
    let mut stage = Stage::new(scenario, mix, fault)?;
    let mut cell = Cell {
        scenario,
        mix,
        exhaustive: Tally::default(),
        random: Tally::default(),
        broken: BTreeSet::new(),
        copy_retries: CopyRetries::default(),
        shortest: None,
    };
    let mut chooser = Exhaustive::new(effort.preemptions);
    let mut longest = 0;
    loop {
        let (outcome, findings) = stage.run(&mut chooser, None);
        longest = longest.max(outcome.steps);
        let failed = cell.judge(outcome, findings);
        cell.exhaustive.count(failed);
        if !chooser.advance() {
            break;
        }
    }
    for seed in 0..u64::from(effort.random) {
        let mut random;
        let mut pct;
        let chooser: &mut dyn Chooser = if seed % 2 == 0 {
            random = Random::new(seed);
            &mut random
        } else {
            pct = Pct::new(seed, scenario.threads.len(), longest, 2);
            &mut pct
        };
        let (outcome, findings) = stage.run(chooser, None);
        let failed = cell.judge(outcome, findings);
        cell.random.count(failed);
    }
    cell.copy_retries = stage.copy_retries;
    Ok(cell)
}

/// The result of one schedule.
pub(super) struct Replayed {
    pub(super) failure: Failure,
    pub(super) copy_retries: CopyRetries,
    /// The notes of the operations that came afterwards.
    pub(super) afterwards: Vec<String>,
}

/// Runs one schedule. `observe` sees every step.
pub(super) fn replay(
    scenario: &'static Scenario,
    mix: Mix,
    seed: &Seed,
    observe: &mut dyn FnMut(&World<'_>, Step<'_>),
) -> Result<Replayed, DeviceError> {
    let mut stage = Stage::new(scenario, mix, None)?;
    let (outcome, findings) = ranks::observed(|| stage.run(&mut Told(&seed.0), Some(observe)));
    let failure = Failure { seed: Seed(outcome.deviations), steps: outcome.steps, findings };
    Ok(Replayed { failure, copy_retries: stage.copy_retries, afterwards: stage.afterwards })
}

impl Tally {
    fn count(&mut self, failed: bool) {
        self.run += 1;
        self.failed += u64::from(failed);
    }
}

impl Cell {
    /// Records a schedule. Returns whether it went wrong.
    fn judge(&mut self, outcome: Outcome, findings: Vec<Finding>) -> bool {
        if findings.is_empty() {
            return false;
        }
        let expected = self.scenario.expected(self.mix);
        let shows = |findings: &[Finding]| match expected {
            Expected::Broken(among) => findings.iter().any(|finding| finding.broken == among[0]),
            _ => true,
        };
        self.broken.extend(findings.iter().map(|finding| finding.broken));
        let failure = Failure { seed: Seed(outcome.deviations), steps: outcome.steps, findings };
        let key = |failure: &Failure| (!shows(&failure.findings), failure.steps, failure.seed.0.len());
        // Of two schedules of one length, the one that departs earlier, in whatever order they were
        // run.
        let order = |shortest: &Failure| {
            key(&failure).cmp(&key(shortest)).then_with(|| failure.seed.0.cmp(&shortest.seed.0))
        };
        if self.shortest.as_ref().is_none_or(|shortest| order(shortest).is_lt()) {
            self.shortest = Some(failure);
        }
        true
    }
}

/// The place where the schedules of a cell run.
struct Stage {
    scenario: &'static Scenario,
    registers: Registers,
    mix: Mix,
    fault: Option<PlantedFault>,
    device: Device,
    stacks: Stacks,
    /// The sum over all schedules so far.
    copy_retries: CopyRetries,
    /// The notes of what came after the last observed schedule.
    afterwards: Vec<String>,
}

type Observer<'a> = &'a mut dyn FnMut(&World<'_>, Step<'_>);

impl Stage {
    fn new(scenario: &'static Scenario, mix: Mix, fault: Option<PlantedFault>) -> Result<Self, DeviceError> {
        let size = if scenario.huge { HUGE_DEVICE } else { MIN_DEVICE_SIZE };
        let options = DeviceOptions { path: None, size, overwrite: false };
        let device = Device::open(&options)?;
        Ok(Self {
            scenario,
            registers: Registers::of(scenario),
            mix,
            fault,
            device,
            stacks: Stacks::default(),
            copy_retries: CopyRetries::default(),
            afterwards: Vec::new(),
        })
    }

    fn run(&mut self, chooser: &mut dyn Chooser, observe: Option<Observer<'_>>) -> (Outcome, Vec<Finding>) {
        let scenario = self.scenario;
        let schedule = Schedule::controlled().with_fault(self.fault);
        let fs = FileSystem::format(&self.device, self.mix.variant).with_schedule(schedule);
        let fs = fs.with_locks(self.mix.locks);
        let fs = if scenario.huge { fs.with_huge_pages() } else { fs };
        let files: Vec<File<'_>> = (0..scenario.files).map(|_| fs.create()).collect();
        let world = World::new(scenario, &self.registers, &fs, &files, observe.is_some());
        let ops = |thread: Option<usize>, first: usize, ops: &'static [Op]| -> Body<'_> {
            let world = &world;
            Box::new(move || {
                for (number, &op) in (first..).zip(ops) {
                    world.perform(thread, number, op);
                }
            })
        };
        // What comes before and after the threads is a schedule of one thread, so that its waits
        // and locks are seen too.
        let mut findings = Vec::new();
        findings.extend(alone(&world, ops(None, 0, &scenario.setup), &mut self.stacks));
        world.notes();
        let bodies = (0..).zip(&scenario.threads).map(|(thread, list)| ops(Some(thread), 0, list)).collect();
        let mut observe = observe;
        let outcome = engine::run(bodies, &mut self.stacks, chooser, &mut |step| {
            watch_commits(&world, &step);
            if let Some(observe) = &mut observe {
                observe(&world, step);
            }
        });
        findings.extend(thread::findings());
        findings.extend(outcome.end.finding());
        let complete = outcome.end == End::Complete;
        if complete {
            let finally = ops(None, scenario.setup.len(), &scenario.finally);
            findings.extend(alone(&world, finally, &mut self.stacks));
            self.afterwards = world.notes();
        }
        findings.extend(world.findings(complete));
        self.copy_retries += fs.copy_retries();
        // Several stops may find the same fault. It is reported once.
        let mut told = Vec::new();
        findings.retain(|finding| {
            let is_new = !told.contains(finding);
            if is_new {
                told.push(finding.clone());
            }
            is_new
        });
        (outcome, findings)
    }
}

/// Runs a thread to its end. Returns what is wrong with it.
fn alone(world: &World<'_>, body: Body<'_>, stacks: &mut Stacks) -> Vec<Finding> {
    let outcome = engine::run(vec![body], stacks, &mut Told(&[]), &mut |step| watch_commits(world, &step));
    thread::findings().into_iter().chain(outcome.end.finding()).collect()
}

/// Calls the world at every commit that is about to end.
fn watch_commits(world: &World<'_>, step: &Step<'_>) {
    if matches!(step.to, Place::At(SchedulePoint::Commit, ..)) {
        world.commit();
    }
}

impl End {
    /// The finding that the outcome amounts to.
    fn finding(&self) -> Option<Finding> {
        match self {
            End::Complete => None,
            End::Deadlock(text) => Some(Finding::new(Invariant::Liveness, text)),
            End::Endless => Some(Finding::new(Invariant::Liveness, "it does not come to an end")),
            End::Panic(text) => Some(Finding::new(Invariant::NoPanic, text)),
        }
    }
}

/// Bytes of a device with room for two aligned 2 MiB and some pages.
const HUGE_DEVICE: u64 = 3 * PMD_SIZE;

#[cfg(test)]
mod tests {
    use super::super::{SCENARIOS, scenario};
    use super::*;

    fn is_as_expected(name: &str, variant: Variant, broken: &[Invariant]) -> bool {
        Cell {
            scenario: scenario(name).unwrap(),
            mix: variant.into(),
            exhaustive: Tally::default(),
            random: Tally::default(),
            broken: broken.iter().copied().collect(),
            shortest: None,
            copy_retries: CopyRetries::default(),
        }
        .is_as_expected()
    }

    #[test]
    fn what_is_expected_must_be_found_and_nothing_else() {
        use Invariant::{Coherence, Liveness, LockOrder, Mapping, NoPanic};
        let race = |broken: &[Invariant]| is_as_expected("write-vs-read-fault", Variant::Linux411, broken);
        assert!(race(&[Coherence]) && race(&[Coherence, Mapping]));
        assert!(!race(&[]) && !race(&[Mapping]), "the stale read itself is to be found");
        assert!(!race(&[Coherence, Liveness]) && !race(&[Coherence, NoPanic]));
        let inversion = |broken: &[Invariant]| is_as_expected("holetest", Variant::EntryLockOutside, broken);
        assert!(inversion(&[LockOrder]) && inversion(&[LockOrder, Liveness]));
        assert!(!inversion(&[LockOrder, Coherence]), "never a stale read");
        let safe = |broken: &[Invariant]| is_as_expected("holetest", Variant::Linux412, broken);
        assert!(safe(&[]) && !safe(&[LockOrder]));
        let anything = |broken: &[Invariant]| is_as_expected("holetest", Variant::Unserialised, broken);
        assert!(anything(&[Coherence, Liveness]) && !anything(&[NoPanic]));
    }

    #[test]
    fn no_scenario_expects_what_its_variant_must_not_do() {
        for scenario in SCENARIOS.iter() {
            for (variant, broken) in &scenario.broken_in {
                let name = &scenario.name;
                assert!(!variant.is_correct() && !broken.is_empty(), "{name} in {variant}");
                assert!(!broken.contains(&Invariant::NoPanic), "{name} in {variant}");
                let stale = [Invariant::Coherence, Invariant::Mapping].iter().any(|i| broken.contains(i));
                assert!(!stale || !variant.is_coherent(), "{name} in {variant}: it is coherent");
            }
        }
    }
}
