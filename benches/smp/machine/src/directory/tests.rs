//! Tests the invariant by random requests, and three patterns against closed forms.

use proptest::prelude::*;

use super::*;
use crate::costs::NS;

const LINE: u64 = 7;

fn machine(cpus: usize, directory: Directory) -> Machine {
    Machine::preset("chiplets").unwrap().with_cpus(cpus).with_directory(directory)
}

fn request(cpu: usize, write: bool, at: Ps) -> Request {
    Request { cpu, line: LINE, write, at, vary: UNVARIED, at_once: false, lead: 0 }
}

/// When a CPU could use a line, and how.
#[derive(Clone, Debug)]
struct Use {
    cpu: usize,
    write: bool,
    from: Ps,
    until: Ps,
}

/// When CPU `cpu` loses, of what it has now, the right to write (or to read).
fn usable_until(lines: &Lines, cpu: usize, write: bool) -> Ps {
    let line = &lines.lines[&LINE];
    if line.owner == Some(cpu as u16) || (!write && line.sharers.contains(cpu)) {
        return Ps::MAX;
    }
    line.leaving
        .iter()
        .filter(|l| usize::from(l.cpu) == cpu && (l.exclusive || !write))
        .map(|l| l.until)
        .max()
        .unwrap_or(0)
}

proptest! {
    #[test]
    fn one_owner_or_many_sharers_at_every_instant(
        cpus in 2usize..20,
        pipelined: bool,
        steps in prop::collection::vec(
            (0usize..20, any::<bool>(), 0u64..60, 50u64..80, any::<bool>(), 0u64..300),
            1..60,
        ),
    ) {
        let directory = if pipelined { Directory::Pipelined } else { Directory::Blocking };
        let mut lines = Lines::new(&machine(cpus, directory));
        // The last right of each CPU to read and to write, which ends when it is taken away.
        let mut uses: Vec<Use> = Vec::new();
        let mut free = vec![0; cpus];
        let mut now = 0;
        for (cpu, write, gap, vary, at_once, lead) in steps {
            now += gap * NS;
            // A CPU waits for its own request before the next one.
            let cpu = cpu % cpus;
            if now < free[cpu] || lines.has(cpu, LINE, write, now) {
                continue;
            }
            let at_once = at_once && write;
            // The first half has no lead.
            let (vary, lead) = (vary << 10, lead.saturating_sub(150) * NS);
            let arrival = lines.fetch(Request { cpu, line: LINE, write, at: now, vary, at_once, lead });
            prop_assert!(now < arrival || (lead != 0 && now == arrival));
            free[cpu] = arrival + 1;
            for u in uses.iter_mut().filter(|u| u.until == Ps::MAX) {
                u.until = usable_until(&lines, u.cpu, u.write);
            }
            prop_assert!(lines.has(cpu, LINE, write, arrival), "what arrives can be used");
            uses.push(Use { cpu, write: false, from: arrival, until: Ps::MAX });
            if usable_until(&lines, cpu, true) == Ps::MAX {
                uses.push(Use { cpu, write: true, from: arrival, until: Ps::MAX });
            }
        }
        for w in uses.iter().filter(|u| u.write) {
            for other in uses.iter().filter(|u| u.cpu != w.cpu) {
                let apart = w.until <= other.from || other.until <= w.from;
                prop_assert!(apart, "{w:?} beside {other:?}");
            }
        }
    }
}

#[test]
fn ping_pong_costs_one_transfer_a_turn() {
    for directory in [Directory::Blocking, Directory::Pipelined] {
        let mut lines = Lines::new(&machine(2, directory));
        let costs = lines.costs.clone();
        let mut now = lines.fetch(request(0, true, 0));
        assert_eq!(now, costs.memory);
        for turn in 1..100 {
            // The time after which the line must no longer stay, so that neither waits.
            now += costs.hold;
            let arrival = lines.fetch(request(turn % 2, true, now));
            assert_eq!(arrival - now, costs.transfer[0]);
            now = arrival;
        }
    }
}

#[test]
fn a_request_sent_ahead_arrives_earlier_but_not_from_before_the_line_was_lost() {
    let mut lines = Lines::new(&machine(2, Directory::Blocking));
    let transfer = lines.costs.transfer[0];
    lines.fetch(request(0, true, 0));
    let late = 1_000 * NS;
    let ahead = |cpu, at, lead| Request { lead, ..request(cpu, true, at) };
    assert_eq!(lines.fetch(ahead(1, late, transfer / 4)), late + transfer - transfer / 4);
    // The CPU lost the line at `late`, and the home was busy until the other CPU had had the line
    // for a while.
    let free = late + transfer - transfer / 4 + lines.costs.hold;
    let again = late + transfer + lines.costs.hold;
    assert_eq!(lines.fetch(ahead(0, again, 10 * transfer)), free + transfer);
    let quiet = again + 1_000 * NS;
    assert_eq!(lines.fetch(ahead(1, quiet, 10 * transfer)), quiet);
}

/// Eight CPUs increment a counter without pause.
fn counter(directory: Directory) -> Ps {
    let mut lines = Lines::new(&machine(8, directory));
    let mut at = [0; 8];
    let (mut first, turns) = (0, 8 * 100);
    for turn in 0..turns {
        let cpu = turn % 8;
        let arrival = lines.fetch(request(cpu, true, at[cpu]));
        at[cpu] = arrival + lines.costs.hold;
        if turn == 15 {
            first = arrival;
        }
    }
    (at[7] - lines.costs.hold - first) / (turns as u64 - 16)
}

#[test]
fn a_shared_counter_costs_a_transfer_and_the_stay() {
    let costs = machine(8, Directory::Blocking).costs;
    assert_eq!(counter(Directory::Blocking), costs.transfer[0] + costs.hold);
}

#[test]
fn a_pipelined_counter_costs_half_a_transfer_and_the_stay() {
    let costs = machine(8, Directory::Blocking).costs;
    assert_eq!(counter(Directory::Pipelined), costs.transfer[0] / 2 + costs.hold);
}

#[test]
fn a_broadcast_costs_one_transfer_and_the_home_once_a_reader() {
    let mut lines = Lines::new(&machine(8, Directory::Blocking));
    let Costs { transfer, hold, occupancy, per_sharer, memory, .. } = lines.costs;
    lines.fetch(request(0, true, 0));
    let now = memory + hold;
    // The first reader takes it from the owner. The others queue at its home.
    assert_eq!(lines.fetch(request(1, false, now)), now + transfer[0]);
    let shared = now + transfer[0];
    for reader in 2..8 {
        let queued = (reader as u64 - 2) * occupancy;
        assert_eq!(lines.fetch(request(reader, false, now)), shared + queued + transfer[0]);
    }
    let later = now + 1_000 * NS;
    assert_eq!(lines.fetch(request(0, true, later)), later + transfer[0] + 7 * per_sharer);
}

#[test]
fn a_set_lists_its_members() {
    let mut set = Set::default();
    for cpu in [0, 63, 64, 200, 255] {
        set.insert(cpu);
    }
    set.remove(64);
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 200, 255]);
    assert_eq!(set.len(), 4);
}
