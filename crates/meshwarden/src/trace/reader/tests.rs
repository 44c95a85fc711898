//! What is no trace, or not a whole one.

use std::io::BufReader;

use super::*;

const HEADER: &str = r#"{"format":"meshwarden-trace","version":2,"kind":"plain","spec":{"mesh":{"id":"00000000-0000-4000-8000-000000000001","name":"m","kind":"plain"},"region":[[["a",2]],0,[["a",2]],[1]],"epoch":0,"agents":[[[0,2]]],"config":{"times":{"lease":{"secs":4,"nanos":0},"heartbeat":{"secs":0,"nanos":200000000},"suspect":{"secs":0,"nanos":800000000},"check":{"secs":1,"nanos":0},"poll_deadline":{"secs":0,"nanos":800000000},"unreachable":{"secs":1,"nanos":400000000},"timeout":{"secs":6,"nanos":40000000}},"restart":{"policy":"Temporary","strategy":"OneForOne","max_restarts":0,"period":null,"backoff_min":{"secs":0,"nanos":100000000},"backoff_max":{"secs":30,"nanos":0},"grace":{"secs":5,"nanos":0}},"limits":{"subscribers":10,"asks":10}},"seed":1}}"#;
const TICK: &str = r#"{"step":{"t":1,"effects":0,"event":"Tick"}}"#;
const END: &str = r#"{"end":{"steps":1,"lost":0}}"#;

/// The steps that can be read, and what is wrong then.
fn read(text: &[u8]) -> (usize, Option<TraceError>) {
    let mut n_steps = 0;
    let reader = match Reader::<_, u8>::open(BufReader::with_capacity(7, text)) {
        Ok(reader) => reader,
        Err(error) => return (n_steps, Some(error)),
    };
    for step in reader {
        match step {
            Ok(_) => n_steps += 1,
            Err(error) => return (n_steps, Some(error)),
        }
    }
    (n_steps, None)
}

fn lines(lines: &[&str]) -> (usize, Option<TraceError>) {
    read(format!("{}\n", lines.join("\n")).as_bytes())
}

fn said(error: Option<TraceError>) -> String {
    error.map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_whole_trace_is_read_to_its_end() {
    assert_eq!(lines(&[HEADER, TICK, END]), (1, None));
    assert_eq!(read(format!("{HEADER}\n{TICK}\n{END}").as_bytes()), (1, None));
}

#[test]
fn what_is_no_trace_is_told_apart_from_one_of_another_version() {
    assert_eq!(read(b""), (0, Some(TraceError::Empty)));
    for text in ["\n", "hello\n", "{}\n", "[1]", "{\"format\":\"other\",\"version\":1}", "\0\0\0"] {
        assert_eq!(read(text.as_bytes()), (0, Some(TraceError::NotATrace)), "{text:?}");
    }
    let newer = r#"{"format":"meshwarden-trace","version":3,"all":"else"}"#;
    assert_eq!(lines(&[newer]), (0, Some(TraceError::Version { found: 3 })));
    let (_, error) = lines(&[r#"{"format":"meshwarden-trace","version":2,"kind":"plain"}"#]);
    assert_eq!(said(error), "line 1, column 56: missing field `spec`");
}

#[test]
fn a_wrong_line_is_named_by_its_number() {
    for (line, says) in [
        ("garbage", "line 3, column 1: expected value"),
        ("", "line 3, column 0: EOF while parsing a value"),
        ("{}", "line 3, column 2: expected value"),
        (r#"{"step":{"t":-1,"effects":0,"event":"Tick"}}"#, "line 3, column 15: invalid value"),
        (r#"{"step":{"t":1,"effects":0,"event":"Tock"}}"#, "line 3, column 41: unknown variant"),
        (r#"{"step":{"t":1,"effects":0}}"#, "line 3, column 27: missing field `event`"),
        ("\u{7f}", "line 3, column 1: expected value"),
    ] {
        let (n_steps, error) = lines(&[HEADER, TICK, line, END]);
        let text = said(error);
        assert!(n_steps == 1 && text.starts_with(says), "{line}: {text}");
    }
    let deep = format!("{}1", "[".repeat(100_000));
    assert!(said(lines(&[HEADER, TICK, &deep]).1).starts_with("line 3, column"));
    let not_text = [HEADER.as_bytes(), b"\n\xff\xfe\n"].concat();
    assert!(said(read(&not_text).1).starts_with("line 2, column 1: "));
}

#[test]
fn a_trace_that_was_cut_off_anywhere_says_after_which_step() {
    let whole = format!("{HEADER}\n{TICK}\n{END}");
    let truncated = |steps| Some(TraceError::Truncated { steps });
    for length in HEADER.len()..whole.len() {
        let (n_steps, error) = read(&whole.as_bytes()[..length]);
        let n_before = u64::from(length >= HEADER.len() + 1 + TICK.len());
        assert_eq!((n_steps as u64, error), (n_before, truncated(n_before)), "{length}");
    }
}

#[test]
fn an_end_that_does_not_fit_is_found() {
    assert_eq!(lines(&[HEADER, END]), (0, Some(TraceError::OtherSteps { said: 1, steps: 0 })));
    assert_eq!(lines(&[HEADER, TICK, END, TICK]), (1, Some(TraceError::AfterEnd { line: 4 })));
    let lost = r#"{"lost":4}"#;
    let found = Some(TraceError::Lost { steps: 1, lost: 4 });
    assert_eq!(lines(&[HEADER, TICK, lost, TICK, END]), (1, found.clone()));
    assert_eq!(lines(&[HEADER, TICK, r#"{"end":{"steps":1,"lost":4}}"#]), (1, found));
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let endless = HEADER.as_bytes().chain(&b"\n"[..]).chain(BufReader::new(io::repeat(b' ')));
    let mut reader = Reader::<_, u8>::open(endless).unwrap();
    let too_long = TraceError::TooLong { line: 2, limit: LINE_BYTES_MAX };
    assert_eq!(reader.next(), Some(Err(too_long)));
    assert_eq!(reader.next(), None);
}
