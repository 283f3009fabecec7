use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::__private;
use crate::inspect::{RequestInfo, RequestState};
use crate::lock::RangeLock;
use crate::many::{Request, parts};
use crate::partition::Locked;
use crate::request::{self, Entered, Parts};
use crate::sync::Deadline;

thread_local! {
    /// How many entries this thread has looked at again.
    pub(crate) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Asserts what the head of the module says, of all leaves of a lock whose requests are in no
/// other; and that those tile the domain, and each has what belongs there.
fn check_leaves(leaves: &Locked<'_>) {
    let entries: Vec<_> = leaves.iter().flat_map(Leaf::beginning_here).collect();
    let upgrades = |entry: &Entry<'_>| entry.waits() && entry.queued.unwrap().order == Order::UPGRADE;
    for (n, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_held()) {
        for other in entries[..n].iter().filter(|other| other.is_held()) {
            let modes = [entry, other].map(|e| if upgrades(e) { Mode::Upgradable } else { e.mode });
            assert!(!entry.span.overlaps(other.span) || !modes[0].conflicts(modes[1]), "held alone");
        }
    }
    let mut counts = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.waits()) {
        let waiter = &entry.queued.unwrap().waiter;
        counts.entry(entry.id).or_insert((0, waiter.blocking(), waiter.is_offered()));
    }
    for leaf in leaves.iter() {
        leaf.check_registrations(|id| counts.get_mut(&id).expect("only what waits is kept out").0 += 1);
    }
    for (id, (registered, blocking, is_offered)) in counts {
        let is_exact = registered == blocking && is_offered == (registered == 0);
        assert!(is_exact, "exact: {id} counts {blocking} of its entries, {registered} are kept out");
    }
    let mut next = Some(0);
    let mut keeping = BTreeMap::new();
    for leaf in leaves.iter() {
        assert_eq!(Some(leaf.bounds.first), next, "tiles");
        next = leaf.bounds.last.checked_add(1);
        let key = |entry: &Entry<'_>| (entry.id, entry.span.first, entry.span.last, entry.mode);
        let mut here: Vec<_> = leaf.entries().map(|entry| key(&entry)).collect();
        let mut due: Vec<_> = entries.iter().filter(|entry| leaf.bounds.meet(entry.span)).map(key).collect();
        here.sort_unstable();
        due.sort_unstable();
        assert_eq!(here, due, "each leaf has the entries that touch it");
        for (id, queued) in leaf.entries().filter_map(|entry| Some((entry.id, entry.queued?))) {
            *keeping.entry(id).or_insert(0) += usize::from(queued.keeps);
        }
    }
    assert_eq!(next, None, "tiles");
    let mut shares = BTreeMap::new();
    for (number, waiter) in leaves.iter().flat_map(Leaf::check_watches) {
        shares.entry(number).or_insert((0, waiter)).0 += 1;
    }
    for (number, (shares, waiter)) in shares {
        assert_eq!(waiter.blocking(), shares, "watches: {number} counts the leaves in which it waits");
    }
    assert!(keeping.values().all(|keeping| *keeping == 1), "a record is kept, and once: {keeping:?}");
}

