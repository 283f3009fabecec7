//! Describes the machine, and what else it did during the run.

use std::fs;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// How many threads of this process can run at once: a container or an affinity mask may allow
    /// fewer than the machine has.
    pub(crate) hardware_threads: usize,
    /// The CPU's name. Family, model and stepping tell CPUs of one name apart. "virtual" if it is.
    pub(crate) cpu: Option<String>,
    pub(crate) kernel: Option<String>,
    /// How the kernel chooses the frequency, if it does.
    pub(crate) governor: Option<String>,
}

impl Host {
    /// The machine that the program runs on.
    pub(crate) fn detect() -> Host {
        let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Host {
            hardware_threads: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu(&text)),
            kernel: line("/proc/sys/kernel/osrelease"),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }
}

/// The first CPU of /proc/cpuinfo.
fn cpu(text: &str) -> Option<String> {
    let value = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let mut cpu = value("model name")?;
    let numbers = ["cpu family", "model", "stepping"].map(value);
    if let [Some(family), Some(model), Some(stepping)] = numbers {
        cpu.push_str(&format!(", family {family} model {model} stepping {stepping}"));
    }
    if value("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")) {
        cpu.push_str(", virtual");
    }
    Some(cpu)
}

/// From this share of the machine's CPU time on, other programs have disturbed the run.
const BUSY: f64 = 0.05;
/// The same for time that a hypervisor gave to other machines.
const STOLEN: f64 = 0.01;

/// What else the machine did during the run, as shares of its CPU time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State {
    /// How many tasks ran or wanted to, on average over the minute before the run.
    pub(crate) load: f64,
    /// CPU time of other programs.
    pub(crate) others: f64,
    /// CPU time that a hypervisor gave to other machines.
    pub(crate) stolen: f64,
}

impl State {
    /// In words.
    pub(crate) fn describe(&self) -> String {
        format!(
            "load {:.2} before the run; during it {:.0} % of the CPU time went to other programs, {:.1} % to other \
             virtual machines",
            self.load,
            self.others * 100.0,
            self.stolen * 100.0
        )
    }

    /// A warning, if the machine was busy.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.others > BUSY || self.stolen > STOLEN).then(|| {
            format!(
                "The machine was busy: during the run {:.0} % of its CPU time went to other programs and {:.1} % to \
                 other virtual machines. Repeat the run on a quiet machine before you rely on a difference.",
                self.others * 100.0,
                self.stolen * 100.0
            )
        })
    }
}

/// Watches the machine from the beginning of a run to its end.
#[derive(Debug)]
pub(crate) struct Watch {
    load: f64,
    from: Option<Ticks>,
}

impl Watch {
    pub(crate) fn begin() -> Watch {
        let load = fs::read_to_string("/proc/loadavg").ok();
        let load = load.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
        Watch { load, from: Ticks::now() }
    }

    /// `None` where the kernel does not report it.
    pub(crate) fn end(&self) -> Option<State> {
        let (from, to) = (self.from?, Ticks::now()?);
        let all = to.all.saturating_sub(from.all).max(1) as f64;
        let own = to.own.saturating_sub(from.own);
        let others = to.busy.saturating_sub(from.busy).saturating_sub(own) as f64 / all;
        Some(State { load: self.load, others, stolen: to.stolen.saturating_sub(from.stolen) as f64 / all })
    }
}

/// CPU time so far, in ticks of the kernel's (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    all: u64,
    /// Of all programs.
    busy: u64,
    stolen: u64,
    /// Of this program.
    own: u64,
}

impl Ticks {
    fn now() -> Option<Ticks> {
        Ticks::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(machine: &str, own: &str) -> Option<Ticks> {
        let line = machine.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> = line.split_whitespace().filter_map(|time| time.parse().ok()).collect();
        let [user, nice, system, idle, io_wait, irq, soft_irq, stolen, ..] = times[..] else { return None };
        // A name may hold anything, blanks and brackets included.
        let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
        let own = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let busy = user + nice + system + irq + soft_irq;
        Some(Ticks { all: busy + idle + io_wait + stolen, busy, stolen, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_named_so_that_it_can_be_found_again() {
        let text = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\
                    flags\t\t: fpu hypervisor sse\n";
        assert_eq!(cpu(text).unwrap(), "AMD EPYC, family 25 model 17 stepping 1, virtual");
        assert_eq!(cpu("model name : X\nflags : fpu\n").unwrap(), "X");
        assert_eq!(cpu("Processor : ARM\n"), None);
    }

    #[test]
    fn time_of_others_is_what_is_not_our_own() {
        let own = |ticks| format!("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 {ticks} 5 0 0 20");
        let from = Ticks::parse("cpu  100 0 50 800 50 0 0 0 0 0\n", &own(10)).unwrap();
        assert_eq!(from, Ticks { all: 1000, busy: 150, stolen: 0, own: 15 });
        let to = Ticks::parse("cpu  200 0 50 1650 50 0 0 50 0 0\n", &own(60)).unwrap();
        assert_eq!((to.all - from.all, to.busy - from.busy, to.own - from.own), (1000, 100, 50));
        assert_eq!(Ticks::parse("cpu  1 2\n", &own(1)), None);
    }

    #[test]
    fn a_busy_machine_is_warned_of() {
        let state = State { load: 0.1, others: 0.02, stolen: 0.0 };
        assert_eq!(state.warning(), None);
        let busy = State { others: 0.4, ..state };
        assert!(busy.warning().unwrap().contains("40 % of its CPU time went to other programs"));
        assert!(State { stolen: 0.02, ..state }.warning().unwrap().contains("2.0 % to other virtual"));
        assert!(Watch::begin().end().is_some(), "this kernel reports it");
    }
}
