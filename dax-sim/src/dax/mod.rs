//! The paths of Linux' `fs/dax.c`, under their own names: faults, read(2) and write(2),
//! invalidation, write-back. They use `fs` and the modules below.

mod fault;
mod invalidate;
mod kiocb;
mod rw;
mod rw_given_up;
mod user;
mod write;
mod writeback;

pub(crate) use fault::{
    FaultFor, VmFault, dax_finish_sync_fault, dax_iomap_pmd_fault, dax_iomap_pte_fault, dax_pfn_mkwrite,
};
pub(crate) use invalidate::{dax_layout_busy_page, settle_allocation, truncate_inode_pages_range};
pub(crate) use kiocb::Kiocb;
pub(crate) use rw::dax_iomap_read;
pub(crate) use user::{Faults, UserSource, UserTarget};
pub(crate) use write::dax_iomap_write;
pub(crate) use writeback::dax_writeback_mapping_range;

use rw::read_extent;
