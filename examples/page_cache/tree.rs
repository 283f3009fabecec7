//! A B-tree over a cache of pages, with the latches of the cache. Two rules keep its threads from
//! waiting for each other in a circle:
//!
//! 1. A thread that holds a latch asks for the next one with a `try_` verb. If that fails, it
//!    releases what it holds, and waits with nothing held.
//! 2. A split needs several latches at once. It takes them as one request, with nothing held.
//!
//! To go only down the tree is not enough. A scan waits for all latches at once, so it waits for a
//! latched parent. A descent that holds this parent and blocks on the child waits behind the scan.
//!
//! What a thread knew may be out of date after it has waited with nothing held. So each page has a
//! *fence*, the largest key that belongs there. The lower end of a page never moves, and no page is
//! removed. So a page that was right for a key still is, unless the key lies beyond the fence.

mod cache;

use std::io;
use std::sync::Arc;

use range_lock::{ManyGuard, Mode, RangeLock, Request, point};

use super::Mutex; // Of std, or of a checker of schedules.
use cache::Cache;
pub(crate) use cache::{Page, Store};

/// The page at which every descent begins. Its number never changes.
const ROOT: u64 = 0;

pub(crate) struct Tree<S> {
    cache: Cache<S>,
}

/// A page, and its latch.
struct Latched<'a> {
    number: u64,
    page: Arc<Page>,
    _latch: ManyGuard<'a>,
}

impl<S: Store> Tree<S> {
    /// Makes an empty tree: a root, and a leaf below it. The cache may keep `most` pages.
    pub(crate) fn create(store: S, most: usize) -> Self {
        let tree = Self::open(store, most, 2);
        tree.cache.put(ROOT, Page { level: 1, last: u64::MAX, entries: vec![(u64::MAX, 1)] });
        tree.cache.put(1, Page { level: 0, last: u64::MAX, entries: vec![] });
        tree
    }

    /// Opens the tree whose `end` pages are in the store.
    pub(crate) fn open(store: S, most: usize, end: u64) -> Self {
        Tree { cache: Cache::new(store, most, end) }
    }

    /// How many pages there are, and how many of them are cached.
    pub(crate) fn pages(&self) -> (u64, usize) {
        self.cache.pages()
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.cache.flush()
    }

    pub(crate) fn get(&self, key: u64) -> io::Result<Option<u64>> {
        let leaf = self.descend(key, 0, Mode::Read)?;
        let value = leaf.page.entries.get(leaf.page.index(key)).filter(|e| e.0 == key).map(|e| e.1);
        drop(leaf);
        self.cache.trim()?;
        Ok(value)
    }

    /// Returns the value that `key` had before. After an error, `key` may have either value.
    pub(crate) fn insert(&self, key: u64, value: u64) -> io::Result<Option<u64>> {
        loop {
            let leaf = self.descend(key, 0, Mode::Write)?;
            let mut page = Page::clone(&leaf.page);
            let at = page.index(key);
            let before = page.entries.get(at).filter(|entry| entry.0 == key).map(|entry| entry.1);
            if before.is_some() {
                page.entries[at].1 = value;
            } else if page.entries.len() < S::MOST {
                page.entries.insert(at, (key, value));
            } else {
                drop(leaf); // A split takes its latches with nothing held.
                self.split(key, 0)?;
                continue;
            }
            self.cache.put(leaf.number, page);
            drop(leaf);
            self.cache.trim()?;
            return Ok(before);
        }
    }

