//! What a file is: a vector of bytes.

use crate::op::{Op, Verb};
use crate::{Subject, bytes};

#[derive(Default)]
pub(crate) struct Model(Vec<u8>);

impl Model {
    pub(crate) fn of_holes(size: u64) -> Self {
        Self(vec![0; size as usize])
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn grow(&mut self, size: usize) {
        self.0.resize(self.0.len().max(size), 0);
    }
}

impl Subject for Model {
    fn apply(&mut self, number: u64, op: &Op) -> Vec<u8> {
        let (offset, end, dest) = (op.offset as usize, op.end() as usize, op.dest as usize);
        match op.verb {
            Verb::Read | Verb::MapRead => return self.0[offset..end].to_vec(),
            Verb::Write | Verb::MapWrite => {
                self.grow(end);
                self.0[offset..end].copy_from_slice(&bytes(number, op.offset, op.len));
            }
            Verb::Truncate => self.0.resize(op.len as usize, 0),
            Verb::Fallocate if op.keep_size => {}
            Verb::Fallocate => self.grow(end),
            Verb::PunchHole | Verb::ZeroRange => {
                if op.verb == Verb::ZeroRange && !op.keep_size {
                    self.grow(end);
                }
                let size = self.0.len();
                self.0[offset.min(size)..end.min(size)].fill(0);
            }
            Verb::CollapseRange => drop(self.0.drain(offset..end)),
            Verb::InsertRange => drop(self.0.splice(offset..offset, vec![0; op.len as usize])),
            Verb::CloneRange | Verb::CopyRange => {
                self.grow(dest + op.len as usize);
                self.0.copy_within(offset..end, dest);
            }
            Verb::DedupeRange | Verb::Fsync | Verb::Skip => {}
        }
        Vec::new()
    }

    fn contents(&mut self) -> Vec<u8> {
        self.0.clone()
    }
}
