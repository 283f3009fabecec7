//! A memory management unit in software: address spaces that map files, page tables, and the shootdown of
//! translations.
//!
//! A [`Vma`] is one mapping of one file with the page table below it; [`IMmap`] lists the mappings of a file,
//! so that whoever takes a block away finds all that may translate to it; [`grace`] makes sure that no access
//! still uses a translation that is gone. What stays out: several mappings under one page table, private
//! mappings, huge pages.

pub(crate) mod grace;
mod i_mmap;
mod page_table;

pub(crate) use i_mmap::{IMmap, Vma};
pub(crate) use page_table::Pte;
