//! Readers of one file in every order with a limited number of preemptions, under the C11 memory
//! model. loom fails if two threads lock or unlock a byte at the same time.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

struct File {
    sections: Sections,
    /// Whether each byte is locked.
    locked: [UnsafeCell<bool>; 16],
}

impl File {
    fn set(&self, Span { first, last }: Span, to: bool) {
        for byte in &self.locked[first as usize..=last as usize] {
            byte.with_mut(|locked| {
                // SAFETY: the byte is in a section or in a busy slot; loom says if it is not.
                unsafe {
                    assert!(to || *locked, "unlocked twice");
                    *locked = to;
                }
            });
        }
    }

    /// Locks and unlocks, as `Bytes` does.
    fn read(&self, span: Span) {
        match self.sections.enter_alone(span) {
            Entered::Alone(alone) => {
                self.set(span, true);
                alone.hold();
            }
            Entered::Section(mut section) => {
                if !section.table().covers(span) {
                    section.unlocked(|| self.set(span, true));
                }
                section.table().add(span);
            }
        }
        if let Some(_alone) = self.sections.leave_alone(span) {
            return self.set(span, false);
        }
        let (mut section, mut rest) = (self.sections.enter(span), Some(span));
        while let Some(part) = rest.and_then(|rest| section.table().part(rest, 1)) {
            section.unlocked(|| self.set(part, false));
            rest = (part.last < span.last).then(|| Span { first: part.last + 1, ..span });
        }
        section.table().remove(span);
    }
}

/// Each thread reads its spans.
fn check(threads: &'static [&'static [(u64, u64)]]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(move || {
        let locked = std::array::from_fn(|_| UnsafeCell::new(false));
        let file = Arc::new(File { sections: Sections::new(), locked });
        let read = |spans: &'static [(u64, u64)]| {
            let file = Arc::clone(&file);
            move || spans.iter().for_each(|&(first, last)| file.read(Span { first, last }))
        };
        let others: Vec<_> = threads[1..].iter().map(|spans| thread::spawn(read(spans))).collect();
        read(threads[0])();
        others.into_iter().for_each(|thread| thread.join().unwrap());
        let is_locked = |byte: &UnsafeCell<bool>| {
            byte.with(|locked| {
                // SAFETY: no other thread is left.
                unsafe { *locked }
            })
        };
        assert!(!file.locked.iter().any(is_locked));
    });
}

#[test]
fn a_reader_that_comes_again_meets_another() {
    check(&[&[(0, 1), (0, 1)], &[(1, 2)]]);
}

#[test]
fn two_readers_of_one_span() {
    check(&[&[(0, 0)], &[(0, 0), (0, 0)]]);
}

#[test]
fn readers_that_share_a_slot() {
    let place = |first| Slots::place(Span { first, last: first });
    assert_eq!(place(0), place(13));
    check(&[&[(0, 0), (0, 0)], &[(13, 13)]]);
}
