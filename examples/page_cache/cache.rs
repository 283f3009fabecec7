//! A cache of pages, and their latches: the latch of page n is point n of one [`RangeLock`].

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use range_lock::{RangeLock, point};

use super::Mutex;

/// A page of a B-tree.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// How many levels are below: 0 for a leaf.
    pub(crate) level: u64,
    /// The fence: the largest key that belongs here.
    pub(crate) last: u64,
    /// Ordered by key. A leaf has a value for each key. An inner page has a child for each key,
    /// which is the child's fence.
    pub(crate) entries: Vec<(u64, u64)>,
}

impl Page {
    /// The index of `key`, or of the child to which `key` belongs.
    pub(crate) fn index(&self, key: u64) -> usize {
        self.entries.partition_point(|entry| entry.0 < key)
    }

    pub(crate) fn child(&self, key: u64) -> u64 {
        self.entries[self.index(key)].1
    }

    /// Keeps the lower half, and returns the upper one.
    pub(crate) fn split_off(&mut self) -> Page {
        let entries = self.entries.split_off(self.entries.len() / 2);
        let right = Page { level: self.level, last: self.last, entries };
        self.last = self.entries[self.entries.len() - 1].0;
        right
    }
}

/// Where pages are stored while they are not cached.
pub(crate) trait Store {
    /// How many entries a page has room for.
    const MOST: usize;
    fn read(&self, number: u64) -> io::Result<Page>;
    fn write(&self, number: u64, page: &Page) -> io::Result<()>;
}

#[derive(Clone)]
struct Frame {
    page: Arc<Page>,
    dirty: bool,
}

struct Frames {
    cached: BTreeMap<u64, Frame>,
    /// Where the search for a page to drop goes on.
    hand: u64,
    /// The first number that no page has, and numbers that were given back.
    end: u64,
    unused: Vec<u64>,
}

pub(crate) struct Cache<S> {
    pub(crate) latches: RangeLock,
    store: S,
    /// How many pages may stay between operations.
    most: usize,
    /// Held for a look or a change. Never held while a thread waits for a latch or for the store.
    frames: Mutex<Frames>,
}

impl<S: Store> Cache<S> {
    /// The cache of a store with pages up to number `end`.
    pub(crate) fn new(store: S, most: usize, end: u64) -> Self {
        let frames = Frames { cached: BTreeMap::new(), hand: 0, end, unused: vec![] };
        Cache { latches: RangeLock::new(), store, most, frames: Mutex::new(frames) }
    }

    /// How many pages there are, and how many of them are cached.
    pub(crate) fn pages(&self) -> (u64, usize) {
        let frames = self.frames.lock().unwrap();
        (frames.end, frames.cached.len())
    }

    /// A number for a new page.
    pub(crate) fn number(&self) -> u64 {
        let mut frames = self.frames.lock().unwrap();
        frames.unused.pop().unwrap_or_else(|| {
            frames.end += 1;
            frames.end - 1
        })
    }

    /// Takes back a number that was not used for a page.
    pub(crate) fn give_back(&self, number: u64) {
        self.frames.lock().unwrap().unused.push(number);
    }

    /// The content of a page. The caller holds its latch.
    pub(crate) fn load(&self, number: u64) -> io::Result<Arc<Page>> {
        if let Some(frame) = self.frames.lock().unwrap().cached.get(&number) {
            return Ok(Arc::clone(&frame.page));
        }
        let page = Arc::new(self.store.read(number)?); // Other threads use the cache meanwhile.
        let mut frames = self.frames.lock().unwrap();
        // Another reader may also have read it.
        let frame = frames.cached.entry(number).or_insert(Frame { page, dirty: false });
        Ok(Arc::clone(&frame.page))
    }

    /// Changes a page. The caller holds its latch for writing.
    pub(crate) fn put(&self, number: u64, page: Page) {
        self.frames.lock().unwrap().cached.insert(number, Frame { page: Arc::new(page), dirty: true });
    }

    /// Writes all changes to the store, as of one moment. The caller holds no latch.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let _latches = self.latches.read(..); // Keeps changes out, and lets readers in.
        let dirty: Vec<_> = {
            let frames = self.frames.lock().unwrap();
            let dirty = frames.cached.iter().filter(|(_, frame)| frame.dirty);
            dirty.map(|(&number, frame)| (number, Arc::clone(&frame.page))).collect()
        };
        for (number, page) in dirty {
            self.store.write(number, &page)?;
            if let Some(frame) = self.frames.lock().unwrap().cached.get_mut(&number) {
                frame.dirty = false;
            }
        }
        Ok(())
    }

    /// Drops pages until at most `most` are cached. A page that is in use stays. The caller holds
    /// no latch.
    pub(crate) fn trim(&self) -> io::Result<()> {
        for _ in 0..self.pages().1 {
            let mut frames = self.frames.lock().unwrap();
            if frames.cached.len() <= self.most {
                break;
            }
            let next = frames.cached.range(frames.hand..).next().or(frames.cached.first_key_value());
            let Some((&number, _)) = next else { break };
            frames.hand = number + 1;
            drop(frames);
            let Some(_latch) = self.latches.try_write(point(number)) else { continue };
            let frame = self.frames.lock().unwrap().cached.get(&number).cloned();
            if let Some(Frame { page, dirty: true }) = frame {
                self.store.write(number, &page)?;
            }
            self.frames.lock().unwrap().cached.remove(&number); // After it has been written.
        }
        Ok(())
    }
}
