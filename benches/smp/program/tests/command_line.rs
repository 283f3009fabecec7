//! Tests of the program `smp` by its command line.

use std::path::Path;
use std::process::{Command, Output};

fn smp(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smp")).args(arguments.split_whitespace()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn unknown_names_end_with_2_and_one_line_with_the_remedy() {
    for (arguments, expected) in [
        ("sweep --locks rnge-lock", "did you mean 'range-lock'?"),
        ("sweep --workloads W33", "did you mean 'W3'?"),
        ("sweep --topology s63", "did you mean 's64'?"),
        ("sweep --directory blokcing", "did you mean 'blocking'?"),
        ("sweep --overlap in-ordr", "did you mean 'in-order'?"),
        ("sweep --cpus 300", "1 to 256"),
        ("why range-lock W11 4", "choose of W11/60, W11/95, W11/100"),
        ("why range-lock W3 0", "1 to 256"),
        ("why tiket W3 4", "did you mean 'ticket'?"),
        ("check --locks msc", "did you mean 'mcs'?"),
        ("dax --variants rwsm", "did you mean 'rwsem'?"),
        ("dax --workloads new-page", "did you mean 'new-pages'?"),
        ("dax --medium optan", "did you mean 'optane'?"),
        ("dax --levels i_mmap", "did you mean 'i_mmap_sem'?"),
    ] {
        let output = smp(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert!(errors.contains(expected), "{arguments}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{arguments}: {errors}");
    }
}

#[test]
fn the_same_point_gives_the_same_bytes_and_another_seed_others() {
    let point = |seed: u32, padding: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_smp"))
            .args(["point", "--lock", "range-lock", "--workload", "W3", "--cpus", "8", "--effort", "quick"])
            .args(["--seed", &seed.to_string()])
            .env("SMP_TEST_PADDING", padding)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    };
    let first = point(1, "");
    assert_eq!(first, point(1, &"x".repeat(5000)));
    assert_ne!(first, point(2, ""));
}

#[test]
fn a_sweep_writes_table_json_plots_and_page_whatever_the_order_of_its_points() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep");
    std::fs::create_dir_all(&folder).unwrap();
    let at = folder.display();
    let sweep = |order: &str, jobs: u32, name: &str| {
        let output = smp(&format!(
            "sweep --quick {order} --cpus 1,4 --jobs {jobs} \
             --json {at}/{name}.json --svg {at} --html {at}/page.html"
        ));
        assert!(output.status.success(), "{output:?}");
        let table = stdout(&output);
        assert!(table.contains("W7, s64, blocking, in-order"), "{table}");
        std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()
    };
    let order = "--locks range-lock,mcs --workloads W3,W7";
    let json = sweep(order, 1, "one");
    assert_eq!(json, sweep(order, 2, "two"));

    let results = |json: &str| {
        let record: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(record["schema"], 1);
        record["results"].as_array().unwrap().clone()
    };
    let other_order = results(&sweep("--locks mcs,range-lock --workloads W7,W3", 2, "other"));
    let results = results(&json);
    assert_ne!(results, other_order);
    assert!(other_order.iter().all(|result| results.contains(result)), "{other_order:?} {results:?}");
    assert_eq!(results.len(), 8);
    let mut keys: Vec<&str> = results[0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "cpus directory lock longest_wait_us mops overlap section_ns seed slowest_to_fastest \
                    threads topology workload";
    assert_eq!(keys.join(" "), expected);
    for result in results {
        assert!(result["mops"].as_f64().unwrap() > 0.0, "{result}");
    }

    let svg = std::fs::read_to_string(folder.join("w3-s64-blocking-in-order.svg")).unwrap();
    assert!(svg.contains("range-lock"));
    let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.contains(&svg));
    assert!(!page.contains("src=") && !page.contains("<link"), "the page loads something");
}

#[test]
fn a_point_that_does_not_end_says_what_each_cpu_waits_for() {
    let point = "point --lock control-livelock --workload W7 --cpus 2 --effort quick";
    let livelock = ["µs of virtual time", "CPU ", ": run, at word that is never set 0", "controls.rs lock"];
    let overdue = ["no end within 0 s", "CPU "];
    for (limit, parts) in [(300, &livelock[..]), (0, &overdue)] {
        let output = smp(&format!("{point} --limit {limit}"));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "no {part:?} in\n{errors}");
        }
    }
    let output = smp("sweep --quick --locks control-livelock,mcs --workloads W7 --cpus 2");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("mcs"), "the other points are shown: {output:?}");
}

#[test]
fn why_names_the_word_of_a_queue_lock() {
    let output = smp("why mcs W7 16 --effort quick");
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    for part in ["tail of the queue", "queue node", "mcs.rs", "waiting for lines", "sleeps in a futex"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn why_names_the_leaves_of_a_range_lock() {
    let text = stdout(&smp("why one-leaf W2 16 --effort quick"));
    // The seats at which threads wait for the leaf's mutex may come before the leaf.
    let mut rows = text.lines().skip_while(|line| !line.contains("What was waited for")).skip(2).take(2);
    assert!(rows.any(|row| row.trim_start().starts_with("leaf")), "{text}");
    assert!(text.contains("cuts of a leaf"), "{text}");
}

fn dax(arguments: &str, name: &str) -> (String, serde_json::Value, Vec<u8>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dax");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let output = smp(&format!("dax --quick --json {} {arguments}", path.display()));
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(path).unwrap();
    (stdout(&output), serde_json::from_slice(&bytes).unwrap(), bytes)
}

#[test]
fn dax_sim_gives_the_same_bytes_in_the_form_of_compare() {
    let arguments = "--variants linux-4.12,rwsem --workloads new-pages,overwrites --cpus 1,4";
    let (table, json, bytes) = dax(arguments, "one.json");
    assert_eq!(bytes, dax(arguments, "two.json").2);
    assert_ne!(bytes, dax(&format!("{arguments} --seed 2"), "three.json").2);
    assert!(table.contains("new-pages, dram, s64, blocking, in-order"), "{table}");

    assert_eq!((&json["schema"], &json["simulated"]), (&1.into(), &true.into()));
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 8);
    for result in results {
        // Those of `dax-sim --json`.
        for key in [
            "workload",
            "variant",
            "threads",
            "media_us",
            "ops_per_s",
            "ratio_to_rwsem",
            "ratios",
            "wait_us",
            "stale_reads",
            "checked_reads",
        ] {
            assert!(!result[key].is_null(), "no {key} in {result}");
        }
        assert!(result["ops_per_s"]["median"].as_f64().unwrap() > 1e4, "{result}");
    }
}

#[test]
fn a_medium_that_is_slow_makes_faults_slow() {
    let rate = |medium: &str| {
        let arguments = format!("--variants linux-4.12 --cpus 8 --medium {medium}");
        dax(&arguments, &format!("{medium}.json")).1["results"][0]["ops_per_s"]["median"].as_f64().unwrap()
    };
    let (dram, optane) = (rate("dram"), rate("optane"));
    assert!(optane < dram, "optane {optane}, dram {dram}");
    // 13.9 GB a second, 4 KiB a fault.
    assert!(optane < 3.5e6, "{optane}");
}

#[test]
fn stale_loads_are_found_in_linux_4_11_and_not_in_the_cure() {
    let (_, json, _) = dax("--judge --variants linux-4.11,linux-4.12 --cpus 4 --seed 1,2,3", "judged.json");
    let stale = |n: usize| json["results"][n]["stale_reads"].as_u64().unwrap();
    assert!(stale(0) > 0, "{json}");
    assert_eq!(stale(1), 0, "{json}");
}
