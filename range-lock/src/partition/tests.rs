use std::cell::{Cell, RefCell};

use super::*;
use crate::__private;
use crate::leaf::Contention;
use crate::lock::RangeLock;

type Meanwhile = Box<dyn FnOnce()>;

thread_local! {
    /// How often this thread has waited for the table.
    pub(super) static WAITED_FOR_TABLE: Cell<usize> = const { Cell::new(0) };
    /// What this thread does while it moves a row of the table.
    static IN_THE_MIDDLE: RefCell<Option<(usize, Meanwhile)>> = const { RefCell::new(None) };
}

/// See [`Table::set`]: the row already names the other leaf, and begins where the one before it
/// began.
pub(super) fn in_the_middle_of_a_row(row: usize) {
    let is_it = IN_THE_MIDDLE.with_borrow(|what| what.as_ref().is_some_and(|(at, _)| *at == row));
    if let Some((_, what)) = is_it.then(|| IN_THE_MIDDLE.take()).flatten() {
        what();
    }
}

fn bounds(lock: &RangeLock) -> Vec<(u64, u64)> {
    let leaves = lock.partition().lock_over(Span::WHOLE);
    leaves.iter().map(|leaf| (leaf.bounds().first, leaf.bounds().last)).collect()
}

fn point(at: u64) -> Span {
    Span { first: at, last: at }
}

/// A request for `span` meets another one.
fn meet(partition: &Partition, span: Span) {
    let mut at = partition.lock_at(span);
    _ = at.leaf.draw_id(partition.ids());
    if at.leaf.note_meeting(span) {
        partition.cut_where_they_met(&mut at.leaf);
    }
}

#[test]
fn leaves_tile_the_domain_however_they_are_cut_and_joined() {
    let lock = RangeLock::new();
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
    assert!(__private::cut(&lock, 100) && __private::cut(&lock, u64::MAX) && __private::cut(&lock, 50));
    assert!(!__private::cut(&lock, 0) && !__private::cut(&lock, 50), "there is a border already");
    assert_eq!(bounds(&lock), [(0, 49), (50, 99), (100, u64::MAX - 1), (u64::MAX, u64::MAX)]);
    for (point, first) in [(0, 0), (49, 0), (50, 50), (100, 100), (u64::MAX - 1, 100), (u64::MAX, u64::MAX)] {
        assert_eq!(lock.partition().lock_at(self::point(point)).leaf.bounds().first, first);
    }
    assert!(__private::join(&lock, 50) && !__private::join(&lock, u64::MAX));
    assert_eq!(bounds(&lock), [(0, 49), (50, u64::MAX - 1), (u64::MAX, u64::MAX)]);
    assert_eq!(__private::parts(&lock), 3);
}

#[test]
fn a_leaf_is_cut_where_its_users_meet() {
    let partition = Partition::new(Settings::DEFAULT);
    let meet = |at| meet(&partition, point(at));
    (0..100).for_each(|_| meet(7));
    assert_eq!(partition.len(), 1, "no cut helps those who all begin at one point");
    let seed = &mut 1;
    (0..if cfg!(miri) { 1000 } else { 10_000 }).for_each(|_| meet(random(seed, 10)));
    assert!(partition.len() > 5, "{partition:?}");
    let leaves = partition.lock_over(Span::WHOLE);
    assert!(leaves.iter().all(|leaf| leaf.bounds().first < 10), "{leaves:?}");
}

/// A cut there would copy all of them.
#[test]
fn a_leaf_is_not_cut_where_many_entries_cross() {
    let lock = RangeLock::new();
    let meet = |times: u64| {
        let seed = &mut 1;
        (0..times).for_each(|_| self::meet(lock.partition(), point(random(seed, 10))));
        lock.partition().len()
    };
    let wide: Vec<_> = (0..100).map(|_| lock.read(0..100)).collect();
    assert_eq!(meet(if cfg!(miri) { 200 } else { 10_000 }), 1);
    drop(wide);
    assert!(meet(10_000) > 1);
}

