//! Orders the two threads of the scene, and records what they do.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use dax_sim::schedule::SchedulePoint;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cpu {
    Writer,
    Reader,
}

thread_local! {
    /// Which of the two CPUs this thread plays, if any.
    static CPU: Cell<Option<Cpu>> = const { Cell::new(None) };
}

/// One thread has the turn, and the other one stands still at its next schedule point. The thread
/// that takes a step records it while it has the turn. So the steps are recorded in the order in
/// which they happen.
pub(crate) struct Director {
    scene: Mutex<Scene>,
    turn_changed: Condvar,
}

pub(crate) struct Scene {
    turn: Cpu,
    /// The threads that have played their parts. No other thread waits for them.
    ended: Vec<Cpu>,
    reader_looked_up: bool,
    /// What each CPU did, in the order in which it happened.
    pub(crate) steps: Vec<(Cpu, String)>,
}

impl Director {
    pub(crate) fn new() -> Self {
        let scene =
            Scene { turn: Cpu::Reader, ended: Vec::new(), reader_looked_up: false, steps: Vec::new() };
        Self { scene: Mutex::new(scene), turn_changed: Condvar::new() }
    }

    /// Waits until this thread has the turn.
    pub(crate) fn turn(&self, cpu: Cpu) -> MutexGuard<'_, Scene> {
        let must_wait = |scene: &mut Scene| scene.turn != cpu && scene.ended.is_empty();
        // A thread that panics ends its part, and the other one goes on.
        let scene = self.scene.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_changed.wait_while(scene, must_wait).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, cpu: Cpu, step: impl Into<String>) {
        self.turn(cpu).steps.push((cpu, step.into()));
    }

    /// Records a step, then gives the turn to the other thread.
    pub(crate) fn note_and_give(&self, cpu: Cpu, step: impl Into<String>) {
        let mut scene = self.turn(cpu);
        scene.steps.push((cpu, step.into()));
        scene.turn = if cpu == Cpu::Reader { Cpu::Writer } else { Cpu::Reader };
        drop(scene);
        self.turn_changed.notify_all();
    }

    /// Called when a thread passes a schedule point. The reader's fault is held between look-up and
    /// installation until the writer has returned or must wait. A writer that must wait is held
    /// until the reader has loaded.
    pub(crate) fn pass(&self, point: SchedulePoint) {
        let Some(cpu) = CPU.get() else { return };
        let looked_up = self.turn(cpu).reader_looked_up;
        match point {
            SchedulePoint::FaultLookedUp { write: false } if !looked_up => {
                self.turn(cpu).reader_looked_up = true;
                self.note_and_give(cpu, "  iomap_begin: a hole");
                self.note(cpu, "  installs that answer: the zero page");
            }
            SchedulePoint::FaultLookedUp { write: false } => {
                self.note(cpu, "  faults again, iomap_begin: the block");
            }
            SchedulePoint::WritePublished => {
                self.note(cpu, "  iomap_begin: allocates the block");
                self.note(cpu, "  invalidates what is mapped");
            }
            SchedulePoint::IMmapSemContended => self.note_and_give(cpu, "  waits for i_mmap_sem"),
            SchedulePoint::EntryContended => self.note_and_give(cpu, "  waits for the entry lock"),
            _ => {}
        }
    }

    /// Begins the part of this thread, which ends when the result is dropped.
    pub(crate) fn play(&self, cpu: Cpu) -> Part<'_> {
        CPU.set(Some(cpu));
        Part { director: self, cpu }
    }
}

/// The part of one thread. When it ends, in whatever way, the other thread no longer waits for it.
pub(crate) struct Part<'a> {
    director: &'a Director,
    cpu: Cpu,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        CPU.set(None);
        let scene = self.director.scene.lock();
        scene.unwrap_or_else(PoisonError::into_inner).ended.push(self.cpu);
        self.director.turn_changed.notify_all();
    }
}
