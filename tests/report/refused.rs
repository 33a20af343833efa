//! Kernels and file systems that do not know what newer ones do: a filter answers for them as they would.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use super::faults::hostile;
use super::{agent, entries, made, report, scratch};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fs;

/// What it takes for a call to be refused.
struct Refused {
    call: i64,
    flags: Option<(u8, u64)>,
    with: i32,
}

/// Does this in a thread whose programs have this call refused.
fn without<R: Send>(refused: &Refused, work: impl FnOnce() -> R + Send) -> R {
    let rules = match refused.flags {
        None => Vec::new(),
        Some((argument, flags)) => {
            let operator = SeccompCmpOp::MaskedEq(flags);
            let condition =
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, flags).unwrap();
            vec![SeccompRule::new(vec![condition]).unwrap()]
        }
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let answer = SeccompAction::Errno(refused.with.unsigned_abs());
    let rules = BTreeMap::from([(refused.call, rules)]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    std::thread::scope(|scope| {
        let apart = scope.spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            work()
        });
        apart.join().unwrap()
    })
}

#[test]
fn a_kernel_without_openat2_gives_the_same_report_and_no_link_leads_out() {
    for with in [libc::ENOSYS, libc::EPERM] {
        let dir = scratch(&format!("no-openat2-{with}"));
        let (root, out) = (dir.join("root"), dir.join("out"));
        fs::create_dir_all(&out).unwrap();
        hostile(&root);
        fs::write(root.join("etc/hostname"), "the-name-of-it\n").unwrap();
        let old = Refused { call: libc::SYS_openat2, flags: None, with };
        let (_, path) = made(&without(&old, || report(&root, &out)));
        let all = entries(&path);
        for (name, bytes) in &all {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("canary-of"), "{name}");
            assert!(!text.contains("0123456789abcdefghijkl"), "{name}");
        }
        let names = all.iter().find(|(name, _)| name == "network/names.txt").unwrap();
        assert!(String::from_utf8_lossy(&names.1).contains("the-name-of-it"));
    }
}

#[test]
fn a_file_system_without_nameless_files_gives_a_report_and_a_kill_leaves_nothing_of_one_that_grows()
{
    let dir = scratch("no-tmpfile");
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/os-release"), "NAME=\"canary-of-the-clear\"\n").unwrap();
    let flags = libc::O_TMPFILE & !libc::O_DIRECTORY;
    let old = Refused {
        call: libc::SYS_openat,
        flags: Some((2, u64::from(flags.unsigned_abs()))),
        with: libc::EOPNOTSUPP,
    };
    // One that a kill left once.
    fs::write(out.join(".qcloud-report-1-3"), "half a report").unwrap();
    let (_, path) = made(&without(&old, || report(&root, &out)));
    let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names, std::slice::from_ref(&path));
    assert!(agent(&["report", "view", path.to_str().unwrap()]).output().unwrap().status.success());
    fs::remove_file(&path).unwrap();

    super::plant::lay(&root, super::plant::CORPORA[0].1, 7);
    let args = ["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    without(&old, || {
        for number in 0_u64..12 {
            let mut command = agent(&args);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(number * 23 + 5));
            // It may have ended meanwhile.
            let _ = child.kill();
            child.wait().unwrap();
            for entry in fs::read_dir(&out).unwrap() {
                let path = entry.unwrap().path();
                // A report that is finished, and one that waits for its name as the third file, are redacted whole and
                // may be read. What a kill leaves of one that grows says nothing.
                let name = path.file_name().unwrap().to_string_lossy();
                if !name.ends_with(".zip") && !name.ends_with("-3") {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    assert!(!text.contains("canary-of"), "{path:?}");
                }
                fs::remove_file(path).unwrap();
            }
        }
    });
}
