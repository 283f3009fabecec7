//! What a complete run of `dax-sim compare` prints and leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::{TINY, dax_sim, refused, run, text, words};

#[test]
fn a_complete_run_leaves_a_page_its_plots_and_json() {
    let folder = TempDir::new().unwrap();
    let mut arguments = words(TINY);
    arguments.extend(["--json", "results.json"]);
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let report = text(&output.stdout);
    let page = folder.path().canonicalize().unwrap().join("dax-sim-report/compare.html");
    assert_eq!(report.lines().last(), Some(format!("Page: {}", page.display()).as_str()));
    for part in
        ["hardware thread", "closed loop", "write-disjoint, CPU-bound", "range-lock", "2 rounds of 2 ms"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("dax-sim-report/compare.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for plot in ["write-disjoint-cpu-bound.svg", "fault-vs-write-20us.svg"] {
        assert!(folder.path().join("dax-sim-report").join(plot).is_file(), "{plot}");
    }

    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["host"]["checks"], true);
    assert_eq!(
        fs::read(folder.path().join("results.json")).unwrap(),
        fs::read(folder.path().join("dax-sim-report/compare.json")).unwrap()
    );
    let origin = &document["run"];
    assert_eq!(origin["command"], format!("dax-sim {}", arguments.join(" ")));
    assert!(origin["date"].as_str().unwrap().ends_with(" UTC") && origin["partial"].is_null());
    for part in [origin["commit"].as_str().unwrap(), origin["date"].as_str().unwrap()] {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    assert!(document["host"]["hardware_threads"].as_u64().unwrap() >= 1);
    assert!(document["file"]["backing"].is_string());
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 4 * 2 * 2 * 2);
    for result in results {
        assert_eq!(
            keys(result),
            [
                "checked_reads",
                "fairness",
                "latency_us",
                "media_us",
                "ops_per_s",
                "ratio_to_rwsem",
                "ratios",
                "stale_reads",
                "threads",
                "variant",
                "wait_us",
                "workload",
            ]
        );
        assert_eq!(keys(&result["ops_per_s"]), ["max", "median", "min"]);
        assert_eq!(keys(&result["wait_us"]), ["max", "p50", "p99"]);
        let latency = |key: &str| result["latency_us"][key].as_f64().unwrap();
        assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("max"), "{result}");
        let fairness = result["fairness"].as_f64();
        assert_eq!(fairness.is_some(), result["threads"] == 2);
        assert!(fairness.is_none_or(|fairness| (0.0..=1.0).contains(&fairness)), "{result}");
        let rate = |key: &str| result["ops_per_s"][key].as_f64().unwrap();
        assert!(rate("min") <= rate("median") && rate("median") <= rate("max"));
        if result["variant"] == "rwsem" && rate("min") > 0.0 {
            assert_eq!(result["ratio_to_rwsem"], 1.0);
        }
        let (ratio, other) = (&result["ratios"]["rwsem"], &result["ratios"]["range-lock"]);
        assert_eq!(keys(&result["ratios"]), ["range-lock", "rwsem"]);
        assert_eq!(keys(ratio), ["confidence", "high", "low", "median"]);
        assert_eq!(ratio["median"], result["ratio_to_rwsem"]);
        for ratio in [ratio, other] {
            let [low, median, high] = ["low", "median", "high"].map(|key| ratio[key].as_f64().unwrap());
            assert!(low <= median && median <= high, "{ratio}");
        }
    }
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_named_file_is_used_and_what_was_made_is_removed() {
    let folder = TempDir::new().unwrap();
    let mut arguments = words(TINY);
    arguments.extend([
        "--workloads",
        "write-disjoint",
        "--file",
        "device",
        "--json",
        "results.json",
        "--output",
        "out",
    ]);
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert!(document["file"]["path"].as_str().unwrap().ends_with("device"));
    assert!(!folder.path().join("device").exists());
    assert!(folder.path().join("out/compare.html").is_file());
    assert!(!folder.path().join("target").exists());
}

#[test]
fn ratios_are_quoted_to_the_baseline_that_is_named() {
    let folder = TempDir::new().unwrap();
    let arguments = words(
        "compare --duration-ms 2 --rounds 6 --threads 1 --media-us 0 --variants linux-4.12,range-lock \
         --workloads write-shared --ratio-to linux-4.12",
    );
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("no ratios"), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    for part in ["linux-4.12 beside its operations", "divided by that of linux-4.12", "with 96 %"] {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("dax-sim-report/compare.html")).unwrap();
    assert!(page.contains("Factor to linux-4.12") && !page.contains("to rwsem"));
    refused(
        &["--ratio-to", "unserialised", "--variants", "rwsem"],
        &["--ratio-to", "--variants rwsem,unserialised"],
    );
    refused(&["--baseline", "linux-4.12"], &["--baseline takes the JSON", "--ratio-to linux-4.12"]);
}