#[test]
fn what_begins_at_the_place_of_a_cut_does_not_cross_it() {
    let lock = RangeLock::new();
    let is_crossed =
        |at| lock.partition().lock_over(Span::WHOLE).iter().next().is_some_and(|leaf| leaf.is_crossed(at));
    let mut readers: Vec<_> = (0..64).map(|_| lock.read(50..60)).collect();
    assert_eq!([49, 50, 51, 59, 60].map(is_crossed), [false; 5], "64 entries are few");
    readers.push(lock.read(50..60));
    assert_eq!([49, 50, 51, 59, 60].map(is_crossed), [false, false, true, true, false]);
}

/// Also when each has used up a block of ids.
#[test]
fn leaves_never_draw_the_same_id() {
    let lock = RangeLock::new();
    assert!(__private::cut(&lock, 50));
    let (ids, mut leaves) = (lock.partition().ids(), lock.partition().lock_over(Span::WHOLE));
    let mut drawn = vec![];
    for _ in 0..2 * Ids::BLOCK {
        drawn.extend(leaves.iter_mut().map(|leaf| leaf.draw_id(ids).get()));
    }
    let all = drawn.len();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), all);
}

#[test]
fn meetings_far_apart_cut_nothing() {
    let partition = Partition::new(Settings::DEFAULT);
    for n in 0..if cfg!(miri) { 20 } else { 1000 } {
        let mut at = partition.lock_at(point(n));
        (0..2 * Contention::SOON).for_each(|_| _ = at.leaf.draw_id(partition.ids()));
        assert!(!at.leaf.note_meeting(point(n)));
    }
}

#[test]
fn who_crosses_quiet_leaves_joins_them() {
    let lock = RangeLock::new();
    (1..20).for_each(|at| assert!(__private::cut(&lock, at)));
    (0..10 * u32::from(Crossings::QUIET)).for_each(|_| drop(lock.write(..)));
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
    assert!((1..20).all(|at| __private::cut(&lock, at)), "what was joined can be used again");
}

#[test]
fn a_leaf_that_is_cut_and_joined_in_turn_is_cut_less_and_less_often() {
    let partition = Partition::new(Settings::DEFAULT);
    let (mut meetings, mut seed) = (0, 1);
    let mut meetings_until_a_cut = || {
        let before = meetings;
        while partition.len() == 1 {
            meet(&partition, point(random(&mut seed, 10)));
            meetings += 1;
        }
        // Requests that cross the border join the halves again.
        while partition.len() > 1 {
            drop(partition.lock_over(Span::WHOLE));
        }
        meetings - before
    };
    meetings_until_a_cut(); // The first one also waits for requests that may be under way.
    let cuts: Vec<u64> = (0..4).map(|_| meetings_until_a_cut()).collect();
    assert!(cuts.windows(2).all(|two| two[0] < two[1]), "meetings before each cut: {cuts:?}");
}

#[test]
fn when_all_leaves_are_in_use_quiet_ones_are_joined_for_the_others() {
    let partition = Partition::new(Settings { max_leaves: NonZeroU16::new(4), ..Settings::DEFAULT });
    assert!([1000, 2000, 3000].into_iter().all(|at| partition.cut_at(at)));
    let seed = &mut 1;
    (0..if cfg!(miri) { 500 } else { 1000 }).for_each(|_| meet(&partition, point(random(seed, 10))));
    assert_eq!(partition.len(), 4);
    let leaves = partition.lock_over(Span::WHOLE);
    assert!(leaves.iter().nth(2).unwrap().bounds().first < 10, "{leaves:?}");
}

/// A number below `n`, without a pattern.
fn random(state: &mut u64, n: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % n
}

#[test]
fn leaves_that_are_all_alike_take_no_room_from_each_other() {
    let partition = Partition::new(Settings { max_leaves: NonZeroU16::new(16), ..Settings::DEFAULT });
    assert!((1..16).all(|at| partition.cut_at(100 * at)));
    let seed = &mut 1;
    for _ in 0..if cfg!(miri) { 2000 } else { 100_000 } {
        meet(&partition, point(random(seed, 1600)));
    }
    let leaves = partition.lock_over(Span::WHOLE);
    assert!(leaves.iter().all(|leaf| leaf.bounds().first % 100 == 0), "{leaves:?}");
}