impl Leaf {
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries_over(Span::WHOLE)
    }

    /// The entries whose spans begin here: over all leaves each span of each request once.
    fn beginning_here(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(|entry| self.bounds.contains(entry.span.first))
    }

    /// Asserts "registered", "lanes" and "lists"; calls `note` with the request of each entry that
    /// is registered.
    fn check_registrations(&self, mut note: impl FnMut(RequestId)) {
        let places: Vec<_> = self.places(Span::WHOLE).iter().map(|entry| entry.from).collect();
        let mut listed = BTreeMap::new();
        for &place in &places {
            let first = match self.filed_index(place) {
                Some(index) => self.filed(index).1.kept,
                None => self.rest.as_ref().map_or(NIL, |rest| rest.kept[place as usize]),
            };
            let (mut before, mut next) = (NIL, first);
            while next != NIL {
                let filed = self.filed(next).1;
                assert_eq!(filed.keeper, place, "lists: an entry is in its keeper's list");
                assert!(listed.insert(next, place).is_none(), "lists: an entry is listed once");
                assert!(next == first || filed.before == before, "lists: each knows the one before it");
                (before, next) = (next, filed.next);
            }
            if first != NIL {
                assert_eq!(self.filed(first).1.before, before, "lists: the first knows the last");
            }
        }
        let vacant = |slot: &usize| self.occupied & (1 << slot) == 0;
        let kept =
            (0..SLOTS).filter(vacant).map(|slot| self.rest.as_ref().map_or(NIL, |rest| rest.kept[slot]));
        assert!(kept.into_iter().all(|first| first == NIL), "lists: a vacant slot keeps nothing out");
        let watches = self.check_watches().len();
        assert_eq!(listed.len() + watches, self.registered as usize, "lists: `registered`");
        for &place in &places {
            let entry = self.entry_at(place);
            let is_upgrade = entry.queued.is_some_and(|queued| queued.order == Order::UPGRADE);
            let keeps_out = |other: &Entry<'_>| {
                if !entry.waits() {
                    return false;
                }
                let is_before = if is_upgrade {
                    other.mode == Mode::Read && other.is_held()
                } else {
                    other.is_held() || other.queued.unwrap().order < entry.queued.unwrap().order
                };
                other.id != entry.id
                    && other.span.overlaps(entry.span)
                    && other.mode.conflicts(entry.mode)
                    && is_before
            };
            let is_kept_out = places.iter().any(|&other| keeps_out(&self.entry_at(other)));
            let index = self.filed_index(place);
            let keeper = index.and_then(|index| listed.get(&index));
            match keeper {
                Some(&keeper) => {
                    let other = self.entry_at(keeper);
                    assert!(
                        keeps_out(&other),
                        "registered: {entry:?} with {other:?}, which does not keep it out"
                    );
                    note(entry.id);
                }
                None => assert!(!is_kept_out, "registered: {entry:?} is kept out"),
            }
            let Some(index) = index else { continue };
            assert!(keeper.is_some() || self.filed(index).1.keeper == NIL, "lists: no keeper without a list");
            let lane = self.forest().unwrap().tree_of(index);
            if lane == lane::BEHIND {
                let keeper = self.entry_at(*keeper.expect("lanes: what is behind has a keeper"));
                assert!(keeper.span == entry.span && [keeper.mode, entry.mode] == [Mode::Write; 2], "twins");
                assert!(self.bounds.cover(entry.span), "twins: all in this leaf");
                continue;
            }
            let behind = self.with_those_behind(index, u64::MAX).skip(1);
            assert_eq!(
                self.filed(index).1.tail,
                behind.last().unwrap_or(NIL),
                "twins: the head knows the tail"
            );
            let is_right = match keeper {
                Some(_) if !is_upgrade => lane == lane::queued(entry.mode),
                _ if lane == lane::LOOSE_READ => entry.mode == Mode::Read && entry.queued.is_some(),
                _ => lane == lane::ahead(entry.mode, true) && (entry.mode != Mode::Read || entry.is_held()),
            };
            assert!(is_right, "lanes: {entry:?} is in lane {lane}");
        }
    }
}

/// What `requests` says must fit together: a request that waits names those in its way, and they
/// are there.
fn check_requests(requests: &[RequestInfo]) {
    for request in requests {
        let waits = request.state() != RequestState::Held;
        assert_eq!(waits, request.since().is_some(), "{request:?}");
        assert!(waits || request.waits_for().is_empty(), "{request:?}");
        assert!(request.waits_for().is_sorted_by(|a, b| a < b), "{request:?}");
        for id in request.waits_for() {
            let in_the_way = |other: &&RequestInfo| {
                let overlap = request.range().start() <= other.range().end()
                    && other.range().start() <= request.range().end();
                other.id() == *id && overlap && other.mode().conflicts(request.mode())
            };
            assert!(requests.iter().any(|other| in_the_way(&other)), "{request:?} in {requests:?}");
        }
    }
}

/// What the owner of a request has in hand.
enum Owned<'a> {
    One(Hold, Mode, Option<Arc<Waiter>>),
    Many(Box<Parts<&'a RangeLock>>, Option<Arc<Waiter>>),
    /// Waits until a range is free.
    Watch(Option<request::Watch>),
}

impl Owned<'_> {
    fn waits(&self) -> bool {
        match self {
            Owned::One(.., waiter) | Owned::Many(_, waiter) => waiter.as_ref(),
            Owned::Watch(watch) => watch.as_ref().map(|watch| &watch.waiter),
        }
        .is_some_and(|waiter| !waiter.is_granted())
    }

    /// Lets a future be polled, which sleeps afterwards if it still waits.
    #[cfg(feature = "async")]
    fn poll(&self) {
        let (Owned::One(.., waiter) | Owned::Many(_, waiter)) = self else { return };
        if let Some(waiter) = waiter.as_ref().filter(|waiter| !waiter.is_granted()) {
            _ = waiter.poll_granted(&std::task::Context::from_waker(std::task::Waker::noop()));
        }
    }

    fn leave(self, lock: &RangeLock) {
        match (self.waits(), self) {
            // An upgrade that waits holds its range, and is released with it.
            (true, Owned::One(hold, Mode::Read | Mode::Write, _)) => {
                assert!(request::cancel(lock.partition(), hold).is_none());
            }
            (true, Owned::Many(mut parts, _)) => assert!(!parts.cancel()),
            (_, Owned::One(hold, ..)) => request::release(lock.partition(), &hold),
            (_, Owned::Many(mut parts, _)) => parts.release(),
            (waits, Owned::Watch(watch)) => {
                assert!(watch.is_none_or(|watch| request::unwatch(lock.partition(), &watch) != waits));
            }
        }
    }
}