#[test]
fn without_the_base_there_are_no_ratios() {
    let folder = TempDir::new().unwrap();
    let arguments = words(
        "compare --duration-ms 1 --rounds 1 --threads 1 --media-us 0 --variants range-lock --json results.json",
    );
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("no ratios") && said.contains("fewer than 6 rounds"), "{said}");
    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert!(document["results"].as_array().unwrap().iter().all(|result| result["ratio_to_rwsem"].is_null()));
}

#[test]
fn checks_are_switched_off_and_that_is_told() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &[&words(TINY)[..], &["--no-checks", "--json", "out.json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("No read was checked (--no-checks)"));
    assert!(!text(&output.stdout).contains("returned"), "{}", text(&output.stdout));
    let page = fs::read_to_string(folder.path().join("dax-sim-report/compare.html")).unwrap();
    assert!(page.contains("No read was checked (<code>--no-checks</code>)"));
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(json["host"]["checks"], false);
    for result in json["results"].as_array().unwrap() {
        assert_eq!(result["checked_reads"], 0);
        assert!(result["ops_per_s"]["median"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = TempDir::new().unwrap();
    let mut child = dax_sim(folder.path(), &words(TINY))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"));
    assert!(folder.path().join("dax-sim-report/compare.html").is_file());
}

#[test]
fn under_cargo_the_page_goes_into_the_target_folder() {
    let folder = TempDir::new().unwrap();
    let arguments = words("--duration-ms 1 --rounds 1 --threads 1 --media-us 0 --workloads write-shared");
    let under_cargo = |target: Option<&str>| {
        let mut command = dax_sim(folder.path(), &arguments);
        command.env("CARGO_PKG_NAME", "dax-sim");
        target.map(|target| command.env("CARGO_TARGET_DIR", target));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let last = text(&output.stdout).lines().last().unwrap().to_owned();
        PathBuf::from(last.strip_prefix("Page: ").expect("the last line names the page"))
    };
    let named = under_cargo(Some("elsewhere"));
    assert_eq!(named, folder.path().canonicalize().unwrap().join("elsewhere/dax-sim/compare.html"));
    assert!(named.is_file());
    // Two levels above the program, which cargo has put there. Cargo marks the folder only if cargo
    // has made it.
    let program = Path::new(env!("CARGO_BIN_EXE_dax-sim")).canonicalize().unwrap();
    if !program.ancestors().any(|folder| folder.join("CACHEDIR.TAG").exists()) {
        let target = program.ancestors().nth(2).unwrap();
        fs::write(target.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    }
    let found = under_cargo(None);
    assert!(program.starts_with(found.parent().and_then(Path::parent).unwrap()), "{}", found.display());
    assert!(!folder.path().join("dax-sim-report").exists());
}

#[test]
fn plots_of_an_earlier_run_do_not_stay_beside_a_new_page() {
    let folder = TempDir::new().unwrap();
    let run = |more: &str| {
        let arguments = format!("--duration-ms 1 --rounds 1 --threads 1 --output out {more}");
        let output = run(folder.path(), &words(&arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut names: Vec<String> = fs::read_dir(folder.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(run("--media-us 0,20").len(), 2 * 4 + 2);
    // What the user has put there is not what a run wrote.
    fs::write(folder.path().join("out/write-shared-7us.svg"), "the user's").unwrap();
    fs::write(folder.path().join("out/notes"), "the user's").unwrap();
    assert_eq!(
        run("--media-us 0 --workloads write-shared"),
        ["compare.html", "compare.json", "notes", "write-shared-7us.svg", "write-shared-cpu-bound.svg"]
    );
}

#[test]
fn what_has_changed_since_an_earlier_run_is_marked() {
    let folder = TempDir::new().unwrap();
    let arguments = "--duration-ms 2 --rounds 6 --threads 1 --media-us 0 --workloads write-shared --variants \
                     rwsem,range-lock --output out";
    let first = run(folder.path(), &[&words(arguments)[..], &["--json", "before.json"]].concat());
    assert!(first.status.success(), "{}", text(&first.stderr));
    // As if range-lock had been a thousand times as fast.
    let before = fs::read(folder.path().join("before.json")).unwrap();
    let mut before: Value = serde_json::from_slice(&before).unwrap();
    for result in before["results"].as_array_mut().unwrap() {
        for bound in ["median", "low", "high"] {
            let ratio = &mut result["ratios"]["rwsem"][bound];
            *ratio = (ratio.as_f64().unwrap() * 1000.0).into();
        }
    }
    fs::write(folder.path().join("before.json"), before.to_string()).unwrap();
    let second = run(folder.path(), &[&words(arguments)[..], &["--baseline", "before.json"]].concat());
    assert!(second.status.success(), "{}", text(&second.stderr));
    // Where its lines end depends on how long figures and dates are.
    let report = text(&second.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["Against before.json (", "1 of 1 ratios to rwsem have changed", "▼ write-shared, CPU-bound"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("out/compare.html")).unwrap();
    assert!(page.contains("Against the earlier run") && page.contains("<abbr title=\"was "));
    refused(&["--baseline", "none.json"], &["none.json", "compare.json"]);
    let log = folder.path().join("log");
    fs::write(&log, "no JSON").unwrap();
    refused(&["--baseline", log.to_str().unwrap()], &["--baseline", "--json"]);
}
