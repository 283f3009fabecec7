use super::*;
use crate::lock::RangeLock;

fn bounds(lock: &RangeLock) -> Vec<(u64, u64)> {
    let leaves = lock.partition().lock_over(Span::WHOLE);
    leaves.iter().map(|leaf| (leaf.bounds().first, leaf.bounds().last)).collect()
}

#[test]
fn leaves_tile_the_domain_however_they_are_cut_and_joined() {
    let lock = RangeLock::new();
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
    assert!(lock.test_cut(100) && lock.test_cut(u64::MAX) && lock.test_cut(50));
    assert!(!lock.test_cut(0) && !lock.test_cut(50), "there is a border already");
    assert_eq!(bounds(&lock), [(0, 49), (50, 99), (100, u64::MAX - 1), (u64::MAX, u64::MAX)]);
    for (point, first) in [(0, 0), (49, 0), (50, 50), (100, 100), (u64::MAX - 1, 100), (u64::MAX, u64::MAX)] {
        assert_eq!(lock.partition().lock_at(point).leaf.bounds().first, first);
    }
    assert!(lock.test_join(50) && !lock.test_join(u64::MAX));
    assert_eq!(bounds(&lock), [(0, 49), (50, u64::MAX - 1), (u64::MAX, u64::MAX)]);
    assert_eq!(lock.test_parts(), 3);
}

#[test]
fn a_leaf_is_cut_where_its_users_meet() {
    let partition = Partition::new(Settings::DEFAULT);
    let meet = |point| {
        let mut at = partition.lock_at(point);
        if at.leaf.note_meeting(point) {
            partition.cut_where_they_met(&mut at.leaf);
        }
    };
    (0..100).for_each(|_| meet(7));
    assert_eq!(partition.len(), 1, "no cut helps those who all begin at one point");
    (0..if cfg!(miri) { 1000 } else { 10_000 }).for_each(|n| meet(n % 10));
    assert!(partition.len() > 5, "{partition:?}");
    let leaves = partition.lock_over(Span::WHOLE);
    assert!(leaves.iter().all(|leaf| leaf.bounds().first < 10), "{leaves:?}");
}

#[test]
fn meetings_far_apart_cut_nothing() {
    let partition = Partition::new(Settings::DEFAULT);
    for n in 0..if cfg!(miri) { 20 } else { 1000 } {
        let mut at = partition.lock_at(n);
        (0..2 * Contention::SOON).for_each(|_| _ = at.leaf.draw_id(partition.ids()));
        assert!(!at.leaf.note_meeting(n));
    }
}

#[test]
fn who_crosses_quiet_leaves_joins_them() {
    let lock = RangeLock::new();
    (1..20).for_each(|at| assert!(lock.test_cut(at)));
    (0..10 * u32::from(Crossings::QUIET)).for_each(|_| drop(lock.write(..)));
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
    assert!((1..20).all(|at| lock.test_cut(at)), "what was joined can be used again");
}

#[test]
fn when_all_leaves_are_in_use_quiet_ones_are_joined_for_the_others() {
    let partition = Partition::new(Settings { max_leaves: NonZeroU16::new(4), ..Settings::DEFAULT });
    assert!([1000, 2000, 3000].into_iter().all(|at| partition.cut_at(at)));
    let meet = |point| {
        let mut at = partition.lock_at(point);
        if at.leaf.note_meeting(point) {
            partition.cut_where_they_met(&mut at.leaf);
        }
    };
    (0..if cfg!(miri) { 500 } else { 1000 }).for_each(|n| meet(n % 10));
    assert_eq!(partition.len(), 4);
    let leaves = partition.lock_over(Span::WHOLE);
    assert!(leaves.iter().nth(2).unwrap().bounds().first < 10, "{leaves:?}");
}

#[test]
fn with_one_leaf_nothing_is_cut() {
    let lock = RangeLock::builder().max_leaves(1).build();
    assert!(!lock.test_cut(5));
    assert_eq!(bounds(&lock), [(0, u64::MAX)]);
}

#[test]
fn the_last_point_is_found_with_any_number_of_leaves() {
    for max in [2, 8, 9, 16, 32, 64, 65, 128, 512, 600] {
        let lock = RangeLock::builder().max_leaves(max).build();
        for n in 1..max as u64 {
            assert!(lock.test_cut(10 * n));
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
    assert!(lock.test_cut(10));
    (0..Crossings::QUIET).for_each(|_| drop(lock.read(..)));
    assert_eq!(lock.test_parts(), 1, "quiet");
    assert!(lock.test_cut(20));
    drop(lock.read(..));
    assert_eq!(lock.test_parts(), 2, "not quiet from the beginning");
}