#[test]
fn the_table_leads_to_each_leaf_however_it_is_changed() {
    for max in [2, 3, 9, 64, 65, 100, 513] {
        let lock = RangeLock::builder().max_leaves(max).build();
        let seed = &mut (max as u64);
        for round in 0..if cfg!(miri) { 20 } else { 3000 } {
            // It grows, and shrinks again.
            let at = random(seed, 1000);
            // Near each other, or over all of the domain.
            let at = match random(seed, 40) {
                0 => [1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1][random(seed, 5) as usize],
                _ if max % 2 == 0 => at,
                _ => at << random(seed, 54),
            };
            let grows = round % 1500 < 1000;
            let _ = if random(seed, 10) < if grows { 9 } else { 1 } {
                __private::cut(&lock, at)
            } else {
                __private::join(&lock, at)
            };
            let partition = lock.partition();
            if round % 10 != 0 && partition.len() > 3 {
                continue;
            }
            for (first, last) in bounds(&lock) {
                for point in [first, last, first.midpoint(last)] {
                    let leaf = sync::lock(partition.cell(partition.route(point)));
                    assert_eq!(leaf.bounds(), Bounds { first, last }, "{max}, round {round}, {point}");
                }
            }
        }
    }
}

#[test]
fn the_grid_leads_to_all_leaves_that_begin_at_round_points() {
    let lock = RangeLock::builder().max_leaves(64).build();
    (1..64).for_each(|n| assert!(__private::cut(&lock, n << 20)));
    let partition = lock.partition();
    let grid = || partition.shared.table.get().unwrap().grid().unwrap();
    // In steps of a quarter of a leaf, or, under Miri, which is slow, of a whole one.
    let step = if cfg!(miri) { 20 } else { 18 };
    let misses = || (0..64 << (20 - step)).filter(|n| grid().look_up(n << step).is_none()).count();
    assert_eq!(misses(), 0);
    // One that begins elsewhere makes one cell mixed, and one far away makes the cells larger.
    assert!(__private::join(&lock, 5 << 20) && __private::cut(&lock, (6 << 20) + 4096));
    assert_eq!(misses(), 1);
    assert!(__private::join(&lock, 6 << 20) && __private::cut(&lock, 1 << 60));
    assert!(misses() > 60, "{}", misses());
    assert!(__private::join(&lock, 63 << 20) && __private::cut(&lock, 6 << 20));
    assert_eq!(misses(), 0, "without it they are small again");
    (1..64).for_each(|_| assert!(__private::join(&lock, 0)));
    assert_eq!((misses(), partition.len()), (0, 1), "one leaf is found by one look too");
}

/// Each request begins behind the one before, give or take as many as are under way at a time.
#[test]
fn a_hot_spot_that_moves_up_is_not_cut_in_vain() {
    // Under Miri each takes minutes.
    let locks: &[(u64, u16)] =
        if cfg!(miri) { &[(2, 64)] } else { &[(1, 64), (2, 64), (64, 1024), (512, 1024)] };
    for &(under_way, max_leaves) in locks {
        let partition =
            Partition::new(Settings { max_leaves: NonZeroU16::new(max_leaves), ..Settings::DEFAULT });
        let seed = &mut 1;
        for n in 0..if cfg!(miri) { 2000 } else { 100_000 } {
            meet(&partition, page(n + random(seed, under_way)));
        }
        let leaves = partition.len();
        assert!(leaves <= 3, "{under_way} under way: {leaves} leaves");
        // When it rests it is cut.
        let here = if cfg!(miri) { 2000 } else { 100_000 };
        for _ in 0..if cfg!(miri) { 3000 } else { 100_000 } {
            meet(&partition, page(here + random(seed, 64)));
        }
        assert!(partition.len() > leaves + 3, "{partition:?}");
    }
}

fn page(n: u64) -> Span {
    Span { first: n << 12, last: (n << 12) + 4095 }
}

