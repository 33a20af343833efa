//! Replays the corpus, and a bounded number of mutations of it, in every test run; `tests/fuzz/run TARGET SECONDS`
//! goes on for longer. With a nightly compiler, `cargo fuzz` looks further: see `Cargo.toml` beside this file.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the run for some seconds looks at the clock")]

mod mutate;
mod targets;

use mutate::{Random, mutated};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Mutations of each target in a test run: about a second for all of them in a debug build.
const MUTATIONS: u64 = 400;

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The inputs of a target, by the name of their file.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = dir().join("corpus").join(target);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs one input; one that fails is kept under the name that is told.
fn hold(target: targets::Target, data: &[u8]) {
    let (name, function) = target;
    if catch_unwind(|| function(data)).is_err() {
        let kept = std::env::temp_dir().join(format!("fuzz-{name}-{}", std::process::id()));
        std::fs::write(&kept, data).unwrap();
        panic!("{name} fails; put {} into tests/fuzz/corpus/{name}/", kept.display());
    }
}

/// One mutation, which its number makes again.
fn step(target: targets::Target, inputs: &[(String, Vec<u8>)], number: u64) {
    let mut random = Random::new(number);
    let (seed, other) = (random.below(inputs.len()), random.below(inputs.len()));
    hold(target, &mutated(&mut random, &inputs[seed].1, &inputs[other].1));
}

#[test]
fn every_target_has_a_corpus_and_takes_it() {
    for target in targets::all() {
        let inputs = corpus(target.0);
        assert!(inputs.len() >= 2, "{} has too few inputs: {}", target.0, inputs.len());
        for (name, data) in &inputs {
            assert!(data.len() <= 32 * 1024, "{}/{name} is too large", target.0);
            hold(target, data);
        }
        hold(target, &[]);
    }
}

#[test]
fn every_target_takes_mutations_of_its_corpus() {
    for target in targets::all() {
        let inputs = corpus(target.0);
        (0..MUTATIONS).for_each(|number| step(target, &inputs, number));
    }
}

#[test]
fn every_corpus_and_every_program_has_its_target() {
    let known: Vec<_> = targets::all().map(|(name, _)| name.to_owned()).collect();
    let entries = std::fs::read_dir(dir().join("corpus")).unwrap();
    let mut there: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let manifest = std::fs::read_to_string(dir().join("Cargo.toml")).unwrap();
    if cfg!(feature = "hub") {
        there.sort();
        let mut sorted = known.clone();
        sorted.sort();
        assert_eq!(there, sorted);
        assert_eq!(manifest.matches("[[bin]]").count(), known.len());
    }
    for name in known {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "tests/fuzz/Cargo.toml: {name}");
    }
}

/// Beside them: what these tests would say of a parser that panics.
#[test]
fn a_target_that_panics_is_found_from_its_corpus() {
    let inputs = vec![("a".to_owned(), b"nameserver 192.0.2.1".to_vec())];
    let weak: targets::Target = ("weak", |data| assert!(!data.contains(&0xff), "found"));
    let found = (0..MUTATIONS).any(|number| catch_unwind(|| step(weak, &inputs, number)).is_err());
    assert!(found, "no mutation reaches a byte of 0xff");
    let kept = std::env::temp_dir().join(format!("fuzz-weak-{}", std::process::id()));
    std::fs::remove_file(kept).unwrap();
}

/// For `tests/fuzz/run`: one target for as long as it is told (`QCLOUD_FUZZ=TARGET:SECONDS`).
#[test]
#[ignore = "runs for as long as it is told"]
#[allow(clippy::print_stdout, reason = "for the person who waits")]
fn run_for() {
    let told = std::env::var("QCLOUD_FUZZ").expect("QCLOUD_FUZZ=TARGET:SECONDS");
    let (name, seconds) = told.split_once(':').expect("TARGET:SECONDS");
    let target = targets::all().find(|(known, _)| *known == name).expect("a target of the list");
    let inputs = corpus(name);
    let (begun, most) = (Instant::now(), Duration::from_secs(seconds.parse().expect("seconds")));
    let mut number = MUTATIONS;
    while begun.elapsed() < most {
        (0..100).for_each(|more| step(target, &inputs, number + more));
        number += 100;
    }
    println!("{name}: {} inputs in {} s", number - MUTATIONS, begun.elapsed().as_secs());
}
