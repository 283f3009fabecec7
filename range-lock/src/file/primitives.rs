//! Atomics and locks for what the threads of a process share of a file. In a normal build they come
//! from the standard library. In a model they come from loom (`--cfg loom`) or shuttle (`--cfg
//! shuttle`), so that the models run the slots and the sections themselves.
//! It uses nothing of this crate.

#[cfg(loom)]
pub(super) use loom::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(shuttle)]
pub(super) use shuttle::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(any(loom, shuttle)))]
pub(super) use std::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
