//! The pattern "Lock coupling (B-trees)" of `docs::patterns` ends, beside a thread that takes the
//! whole.

use std::thread;

use range_lock::{RangeLock, RangeReadGuard, Request};

const OPERATIONS: u64 = if cfg!(miri) { 20 } else { 2000 };

/// The path to a leaf in a tree of three levels: node 0, nodes 1 to 4, and four leaves below each
/// of these.
fn path(leaf: u64) -> [u64; 2] {
    [1 + leaf / 4, 10 + leaf]
}

/// Takes the child while it holds the parent, and restarts from the root if that fails.
fn descend(nodes: &RangeLock, path: [u64; 2]) -> RangeReadGuard<'_> {
    'restart: loop {
        let mut parent = nodes.read(0..=0);
        for child in path {
            let Some(guard) = nodes.try_read(child..=child) else {
                drop(parent);
                thread::yield_now();
                continue 'restart;
            };
            parent = guard;
        }
        return parent;
    }
}

#[test]
fn descents_splits_and_scans_of_the_whole_end() {
    let nodes = &RangeLock::new();
    thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || {
                for n in 0..OPERATIONS {
                    let path = path((first + 7 * n) % 16);
                    assert_eq!(descend(nodes, path).range(), path[1]..=path[1]);
                }
            });
        }
        scope.spawn(|| {
            for n in 0..OPERATIONS {
                let [parent, leaf] = path((5 * n) % 15);
                let both = [Request::write(nodes, parent..=parent), Request::write(nodes, leaf..=leaf + 1)];
                drop(RangeLock::acquire_many(both));
            }
        });
        scope.spawn(|| (0..OPERATIONS).for_each(|_| drop(nodes.write(..))));
    });
    assert!(nodes.try_write(..).is_some());
}
