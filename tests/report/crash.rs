//! The crash part: what it adds, who must agree to it, and what is never in it (promises X5, X6).

use super::{agent, entries, made, report, scratch};
use minidump::{Minidump, MinidumpException, MinidumpMemoryList, MinidumpModuleList, Module};
use minidump::{MinidumpSystemInfo, MinidumpThreadList};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// A crash report of a tree, agreed to.
fn crash(root: &Path, state: &Path, out: &Path) -> Output {
    let paths = [root, state, out].map(|path| path.to_str().unwrap());
    let [root, state, out] = paths;
    let args =
        ["report", "--crash", "--yes", "--root", root, "--state", state, "--out", out, "--json"];
    agent(&args).output().unwrap()
}

fn entry<'a>(all: &'a [(String, Vec<u8>)], path: &str) -> &'a [u8] {
    let found = all.iter().find(|(name, _)| name == path);
    let names = || all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    &found.unwrap_or_else(|| panic!("no {path}: {}", names())).1
}

fn text(all: &[(String, Vec<u8>)], path: &str) -> String {
    String::from_utf8_lossy(entry(all, path)).into_owned()
}

fn manifest(all: &[(String, Vec<u8>)]) -> Value {
    serde_json::from_slice(entry(all, "manifest.json")).unwrap()
}

