//! A memory management unit in software: address spaces that map files, page tables, and the
//! shootdown of translations. It uses `schedule` and the modules below.
//!
//! A [`Vma`] is one mapping of one file with the page table below it, in an address space ([`Mm`]).
//! [`IMmap`] lists the mappings of a file. So a thread that takes a block away finds every mapping
//! that may translate to the block. [`grace`] ensures that no access still uses a removed
//! translation. Several mappings under one page table, and shortage of memory, are left out.

mod address_space;
mod anonymous;
pub(crate) mod grace;
mod i_mmap;
mod page_table;
mod pte;
mod vma;

pub(crate) use address_space::{Mm, PMD_SIZE};
pub(crate) use anonymous::AnonymousPage;
pub(crate) use i_mmap::IMmap;
pub(crate) use page_table::EvenCows;
pub(crate) use pte::{Pte, Target};
pub(crate) use vma::{VmFlags, Vma};
