use proptest::prelude::*;

use super::print::number;
use super::words::bytes;
use super::*;

/// Two threads, and a line before and after their blocks' beginning.
fn with(head: &str, op: &str) -> Result<Scenario, FormError> {
    let text = format!("files 2\nmap M0 F0\n{head}\nthread A:\n{op}\nthread B:\nload M0 0\n");
    parse("test", &text)
}

#[track_caller]
fn refused(head: &str, op: &str, line: u64, parts: &[&str]) {
    let error = with(head, op).expect_err("it is not sound");
    assert_eq!(error.line, line, "{error}");
    for part in parts {
        assert!(error.text.contains(part), "no {part:?} in {error}");
    }
}

#[test]
fn what_is_wrong_is_reported_with_line_word_and_remedy() {
    refused("", "pwrit F0 0 8", 5, &["`pwrit` is not known", "pwrite", "thread"]);
    refused("", "pwrite F0 0", 5, &["a length is missing", "write it as `pwrite F0 AT LEN [from M0 AT]`"]);
    refused("", "pwrite F2 0 8", 5, &["there is no `F2`", "say `files NUMBER` above"]);
    refused("", "pwrite G0 0 8", 5, &["`G0` is not a file", "F0, F1"]);
    refused("", "load M1 0", 5, &["there is no `M1`", "say `map M1 F0` above"]);
    refused("", "load M0 0 8 9", 5, &["`9` is one word too many"]);
    refused("", "load M0 4092", 5, &["[4092, 4100) does not lie in M0", "4096", "say `pages NUMBER`"]);
    refused("pages 2", "load M0 4092", 5, &["lies in one page", "split it"]);
    refused("", "load M0 8x", 5, &["`8x` is not a number", "4K+8"]);
    refused("", "load M0 99999999999999999999999", 5, &["is more than 4M"]);
    refused("", "pread F0 0 4K+1", 5, &["4097 bytes", "1 to 4096"]);
    refused("", "pread F0 0 0", 5, &["0 bytes", "1 to 4096"]);
    refused("", "persist M0 0", 5, &["say `sync`"]);
    refused("", "fallocate F0 8 4K insert", 5, &["multiples of 4K"]);
    refused("", "fallocate F0 8 4K squeeze", 5, &["`squeeze` is no mode", "punch"]);
    refused("", "clone F1 0 0 into F0 0", 5, &["`into` stands where `from` belongs"]);
    refused("", "fsync F0\nfiles 3", 6, &["`files` comes before the first block", "move it up"]);
    refused("load M0 0", "fsync F0", 3, &["in no block", "`setup:`"]);
    refused("map M2 F0", "fsync F0", 3, &["`M2` stands where `M1` belongs"]);
    refused("map M1 F0 private sync", "fsync F0", 3, &["exclude each other"]);
    refused("map M1 F0 at 7", "fsync F0", 3, &["`7` is no address", "multiple of 4096"]);
    refused("setup", "fsync F0", 3, &["`setup` lacks a colon"]);
    refused("setup:\nsetup:", "fsync F0", 4, &["a second time"]);
    refused("expect range-lock I1", "fsync F0", 3, &["promises that nothing goes wrong"]);
    refused("expect linux-4.11 I9", "fsync F0", 3, &["`I9` is no invariant", "I1, I2"]);
    refused("expect linux-4.13 I1", "fsync F0", 3, &["linux-4.12"]);
    refused("", "munmap M0", 5, &["another thread uses it in line 7", "a mapping of its own"]);
    refused("", &"fsync F0\n".repeat(16), 20, &["at most 15"]);
    refused("", "fsync F0 \u{1b}[31m", 5, &["`\\u{1b}` is a control character"]);
    refused("", "", 7, &["thread A does nothing"]);
    let late = parse("test", "map M0 F0\nfiles 2").expect_err("M0 is of one of them");
    assert!(late.line == 2 && late.text.contains("`files` comes before the mappings"), "{late}");
    let one = parse("test", "thread A:\nfsync F0").expect_err("one is no race");
    assert!(one.text.contains("add a block `thread B:`"), "{one}");
    assert!(parse("test", "").is_err() && parse("test", &"\n".repeat(1 << 17)).is_err());
    // A private mapping is no buffer.
    refused("map M1 F0 private", "pwrite F0 0 8 from M1 0", 5, &["map it shared"]);
}

#[test]
fn long_words_are_quoted_cut() {
    let long = "x".repeat(50_000);
    for line in [
        &long,
        &format!("load {long}"),
        &format!("load M0 {long}"),
        &format!("load M0 {}", "9".repeat(50_000)),
    ] {
        let error = with("", line).expect_err("it is not known");
        assert!(error.text.len() < 600 && error.text.contains("characters more"), "{error}");
    }
}

#[test]
fn comments_line_ends_and_a_byte_order_mark_are_passed_over() {
    let text = "\u{feff}about a # stays\r\n\r\nmap M0 F0 # of file 0\r\n\tthread A:\r\nload M0 0#\r\n";
    let error = parse("test", text).expect_err("0# is no number");
    assert_eq!(error.line, 5);
    let text = text.replace("0#", "0 #") + "thread B:\nstore M0 0x10 0x3";
    let scenario = parse("test", &text).unwrap();
    assert_eq!(scenario.about, "a # stays");
    assert_eq!(scenario.threads[1], [Op::Store(Span { of: 0, at: 16, len: 3 })]);
    assert_eq!((scenario.grain(), with("", "fsync F0").unwrap().grain()), (1, 8));
}

#[test]
fn numbers_are_printed_as_they_are_read() {
    for bytes_of in [0, 8, 4095, 4096, 4104, 28 << 10, 1 << 20, (1 << 20) + 4096, (2 << 20) + 8] {
        assert_eq!(bytes(&number(bytes_of), u64::MAX), Ok(bytes_of), "{}", number(bytes_of));
    }
}

/// Words that lead deep into the parser, and others.
fn word() -> impl Strategy<Value = String> {
    let known: Vec<String> = OPERATIONS
        .iter()
        .chain(HEADS)
        .flat_map(|usage| usage.split([' ', '[', ']', '|']))
        .chain([
            "F0",
            "F1",
            "M0",
            "M1",
            "0",
            "8",
            "4K",
            "4K+8",
            "-1",
            "0x",
            "K",
            "+",
            "#",
            ":",
            "A:",
            "B:",
            "C:",
            "linux-4.11",
            "I1",
        ])
        .map(str::to_owned)
        .collect();
    prop_oneof![6 => prop::sample::select(known), 1 => ".{0,60}", 1 => "[0-9]{1,40}[KM+]?"]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,400}") {
        let _ = parse("test", &text);
    }

    /// A scenario that was read is printed such that it reads the same. A message is one line.
    #[test]
    fn no_words_make_it_panic(
        lines in prop::collection::vec(prop::collection::vec(word(), 0..7), 0..30),
        sound in any::<bool>(),
    ) {
        let mut text = if sound { "files 2\nmap M0 F0\nmap M1 F1 sync\nthread A:\nfsync F0\nthread B:\nfsync F0\n".to_owned() } else { String::new() };
        for line in lines {
            let with_it = format!("{text}{}\n", line.join(" "));
            match parse("test", &with_it) {
                // A line that fits in is kept, so sound texts grow.
                Ok(scenario) => {
                    prop_assert_eq!(parse("test", &scenario.to_string()), Ok(scenario));
                    text = with_it;
                }
                Err(error) => {
                    prop_assert!(!error.text.contains('\n') && error.text.len() < 1000, "{}", error);
                    if !sound {
                        text = with_it;
                    }
                }
            }
        }
    }
}