/// The paths of all sections, those that this box has nothing of too.
fn sections(manifest: &Value) -> Vec<String> {
    let entries = manifest["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|part| part == what.as_bytes())
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A box in trouble, with a secret wherever it might be told. This kernel has no pstore: it is a directory here.
fn trouble(root: &Path, state: &Path) {
    let secret = "canary-Xk29bQz7";
    write(
        root.join("etc/shadow"),
        "root:$6$salt$canary-of-shadow0123456789abcdefghij:19000:0:::::\n",
    );
    write(root.join("etc/default/app"), &format!("APP_PASSWORD={secret}\n"));
    write(root.join("proc/7/comm"), "app\n");
    write(root.join("proc/7/stat"), "7 (app) S 1 7 7\n");
    write(root.join("proc/7/cmdline"), &format!("/opt/app\0--token\0{secret}\0"));
    write(root.join("proc/7/environ"), &format!("APP_PASSWORD={secret}\0"));
    write(
        root.join("proc/7/status"),
        "Name:\tapp\nState:\tD (disk sleep)\nPPid:\t1\nUid:\t0\t0\t0\t0\n",
    );
    write(root.join("proc/7/smaps_rollup"), "Rss:     1234 kB\nPss:  99 kB\nSwap: 0 kB\n");
    write(root.join("proc/7/io"), "read_bytes: 4096\nwrite_bytes: 8192\n");
    write(root.join("proc/7/task/7/stat"), "7 (app (x)) D 1 7 7\n");
    write(root.join("proc/7/task/7/wchan"), "io_schedule");
    write(
        root.join("proc/7/task/7/stack"),
        "[<0>] io_schedule+0x46/0x80\n[<0>] nfs_wait+0x1/0x2\n",
    );
    fs::create_dir_all(root.join("proc/7/fd")).unwrap();
    symlink("/share/Public/film.mkv", root.join("proc/7/fd/3")).unwrap();
    symlink("socket:[4242]", root.join("proc/7/fd/4")).unwrap();
    symlink(format!("/tmp/{secret}"), root.join("proc/7/fd/5")).unwrap();
    write(root.join("proc/sys/kernel/core_pattern"), "core\n");
    write(
        root.join("sys/fs/pstore/dmesg-ramoops-0"),
        &format!("Oops#1 Part1\n<1>BUG: unable to handle page fault\n<4>app: password={secret}\n"),
    );
    write(root.join("var/crash/202611220800/dmesg.txt"), "Kernel panic - not syncing: hung_task\n");
    symlink("/etc/shadow", root.join("var/crash/a.txt")).unwrap();
    write(root.join("var/lib/systemd/coredump/core.smbd.0.77.1795.lz4"), "an image");
    let panic = format!(
        "{{\"at\":\"2026-11-22T08:00:00Z\",\"place\":\"src/x.rs:1:2\",\"message\":\"bad password={secret}\",\
         \"thread\":\"main\",\"callers\":[\"0x1234\"],\"tape\":[\"1.000 ddns wake\"],\"version\":\"0.1.0\"}}\n"
    );
    write(state.join("crash/panics.jsonl"), &panic);
    // Whoever has the agent's state cannot have root read other files with it.
    symlink(root.join("etc/shadow"), state.join("crash/0.crash")).unwrap();
}

#[test]
fn x5_a_crash_report_has_all_of_a_server_report_and_what_crashed_and_no_secret() {
    let dir = scratch("crash");
    let (root, state, out) = (dir.join("root"), dir.join("state"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    trouble(&root, &state);
    let (_, server) = made(&report(&root, &out));
    let server = entries(&server);
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir_all(&out).unwrap();
    let (said, path) = made(&crash(&root, &state, &out));
    assert_eq!(said["removed"].as_array().map(Vec::len), Some(0), "{said}");
    let all = entries(&path);
    let (less, more) = (sections(&manifest(&server)), sections(&manifest(&all)));
    let missing: Vec<_> = less.iter().filter(|path| !more.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let added: Vec<_> = more.iter().filter(|path| !less.contains(path)).collect();
    assert!(added.len() >= 14 && added.iter().all(|path| path.starts_with("crash/")), "{added:?}");
    assert!(less.iter().all(|path| !path.starts_with("crash/")));
    assert!(text(&all, "crash/panics.txt").contains("src/x.rs:1:2"));
    assert!(text(&all, "crash/panics.txt").contains("told: 1.000 ddns wake"));
    assert!(text(&all, "crash/kernel.txt").contains("unable to handle page fault"));
    assert!(text(&all, "crash/kernel.txt").contains("not syncing: hung_task"));
    assert!(text(&all, "crash/images.txt").contains("core.smbd.0.77.1795.lz4"));
    assert!(text(&all, "crash/threads.txt").contains("D app (x)"));
    assert!(text(&all, "crash/threads.txt").contains("nfs_wait"));
    assert!(text(&all, "crash/waiting.txt").contains("7 7 app (x) in io_schedule"));
    assert!(text(&all, "crash/descriptors.txt").contains("/share/Public/film.mkv"));
    assert!(text(&all, "crash/descriptors.txt").contains("7 app: 1 socket"));
    assert!(text(&all, "crash/processes.txt").contains("4096"));
    for (name, bytes) in server.iter().chain(&all) {
        assert!(!holds(bytes, "canary-"), "{name}");
    }
}

#[test]
fn x6_a_crash_report_needs_a_typed_word_and_says_which_of_its_parts_tell_of_people() {
    let dir = scratch("agreed");
    let (root, state) = (dir.join("root"), dir.join("state"));
    trouble(&root, &state);
    let out = dir.join("out");
    fs::create_dir_all(&out).unwrap();
    let words =
        ["report", "--crash", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    // Nobody there, and somebody who is not at a terminal.
    for stdin in ["", "crash\n"] {
        let mut child = agent(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
        let ran = child.wait_with_output().unwrap();
        assert_eq!(ran.status.code(), Some(4), "{ran:?}");
    }
    // At a terminal, another word and the word.
    let typed = |word: &str| {
        let line = format!("{} {}", env!("CARGO_BIN_EXE_qcloud-agent"), words.join(" "));
        let line = format!("printf '{word}\\n' | script -qec '{line}' /dev/null");
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    let ran = typed("yes");
    assert_eq!(ran.status.code(), Some(4), "{ran:?}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "something was made all the same");
    let ran = typed("crash");
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let path = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let manifest = manifest(&entries(&path));
    assert_eq!(manifest["mode"], "crash");
    let of = |path: &str| {
        let all = manifest["entries"].as_array().unwrap();
        all.iter().find(|entry| entry["path"] == path).unwrap()["sensitivity"].clone()
    };
    for high in ["crash/agent", "crash/cores", "crash/network", "crash/descriptors.txt"] {
        assert_eq!(of(high), "high", "{high}");
    }
    assert_eq!(of("crash/panics.txt"), "personal");
    assert_eq!(of("system/memory.txt"), "low");
}

/// A running agent with everything off, in whose arguments and environment is something to be found.
struct Running(Child);

impl Running {
    fn start(dir: &Path, state: &Path) -> Self {
        let config = dir.join("config.toml");
        fs::write(&config, "[agent]\n").unwrap();
        let args =
            ["run", "--state", state.to_str().unwrap(), "--config", config.to_str().unwrap()];
        let mut command = agent(&args);
        command.env("CANARY_ENVIRONMENT", "canary-environment-v4lue").stdout(Stdio::null());
        let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let mut running = Self(command.stderr(log).spawn().unwrap());
        running.until("its socket", |_| UnixStream::connect(state.join("control.sock")).ok());
        running
    }

    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Child) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(&mut self.0) {
                return found;
            }
            assert!(begun.elapsed() < SOON, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
        self.until("its end", |child| child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended needs no signal.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether there is a text of eight letters somewhere.
fn reads(memory: &[u8]) -> Option<String> {
    let runs = memory.split(|byte| !byte.is_ascii_graphic());
    let found = runs.max_by_key(|run| run.len()).filter(|run| run.len() >= 8);
    found.map(|run| String::from_utf8_lossy(run).into_owned())
}

/// Reads a minidump as others do: how it ended, and the memory that is in it.
fn examined(bytes: &[u8], program: &str) -> (String, usize) {
    let dump = Minidump::read(bytes.to_vec()).unwrap();
    let system = dump.get_stream::<MinidumpSystemInfo>().unwrap();
    let exception = dump.get_stream::<MinidumpException>().unwrap();
    let reason = exception.get_crash_reason(system.os, system.cpu).to_string();
    let modules = dump.get_stream::<MinidumpModuleList>().unwrap();
    let main = modules.main_module().unwrap();
    assert_eq!(main.code_file(), program);
    let context = exception.context(&system, None).unwrap();
    assert!(
        modules.module_at_address(context.get_instruction_pointer()).is_some()
            || modules.iter().count() < 3,
        "the program counter is in no module"
    );
    let memory = dump.get_stream::<MinidumpMemoryList<'_>>().unwrap();
    let all: usize = memory.iter().map(|part| part.bytes.len()).sum();
    for part in memory.iter() {
        assert_eq!(reads(part.bytes), None, "a text was found in memory");
    }
    let threads = dump.get_stream::<MinidumpThreadList<'_>>().unwrap();
    assert!(threads.get_thread(exception.get_crashing_thread_id()).is_some());
    // LinuxCpuInfo to LinuxDsoDebug of Breakpad: command line, environment, auxiliary values, mappings.
    assert!((0x4767_0003..=0x4767_000d).all(|kind| dump.get_raw_stream(kind).is_err()));
    (reason, all)
}

#[test]
fn an_agent_that_a_signal_ends_leaves_a_minidump_without_arguments_environment_or_any_text() {
    let dir = scratch("canary-argument-v4lue");
    let (root, state, out) = (dir.join("root"), dir.join("state"), dir.join("out"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&out).unwrap();
    for (signal, number) in [(Signal::SIGSEGV, 11), (Signal::SIGABRT, 6)] {
        let running = Running::start(&dir, &state);
        let ended = running.end(signal);
        assert_eq!(ended.signal(), Some(number), "{ended}");
    }
    let kept = fs::metadata(state.join("crash/newest.crash")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
    assert!(kept.len() < 110_000, "{}", kept.len());
    let (_, path) = made(&crash(&root, &state, &out));
    let all = entries(&path);
    for (dump, wanted) in [("crash/agent/0.dmp", "SIGABRT"), ("crash/agent/1.dmp", "SIGSEGV")] {
        let bytes = entry(&all, dump);
        for canary in ["canary-environment", "canary-argument", "CANARY_"] {
            assert!(!holds(bytes, canary), "{dump} {canary}");
        }
        let (reason, memory) = examined(bytes, "qcloud-agent");
        assert!(reason.starts_with(wanted), "{reason}");
        assert!((512..=64 * 1024).contains(&memory), "{memory} bytes of the stack");
    }
    assert!(text(&all, "crash/signals.txt").contains("crash/agent/1.dmp: signal 11 "));
}

/// The memory image of a program with a secret in its environment, as this kernel writes one; nothing
/// where another program takes images.
fn image(dir: &Path) -> Option<(u32, Vec<u8>)> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with(['|', '/']) {
        return None;
    }
    let mut child = Command::new("sh");
    child.args(["-c", "ulimit -c unlimited; exec sleep 60"]).current_dir(dir);
    let mut child = child.env("APP", "canary-environment-v4lue").spawn().unwrap();
    let begun = Instant::now();
    let comm = PathBuf::from(format!("/proc/{}/comm", child.id()));
    while fs::read_to_string(&comm).unwrap().trim() != "sleep" {
        assert!(begun.elapsed() < SOON, "sleep does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGSEGV).unwrap();
    child.wait().unwrap();
    let file = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let file = file.filter(|path| path.file_name().unwrap().to_string_lossy().contains("core"));
    let bytes = fs::read(file.last()?).unwrap();
    assert!(holds(&bytes, "canary-environment-v4lue"), "the image has what must not be kept");
    Some((child.id(), bytes))
}

#[test]
#[allow(clippy::print_stderr, reason = "nothing is skipped in silence")]
fn of_another_programs_image_stacks_are_kept_that_can_be_walked_and_not_read() {
    let dir = scratch("cores");
    let (root, state, out) = (dir.join("root"), dir.join("state"), dir.join("out"));
    for dir in [&root, &out, &dir.join("run")] {
        fs::create_dir_all(dir).unwrap();
    }
    let Some((pid, image)) = image(&dir.join("run")) else {
        return eprintln!("NOT CHECKED: another program takes memory images on this machine");
    };
    let (root_word, pid) = (root.to_str().unwrap().to_owned(), pid.to_string());
    let take = |name: &[&str]| {
        let words = ["core-dump", "--root", &root_word, &pid, "11", "1795300000", "--"];
        let mut child = agent(&[&words, name].concat()).stdin(Stdio::piped()).spawn().unwrap();
        // It reads no further than it needs.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &image);
        child.wait().unwrap()
    };
    assert_eq!(take(&["sle ep", "--root", "/tmp"]).code(), Some(0));
    let (_, path) = made(&crash(&root, &state, &out));
    let all = entries(&path);
    let dump = format!("crash/cores/1795300000-{pid}-sle.ep...root...dmp");
    let (reason, memory) = examined(entry(&all, &dump), "sleep");
    assert!(reason.starts_with("SIGSEGV"), "{reason}");
    assert!((64..=32 * 1024).contains(&memory), "{memory} bytes of the stack");
    for (name, bytes) in &all {
        assert!(!holds(bytes, "canary-"), "{name}");
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(take(&[name]).code(), Some(0));
    }
    assert_eq!(take(&["sleep"]).code(), Some(6), "no more than some an hour");
}

#[test]
fn the_kernels_line_for_images_is_taken_and_given_back() {
    let dir = scratch("pattern");
    let path = dir.join("proc/sys/kernel/core_pattern");
    write(path.clone(), "/var/cores/%e.%p\n");
    let cores = |words: &[&str]| {
        let all =
            [&["report", "cores"], words, &["--root", dir.to_str().unwrap(), "--json"]].concat();
        let ran = agent(&all).output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let (code, said) = cores(&["on", "--only", "smbd"]);
    assert!(code == Some(0) && said.contains("\"on\":true") && said.contains("smbd"), "{said}");
    let line = fs::read_to_string(&path).unwrap();
    assert!(line.starts_with('|') && line.contains(" core-dump %P "), "{line}");
    assert_eq!(cores(&["off"]).0, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "/var/cores/%e.%p\n");
    write(path.clone(), "|/usr/lib/systemd/systemd-coredump %P\n");
    assert_eq!(cores(&["on"]).0, Some(1), "another program takes them");
    assert!(fs::read_to_string(&path).unwrap().starts_with("|/usr/lib/systemd/"));
}

#[test]
fn of_packets_the_heads_are_kept_and_nothing_that_was_said() {
    let dir = scratch("packets");
    // All but what the network carried.
    let words = ["system", "storage", "network", "services", "cloud", "logs", "image"];
    let exclude: Vec<String> = words.iter().map(|word| format!("--exclude '{word}/*'")).collect();
    let (program, dir_word) = (env!("CARGO_BIN_EXE_qcloud-agent"), dir.display());
    let line = format!(
        "ip link set lo up; (while :; do echo canary-said > /dev/udp/127.0.0.1/9; sleep 0.05; done) & \
         {program} report --crash --yes --pcap lo:1:100000 {} --exclude 'crash/*.txt' --state {dir_word} \
         --out {dir_word} --json; code=$?; kill $!; exit $code",
        exclude.join(" "),
    );
    let ran = Command::new("unshare").args(["-n", "bash", "-c", &line]).output().unwrap();
    let (_, path) = made(&ran);
    let all = entries(&path);
    let packets = entry(&all, "crash/network/packets.pcapng");
    assert!(packets.len() <= 100_000 && !holds(packets, "canary-said"));
    let file = dir.join("packets.pcapng");
    fs::write(&file, packets).unwrap();
    let read = Command::new("tcpdump").arg("-nr").arg(&file).output().unwrap();
    let lines = String::from_utf8_lossy(&read.stdout).into_owned();
    let seen = lines.lines().filter(|line| line.contains("> 127.0.0.1.9: UDP, length 12"));
    assert!(seen.count() >= 4, "{lines}{}", String::from_utf8_lossy(&read.stderr));
    let refused = agent(&["report", "--pcap", "lo:1:1000"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "only with --crash");
}