/// The share of requests that cross a border, in a lock that has been cut into 64 leaves where such
/// requests met. `place` says where, by the last eight.
fn share_that_crosses(
    draw: impl Fn(&mut u64) -> Span,
    place: impl Fn(&[Span; 8], Bounds) -> Option<u64>,
) -> f64 {
    use std::collections::BTreeMap;

    let mut leaves = BTreeMap::from([(0, Vec::new())]);
    let seed = &mut 1;
    while leaves.len() < 64 {
        let span = draw(seed);
        let (&first, notes) = leaves.range_mut(..=span.first).next_back().expect("the first begins at 0");
        notes.push(span);
        let Ok(spans) = <&[Span; 8]>::try_from(&notes[..]) else { continue };
        let spans = *spans;
        notes.clear();
        let last = leaves.range(first + 1..).next().map_or(u64::MAX, |(next, _)| next - 1);
        if let Some(at) = place(&spans, Bounds { first, last }) {
            leaves.insert(at, Vec::new());
        }
    }
    const DRAWN: usize = 20_000;
    let crosses = |span: Span| leaves.range(span.first + 1..=span.last).next().is_some();
    (0..DRAWN).filter(|_| crosses(draw(seed))).count() as f64 / DRAWN as f64
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes, and calls no code that is unsafe")]
fn a_leaf_is_cut_where_few_requests_cross() {
    let by_the_rule = |spans: &[Span; 8], bounds| {
        let mut contention = Contention::NONE;
        spans.iter().for_each(|span| _ = contention.note(*span, 0));
        contention.place_to_cut(bounds)
    };
    // At the point at which half of the requests begin before.
    let at_the_median = |spans: &[Span; 8], bounds: Bounds| {
        let mut points = spans.map(|span| span.first);
        points.sort_unstable();
        let inside = |point: &&u64| **point > bounds.first.max(points[0]) && **point <= bounds.last;
        let (before, behind) = points.split_at(4);
        behind.iter().find(inside).or_else(|| before.iter().rev().find(inside)).copied()
    };
    // Two of three are pages of 4 KiB and one is of 2 MiB, in 1 GiB.
    let pages = |seed: &mut u64| match random(seed, 3) {
        0 => Span { first: random(seed, 512) << 21, last: 0 },
        _ => page(random(seed, 1 << 18)),
    };
    let pages = |seed: &mut u64| match pages(seed) {
        Span { first, last: 0 } => Span { first, last: first + (1 << 21) - 1 },
        page => page,
    };
    // Behind a header of 100 bytes.
    let records = |seed: &mut u64| {
        let first = 100 + 3000 * random(seed, 100_000);
        Span { first, last: first + 2999 }
    };
    for (what, rule, median) in [
        ("pages", share_that_crosses(pages, by_the_rule), share_that_crosses(pages, at_the_median)),
        ("records", share_that_crosses(records, by_the_rule), share_that_crosses(records, at_the_median)),
    ] {
        println!("{what}: {rule} of the requests cross a border, with cuts at the median {median}");
        assert!(rule <= median, "{what}: {rule} against {median}");
    }
}

#[test]
fn with_one_leaf_nothing_is_cut() {
    let lock = RangeLock::builder().max_leaves(1).build();
    assert!(!__private::cut(&lock, 5));
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
}

#[test]
fn the_last_point_is_found_with_any_number_of_leaves() {
    // Miri takes a quarter of an hour for the last two.
    let few = if cfg!(miri) { 8 } else { 10 };
    for max in [2, 8, 9, 16, 32, 64, 65, 128, 512, 600].into_iter().take(few) {
        let lock = RangeLock::builder().max_leaves(max).build();
        for n in 1..max as u64 {
            assert!(__private::cut(&lock, 10 * n));
            if n % 8 < 2 || cfg!(not(miri)) {
                let table = lock.partition().table();
                let last = lock.partition().cell(table.route(u64::MAX));
                assert_eq!(sync::lock(last).bounds(), Bounds { first: 10 * n, last: u64::MAX });
            }
        }
        drop(lock.write(u64::MAX..));
        drop(lock.write(..));
    }
}

#[test]
fn a_leaf_that_is_used_again_begins_anew() {
    let lock = RangeLock::new();
    assert!(__private::cut(&lock, 10));
    (0..Crossings::QUIET).for_each(|_| drop(lock.read(..)));
    assert_eq!(__private::parts(&lock), 1, "quiet");
    assert!(__private::cut(&lock, 20));
    drop(lock.read(..));
    assert_eq!(__private::parts(&lock), 2, "not quiet from the beginning");
}

/// The scheduler's calls, as far as the test below needs them.
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
mod scheduler {
    use std::io;

    unsafe extern "C" {
        fn sched_setscheduler(pid: i32, policy: i32, priority: *const i32) -> i32;
        fn sched_getaffinity(pid: i32, size: usize, mask: *mut u64) -> i32;
        fn sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
    }

    /// Lets the calling thread run on one CPU only, which is the same for all threads that call
    /// this.
    pub(super) fn pin() -> io::Result<()> {
        let mut mask = [0_u64; 16];
        // SAFETY: both read or write as many bytes as they are told, which `mask` has.
        let result = unsafe { sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr()) };
        checked(result)?;
        let word = mask.iter().position(|word| *word != 0).expect("a thread has a CPU to run on");
        let mut one = [0; 16];
        one[word] = mask[word] & mask[word].wrapping_neg();
        // SAFETY: as above.
        checked(unsafe { sched_setaffinity(0, size_of_val(&one), one.as_ptr()) })
    }

    /// Gives the calling thread a real-time priority: no other thread of its CPU runs until it
    /// sleeps.
    pub(super) fn real_time() -> io::Result<()> {
        const SCHED_FIFO: i32 = 1;
        // SAFETY: a `sched_param` is one `int`.
        checked(unsafe { sched_setscheduler(0, SCHED_FIFO, &1) })
    }

    fn checked(result: i32) -> io::Result<()> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A thread is preempted while it moves the rows of the table, by one of real-time priority on the
/// same CPU that is led to a wrong leaf. That one has to sleep, or neither gets any further.
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
#[test]
fn a_thread_of_higher_priority_sleeps_while_the_table_is_changed() {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::mpsc;

    let skipped = |what: std::io::Error| {
        assert!(
            std::env::var_os("REQUIRE").is_none_or(|value| value != "1"),
            "REQUIRE is set, and there is no SCHED_FIFO: {what}"
        );
        // Past the capture of the test's output.
        let line = format!("######## SKIPPED: no SCHED_FIFO here: {what}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    };
    let lock = Arc::new(RangeLock::new());
    assert!(__private::cut(&lock, 100) && __private::cut(&lock, 200) && __private::cut(&lock, 300));
    let (ready, is_ready) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let urgent = thread::spawn({
        let lock = Arc::clone(&lock);
        move || {
            if let Err(error) = scheduler::pin().and_then(|()| scheduler::real_time()) {
                ready.send(Err(error)).unwrap();
                return 0;
            }
            ready.send(Ok(())).unwrap();
            goes.recv().unwrap();
            drop(lock.read(299..300));
            WAITED_FOR_TABLE.get()
        }
    });
    let prepared = is_ready.recv().unwrap().and_then(|()| scheduler::pin());
    if let Err(error) = prepared {
        drop(go);
        return skipped(error);
    }
    // The leaf of 100..200 goes: row 1 is to begin at 200 and row 2 at 300. While row 2 is moved it
    // still begins at 200 and already names the leaf that begins at 300. The other thread asks for
    // a point whose cell of the grid is mixed. It runs from the message until it sleeps.
    IN_THE_MIDDLE.set(Some((2, Box::new(move || go.send(()).unwrap()))));
    assert!(__private::join(&lock, 0));
    let waited = urgent.join().unwrap();
    assert!(waited > 0, "the thread was led to the right leaf, so the test shows nothing");
    assert!(waited < 100, "it looked {waited} times and did not sleep");
}
