//! What a complete run of `dax-sim compare` prints and leaves behind.

use std::fs;
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
    assert_eq!(report.lines().last(), Some("Page: target/dax-sim/compare.html"));
    for part in
        ["hardware thread", "closed loop", "write-disjoint, CPU-bound", "range-lock", "2 rounds of 2 ms"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for plot in ["write-disjoint-cpu-bound.svg", "fault-vs-write-20us.svg"] {
        assert!(folder.path().join("target/dax-sim").join(plot).is_file(), "{plot}");
    }

    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["host"]["checks"], true);
    assert!(document["host"]["hardware_threads"].as_u64().unwrap() >= 1);
    assert!(document["file"]["backing"].is_string());
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 4 * 2 * 2 * 2);
    for result in results {
        assert_eq!(
            keys(result),
            [
                "checked_reads",
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
        "compare --duration-ms 2 --rounds 3 --threads 1 --media-us 0 --variants linux-4.12,range-lock \
         --workloads write-shared --baseline linux-4.12",
    );
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("no ratios"), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    for part in ["their ratio to linux-4.12;", "range-lock against linux-4.12: ", "ratio lo–hi", "with 75 %"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.contains("Ratio to linux-4.12") && !page.contains("to rwsem"));
    refused(
        &["--baseline", "unserialised", "--variants", "rwsem"],
        &["--baseline", "--variants rwsem,unserialised"],
    );
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
    assert!(said.contains("no ratios") && said.contains("one round"), "{said}");
    let document: Value =
        serde_json::from_slice(&fs::read(folder.path().join("results.json")).unwrap()).unwrap();
    assert!(document["results"].as_array().unwrap().iter().all(|result| result["ratio_to_rwsem"].is_null()));
}

#[test]
fn checks_are_switched_off_and_that_is_told() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &[&words(TINY)[..], &["--no-checks", "--json", "out.json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("no read was checked (`--no-checks`)"));
    assert!(!text(&output.stdout).contains("no stale read"), "{}", text(&output.stdout));
    let page = fs::read_to_string(folder.path().join("target/dax-sim/compare.html")).unwrap();
    assert!(page.contains("no read was checked (`--no-checks`)"));
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
    assert!(folder.path().join("target/dax-sim/compare.html").is_file());
}
