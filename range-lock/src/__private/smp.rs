//! Where the parts of a lock lie in memory, for the profile of the simulated machine
//! (`benches/smp`), which builds this crate with `--cfg range_lock_smp`.

use std::mem::size_of_val;

use crate::lock::RangeLock;
use crate::sync::{self, Arc};

/// A function that is called with the address, the size in bytes, the name and the number of a
/// part.
pub type Visit<'a> = dyn FnMut(usize, usize, &'static str, usize) + 'a;

/// Calls `visit` for each part of the lock. No thread may use the lock meanwhile, except threads
/// that are stopped for good. What lies behind the mutex of such a thread is left out.
pub fn layout(lock: &RangeLock, visit: &mut Visit<'_>) {
    let partition = lock.partition();
    let shared = &partition.shared;
    of(shared, visit, "settings of the lock", 0);
    of(&shared.stores.ids, visit, "counter of ids", 0);
    let table = shared.table.get();
    let leaves = table.iter().flat_map(|table| table.leaves());
    for (n, cell) in std::iter::once(&partition.root).chain(leaves).enumerate() {
        of(cell, visit, "leaf", n);
        let Some(leaf) = sync::try_lock(cell) else { continue };
        let Some(rest) = &leaf.rest else { continue };
        of(&**rest, visit, "notes and tree of a leaf", n);
        room(&rest.forest.slots, visit, "tree slots of a leaf", n);
        room(&rest.forest.nodes, visit, "tree nodes of a leaf", n);
        for waiter in &rest.spare {
            visit(Arc::as_ptr(waiter).addr(), size_of_val(&**waiter), "record of a waiter", n);
        }
    }
    let Some(table) = table else { return };
    of(&**table, visit, "table: head and mutex", 0);
    for (n, group) in table.levels.iter().flatten().enumerate() {
        of(group, visit, "table row", n);
    }
    if let Some(grid) = table.grid() {
        of(grid, visit, "table: head of the grid", 0);
        of(&grid.cells[..], visit, "table: cells of the grid", 0);
    }
    of(&table.levels[..], visit, "table: levels", 0);
    for (n, line) in table.indices.chunks(32).enumerate() {
        of(line, visit, "table: leaves of a row", n);
    }
}

/// What lies at a reference.
fn of<T: ?Sized>(part: &T, visit: &mut Visit<'_>, what: &'static str, n: usize) {
    visit(std::ptr::from_ref(part).cast::<()>().addr(), size_of_val(part), what, n);
}

/// What a vector has room for.
fn room<T>(part: &Vec<T>, visit: &mut Visit<'_>, what: &'static str, n: usize) {
    visit(part.as_ptr().addr(), size_of::<T>() * part.capacity(), what, n);
}