/// The verb that waits until a range is free.
const WATCH: u8 = 22;

/// Runs a history; if `cuts`, the leaves are cut and joined as it goes. So many as `bypass` may
/// pass a sleeper.
fn run(steps: &[(u8, usize, u64, u64)], cuts: bool, bypass: usize) {
    let lock = RangeLock::builder().bypass(bypass).build();
    let mut all: Vec<Owned<'_>> = Vec::new();
    for &(verb, which, a, b) in steps {
        let span = Span { first: a.min(b), last: a.max(b) };
        if cuts {
            let _ = if which % 3 == 0 { __private::join(&lock, a) } else { __private::cut(&lock, b) };
            check_leaves(&lock.partition().lock_over(Span::WHOLE));
        }
        match verb {
            0..6 => {
                // Upgradable readers do not wait here: `Owned` takes those that do for upgrades.
                let mode = [Mode::Read, Mode::Write, Mode::Upgradable][usize::from(verb % 3)];
                let claim = Claim { span, mode };
                if mode == Mode::Upgradable {
                    all.extend(
                        request::try_acquire(lock.partition(), span, mode)
                            .map(|key| Owned::One(Hold { span, key }, mode, None)),
                    );
                } else {
                    all.push(match request::enter(lock.partition(), claim) {
                        Entered::Granted(hold) => Owned::One(hold, mode, None),
                        Entered::Waiting(hold, waiter) => Owned::One(hold, mode, Some(waiter)),
                    });
                }
            }
            6..8 => {
                let ranges = [Request::read(&lock, a..a + 3), Request::write(&lock, b + 5..b + 9)];
                let mut parts = parts(ranges);
                let waiter = parts.enter();
                all.push(Owned::Many(Box::new(parts), waiter));
            }
            WATCH => {
                let claim = Claim { span, mode: [Mode::Read, Mode::Write, Mode::Upgradable][which % 3] };
                all.push(Owned::Watch(request::watch(lock.partition(), claim)));
            }
            _ if all.is_empty() => {}
            #[cfg(feature = "async")]
            16.. => all[which % all.len()].poll(),
            8..11 => all.swap_remove(which % all.len()).leave(&lock),
            _ => {
                let at = which % all.len();
                if all[at].waits() || !matches!(all[at], Owned::One(..)) {
                    continue;
                }
                let Owned::One(hold, mode, waiter) = all.swap_remove(at) else { unreachable!() };
                let upgraded = mode == Mode::Upgradable && waiter.is_some();
                let (mode, id) = (if upgraded { Mode::Write } else { mode }, hold.key.id);
                let changed = match verb {
                    11 if mode == Mode::Upgradable => {
                        let waiter = request::begin_upgrade(lock.partition(), &hold);
                        Owned::One(hold, if waiter.is_some() { mode } else { Mode::Write }, waiter)
                    }
                    12 if mode == Mode::Upgradable => {
                        let upgraded =
                            request::upgrade(lock.place(), &hold, Deadline::after(Duration::from_micros(50)));
                        Owned::One(hold, if upgraded { Mode::Write } else { mode }, None)
                    }
                    13 if mode == Mode::Write => {
                        request::downgrade(lock.partition(), &hold, Mode::Read);
                        Owned::One(hold, Mode::Read, None)
                    }
                    14 if hold.span.contains(a) => {
                        let last = hold.span.last;
                        let mut hold = hold;
                        request::shrink(lock.partition(), &mut hold, Span { first: a, last });
                        Owned::One(hold, mode, None)
                    }
                    15 if hold.span.contains(a) && hold.span.first < a => {
                        let (left, right) = request::split(lock.partition(), &hold, a);
                        assert!(left.key.id == id && right.key.id != id);
                        all.push(Owned::One(left, mode, None));
                        Owned::One(right, mode, None)
                    }
                    _ => Owned::One(hold, mode, None),
                };
                all.push(changed);
            }
        }
        check_leaves(&lock.partition().lock_over(Span::WHOLE));
        check_requests(&lock.requests());
    }
    all.into_iter().for_each(|owned| owned.leave(&lock));
    assert!(lock.requests().is_empty());
}