    /// All entries, as they are at one moment. Panics if the pages are not a tree.
    pub(crate) fn scan(&self) -> io::Result<Vec<(u64, u64)>> {
        let mut entries = vec![];
        let latches = self.cache.latches.read(..);
        self.collect(&*self.cache.load(ROOT)?, &mut entries)?;
        drop(latches);
        assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "keys are in order");
        self.cache.trim()?;
        Ok(entries)
    }

    fn collect(&self, page: &Page, into: &mut Vec<(u64, u64)>) -> io::Result<()> {
        assert!(page.entries.iter().all(|entry| entry.0 <= page.last), "a key lies beyond the fence");
        if page.level == 0 {
            into.extend(&page.entries);
            return Ok(());
        }
        for &(fence, child) in &page.entries {
            let child = self.cache.load(child)?;
            assert_eq!((child.last, child.level), (fence, page.level - 1), "fence and level of a child");
            self.collect(&child, into)?;
        }
        Ok(())
    }

    /// Latches the page of `level` to which `key` belongs. The caller holds no latch.
    fn descend(&self, key: u64, level: u64, mode: Mode) -> io::Result<Latched<'_>> {
        'from_the_root: loop {
            let mut at = self.wait(ROOT, Mode::Read)?;
            while at.page.level > level {
                let child = at.page.child(key);
                let mode = if at.page.level == level + 1 { mode } else { Mode::Read };
                if let Some(latch) = RangeLock::try_acquire_many([self.latch(child, mode)]) {
                    // The parent is held until the child has been latched.
                    at = Latched { number: child, page: self.cache.load(child)?, _latch: latch };
                } else {
                    drop(at);
                    at = self.wait(child, mode)?;
                    if key > at.page.last {
                        continue 'from_the_root; // The page was split, and the key went along.
                    }
                }
            }
            return Ok(at);
        }
    }

    /// Waits for the latch of a page. The caller holds no latch.
    fn wait(&self, number: u64, mode: Mode) -> io::Result<Latched<'_>> {
        let latch = RangeLock::acquire_many([self.latch(number, mode)]);
        Ok(Latched { number, page: self.cache.load(number)?, _latch: latch })
    }

    fn latch(&self, number: u64, mode: Mode) -> Request<'_> {
        Request::new(&self.cache.latches, point(number), mode)
    }

    /// Splits the full page of `level` to which `key` belongs, or a page that must be split before.
    /// The caller holds no latch, and looks again: another thread may have been faster.
    fn split(&self, key: u64, level: u64) -> io::Result<()> {
        let parent = self.descend(key, level + 1, Mode::Read)?;
        let (above, below) = (parent.number, parent.page.child(key));
        let is_full = parent.page.entries.len() == S::MOST;
        drop(parent);
        if is_full {
            return if above == ROOT { self.grow() } else { self.split(key, level + 1) };
        }
        let new = self.cache.number();
        let _latches = RangeLock::acquire_many([above, below, new].map(|page| self.latch(page, Mode::Write)));
        let mut parent = Page::clone(&*self.cache.load(above)?);
        let mut left = Page::clone(&*self.cache.load(below)?);
        let is_parent = key <= parent.last && parent.child(key) == below;
        if !is_parent || parent.entries.len() == S::MOST || left.entries.len() < S::MOST {
            self.cache.give_back(new);
            return Ok(());
        }
        let right = left.split_off();
        let at = parent.index(key);
        parent.entries[at].1 = new;
        parent.entries.insert(at, (left.last, below));
        self.cache.put(above, parent);
        self.cache.put(below, left);
        self.cache.put(new, right);
        Ok(())
    }

    /// Adds a level: the entries of a full root move to two new pages.
    fn grow(&self) -> io::Result<()> {
        let new = [self.cache.number(), self.cache.number()];
        let pages = [ROOT, new[0], new[1]];
        let _latches = RangeLock::acquire_many(pages.map(|page| self.latch(page, Mode::Write)));
        let mut left = Page::clone(&*self.cache.load(ROOT)?);
        if left.entries.len() < S::MOST {
            new.into_iter().for_each(|number| self.cache.give_back(number));
            return Ok(());
        }
        let right = left.split_off();
        let entries = vec![(left.last, new[0]), (right.last, new[1])];
        self.cache.put(ROOT, Page { level: left.level + 1, last: right.last, entries });
        self.cache.put(new[0], left);
        self.cache.put(new[1], right);
        Ok(())
    }
}