/// Each step looks at all requests, so a history costs the square of its length.
const STEPS: usize = if cfg!(miri) { 20 } else { 60 };

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 2000 }, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_kept_out_is_registered(
        steps in prop::collection::vec((prop_oneof![12 => 0..16_u8, 1 => Just(WATCH)], any::<usize>(), 0..20_u64, 0..20_u64), 1..STEPS)
    ) {
        run(&steps, false, 0);
        run(&steps, true, 0);
    }

    /// Of few spans, so that many writers stand behind each other.
    #[test]
    fn every_twin_is_registered(
        steps in prop::collection::vec((prop_oneof![2 => 0..16_u8, 1 => Just(1), 1 => 8..11_u8], any::<usize>(), 0..3_u64, 0..3_u64), 1..STEPS),
    ) {
        run(&steps, false, 0);
        run(&steps, true, 0);
    }

    #[cfg(feature = "async")]
    #[test]
    fn every_entry_kept_out_is_registered_while_sleepers_are_passed(
        steps in prop::collection::vec((0..=WATCH, any::<usize>(), 0..20_u64, 0..20_u64), 1..STEPS),
        bypass in 1..5_usize,
    ) {
        run(&steps, false, bypass);
        run(&steps, true, bypass);
    }
}

/// Enters writers of one span.
fn writers(lock: &RangeLock, first: u64, last: u64, n: usize) -> Vec<Hold> {
    let enter = || request::enter(lock.partition(), Claim { span: Span { first, last }, mode: Mode::Write });
    (0..n)
        .map(|_| match enter() {
            Entered::Granted(hold) | Entered::Waiting(hold, _) => hold,
        })
        .collect()
}

/// However long there is always another one that waits. The next one always knows that it is next.
#[test]
fn distances_are_those_to_the_head() {
    let lock = RangeLock::new();
    let mut queue = VecDeque::from(writers(&lock, 0, 9, 4));
    let distances = |queue: &VecDeque<Hold>| -> Vec<u16> {
        let leaves = lock.partition().lock_over(Span::WHOLE);
        let leaf = leaves.iter().next().unwrap();
        let of = |hold: &Hold| {
            let filed = leaf.filed(leaf.find(hold) - SLOTS as u32).1;
            let told = filed.queued.as_ref().unwrap().waiter.turns_away();
            assert_eq!(u32::from(filed.distance), told, "the record is told");
            filed.distance
        };
        queue.iter().skip(1).map(of).collect()
    };
    assert_eq!(distances(&queue), [1, 2, 3]);
    for _ in 0..1000 {
        request::release(lock.partition(), &queue.pop_front().unwrap());
        assert_eq!(distances(&queue)[0], 1);
        queue.extend(writers(&lock, 0, 9, 1));
    }
    let distances = distances(&queue);
    assert!(distances.iter().all(|distance| *distance <= 4), "{distances:?}");
    queue.iter().for_each(|hold| request::release(lock.partition(), hold));
}

/// In one step the trees of a leaf can be emptied, and be used again for the rest of a guard.
#[test]
fn a_surplus_that_is_taken_leaves_what_has_come_since() {
    let lock = RangeLock::new();
    let crowd: Vec<_> = (0..300).flat_map(|first| writers(&lock, first, first, 1)).collect();
    let mut leaves = lock.partition().lock_over(Span::WHOLE);
    crowd.iter().for_each(|hold| leaves.first().take_out(hold, &mut WakeList::default()));
    let leaf = leaves.first();
    assert!(leaf.has_surplus());
    let id = leaf.draw_id(lock.partition().ids());
    (0..10).for_each(|first| _ = leaf.insert_granted(id, Span { first, last: first }, Mode::Read));
    assert!(leaf.take_surplus().forest.is_none() && !leaf.has_surplus());
    assert_eq!(leaf.entries().count(), 10);
}

#[test]
fn an_entry_is_counted_in_the_leaf_in_which_it_begins() {
    let lock = RangeLock::new();
    assert!(__private::cut(&lock, 15));
    let _readers: Vec<_> = (5..25).map(|first| lock.read(first..30)).collect();
    let leaves = lock.partition().lock_over(Span::WHOLE);
    assert_eq!(leaves.iter().map(Leaf::entries_begun).collect::<Vec<_>>(), [10, 10]);
}

/// Also where writers further on stand behind one that is held.
#[test]
fn debug_prints_the_first_requests() {
    let lock = RangeLock::new();
    let mut all = writers(&lock, 1000, 1009, 100);
    request::release(lock.partition(), &all.remove(0));
    all.extend(writers(&lock, 0, 49, 1));
    all.extend(writers(&lock, 5, 6, 100));
    let printed = format!("{lock:?}");
    assert_eq!(printed.matches("write 5..=6").count(), 63, "{printed}");
    assert_eq!(printed.matches("write 1000..=1009").count(), 0, "{printed}");
    for hold in all {
        request::withdraw(lock.partition(), hold);
    }
}
