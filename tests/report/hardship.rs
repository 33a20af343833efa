//! A report on a box in trouble: always a whole one or a clear code, never a hang, a leak or a rest.

use super::{agent, entries, made, report, scratch};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const AGENT: &str = env!("CARGO_BIN_EXE_qcloud-agent");

fn place(name: &str) -> (PathBuf, PathBuf) {
    let dir = scratch(name);
    let (root, out) = (dir.join("root"), dir.join("out"));
    for dir in ["etc", "var/log"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::create_dir_all(&out).unwrap();
    fs::write(root.join("etc/os-release"), "NAME=\"Test\"\n").unwrap();
    (root, out)
}

/// Runs a line in a tree of mounts of its own.
fn apart(line: &str) -> Output {
    Command::new("unshare").args(["-m", "sh", "-c", line]).output().unwrap()
}

/// Whether every entry of the only report there is what its manifest says.
fn whole(out: &Path) {
    let all: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &*all else { panic!("{all:?}") };
    let viewed = agent(&["report", "view", file.to_str().unwrap()]).output().unwrap();
    assert!(viewed.status.success(), "{viewed:?}");
}

#[test]
fn a_place_that_cannot_be_written_to_is_told_and_nothing_else_is_tried() {
    let (root, out) = place("read-only");
    let line = format!(
        "mount -t tmpfs -o ro none {0} && exec {AGENT} report --root {1} --out {0}",
        out.display(),
        root.display()
    );
    let ran = apart(&line);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains(out.to_str().unwrap()) && said.contains("hint:"), "{said}");
}

#[test]
fn neither_a_full_tmp_nor_a_root_without_writing_nor_a_path_without_programs_matters() {
    let (root, out) = place("bare");
    fs::create_dir(out.join("x")).unwrap();
    let bin = Path::new(AGENT).parent().unwrap();
    let line = format!(
        "mount --bind {bin} /media && mount --bind {out} /mnt
         mount --bind {root} /srv && mount -o remount,bind,ro /srv
         mount -t tmpfs -o size=16k none /tmp && (cat /dev/zero > /tmp/full; true) 2>/dev/null
         mount -t tmpfs none /usr/sbin && mount -t tmpfs none /usr/bin
         exec /media/qcloud-agent report --root /srv --out /mnt/x",
        bin = bin.display(),
        out = out.display(),
        root = root.display(),
    );
    let ran = apart(&line);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    whole(&out.join("x"));
}

#[test]
fn a_disk_that_fills_up_meanwhile_ends_it_and_nothing_stays() {
    let (root, out) = place("filled");
    let log: String = (0..40_000).map(|n| format!("Nov 20 kernel: line {}\n", n * 7919)).collect();
    for name in ["syslog", "messages", "kern.log"] {
        fs::write(root.join("var/log").join(name), &log).unwrap();
    }
    // Another writer takes the rest as soon as the report has begun.
    let line = format!(
        "mount -t tmpfs -o size=40m none {out} && mkfifo {out}/../said
         {AGENT} report --root {root} --out {out} --json 2>{out}/../said &
         exec 3<{out}/../said; read line <&3
         (cat /dev/zero > {out}/other; true) 2>/dev/null
         cat <&3 >/dev/null
         wait $!; code=$?; ls -A {out}; exit $code",
        out = out.display(),
        root = root.display(),
    );
    let ran = apart(&line);
    assert_eq!(ran.status.code(), Some(5), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.trim_end().ends_with("\nother"), "{said}");
}

#[test]
fn a_program_that_never_ends_holds_it_up_for_its_own_time_only_and_dies_with_what_it_began() {
    let (_, out) = place("hung");
    let sbin = out.with_file_name("sbin");
    fs::create_dir_all(&sbin).unwrap();
    let stubborn =
        "#!/bin/sh\ntrap '' TERM INT HUP\nsh -c 'trap \"\" TERM; sleep 7171' &\nsleep 7171\n";
    fs::write(sbin.join("get_hwsn"), stubborn).unwrap();
    fs::set_permissions(sbin.join("get_hwsn"), fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!(
        "mount -t tmpfs none /etc && mkdir /etc/config && echo '[System]' > /etc/config/uLinux.conf
         mount --bind {sbin} /usr/sbin
         exec {AGENT} report --out {out} --state {out}/none --exclude 'logs/*'",
        sbin = sbin.display(),
        out = out.display(),
    );
    let begun = Instant::now();
    let ran = apart(&line);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    whole(&out);
    let left = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(!left.lines().any(|line| line == "sleep 7171"), "{left}");
}

#[test]
fn a_link_that_is_swapped_in_while_it_is_read_leads_nowhere() {
    let (root, out) = place("swapped");
    fs::write(root.join("etc/shadow"), "canary-of-shadow:!:19000:::::\n").unwrap();
    fs::write(root.join("etc/token"), "canary-of-a-token\n").unwrap();
    let (log, spare) = (root.join("var/log/syslog"), root.join("var/log/.spare"));
    fs::write(&log, "Nov 20 nas: fine\n").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each of these takes the log's place in one step, so that there always is one.
            while !over.load(Ordering::Relaxed) {
                for target in ["../../etc/shadow", "/etc/token", "../../etc/token"] {
                    symlink(target, &spare).unwrap();
                    fs::rename(&spare, &log).unwrap();
                    fs::write(&spare, "Nov 20 nas: fine\n").unwrap();
                    fs::rename(&spare, &log).unwrap();
                }
            }
        });
        for number in 0..6 {
            let out = out.join(number.to_string());
            fs::create_dir(&out).unwrap();
            let (_, path) = made(&report(&root, &out));
            for (name, bytes) in entries(&path) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                assert!(!text.contains("canary-of"), "{name}: {text}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn devices_and_odd_names_in_a_log_directory_are_no_files() {
    let (root, out) = place("odd");
    let logs = root.join("var/log");
    let zero = mknod(&logs.join("syslog"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5));
    assert!(zero.is_ok(), "this test is for root");
    mknod(&logs.join("messages"), SFlag::S_IFBLK, Mode::S_IRWXU, makedev(7, 0)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("kern.log")).unwrap();
    let odd = [
        "syslog.\n----- Product -----",
        "syslog.\u{1b}]0;x\u{7}",
        "syslog.\u{202e}gol",
        "syslog.-rf",
    ];
    for name in odd {
        fs::write(logs.join(name), "seen\n").unwrap();
    }
    let bad: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"syslog.\xff\xfe");
    fs::write(logs.join(bad), "seen\n").unwrap();
    let (_, path) = made(&report(&root, &out));
    let all = entries(&path);
    let text = |path: &str| {
        let (_, bytes) = all.iter().find(|(name, _)| name == path).unwrap();
        String::from_utf8_lossy(bytes).into_owned()
    };
    assert_eq!(text("logs/system.txt").matches("seen").count(), 5, "{}", text("logs/system.txt"));
    assert_eq!(
        text("report.txt").matches("\n----- Product -----").count(),
        1 - usize::from(text("report.txt").starts_with("----- Product")),
        "a name made a section"
    );
    assert!(all.iter().all(|(name, _)| name.chars().all(|c| c.is_ascii_graphic())));
}

#[test]
fn of_a_log_of_two_gigabytes_the_end_is_read_and_no_more() {
    let (root, out) = place("huge");
    let mut noise = vec![0; 4 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    for name in ["syslog", "messages"] {
        let mut log = File::create(root.join("var/log").join(name)).unwrap();
        log.set_len(2 << 30).unwrap();
        log.seek(SeekFrom::End(-(4 << 20))).unwrap();
        log.write_all(&noise).unwrap();
        log.write_all(format!("\nthe last line of {name}\n").as_bytes()).unwrap();
    }
    let ran = Command::new("/bin/sh")
        .args([
            "-c",
            &format!(
                "ulimit -v 400000; exec {AGENT} report --root {} --out {} --json",
                root.display(),
                out.display()
            ),
        ])
        .output()
        .unwrap();
    let (_, path) = made(&ran);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 8 << 20, "{size} bytes");
    let all = entries(&path);
    let (_, system) = all.iter().find(|(name, _)| name == "logs/system.txt").unwrap();
    let text = String::from_utf8_lossy(system);
    assert!(text.contains("the last line of syslog") && text.contains("the last line of messages"));
    let (_, manifest) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let entry = manifest["entries"].as_array().unwrap();
    let entry = entry.iter().find(|entry| entry["path"] == "logs/system.txt").unwrap();
    assert_eq!(entry["truncated"], "head", "{entry}");
}

#[test]
fn of_five_at_once_each_is_whole_or_says_busy() {
    let (root, out) = place("five");
    let mut all: Vec<_> = (0..5)
        .map(|_| {
            let args = ["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
            agent(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let codes: Vec<_> = all.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    // Two that end within one second would have one name.
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 1 | 3 | 6))), "{codes:?}");
    assert!(codes.iter().any(|code| matches!(code, Some(0 | 3))), "{codes:?}");
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        let viewed = agent(&["report", "view", path.to_str().unwrap()]).output().unwrap();
        assert!(viewed.status.success(), "{viewed:?}");
    }
}

#[test]
fn an_ordinary_user_gets_one_and_is_told_what_root_would_add() {
    let (root, out) = place("user");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(root.join("var/log/syslog"), "Nov 20 nas: fine\n").unwrap();
    fs::write(root.join("var/log/auth.log"), "Nov 20 nas: secret of root\n").unwrap();
    fs::set_permissions(root.join("var/log/auth.log"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", AGENT, "report"])
        .args(["--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("only root can read") && said.contains("hint: run it as root"), "{said}");
    whole(&out);
}

/// A stick as cameras and other machines write them. Where the kernel has no vfat, exFAT is mounted through FUSE;
/// where neither is to be had, [`super::refused`] stands for both.
#[test]
#[allow(clippy::print_stderr, reason = "what was not tested is said aloud")]
fn a_stick_without_permissions_takes_a_report_and_its_owner_is_told() {
    let (root, out) = place("stick");
    let image = out.with_file_name("image");
    File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let line = format!(
        "if mkfs.vfat {image} >/dev/null 2>&1 && mount -o loop -t vfat {image} {out} 2>/dev/null; then echo vfat
         elif mkfs.exfat {image} >/dev/null 2>&1 && loop=$(losetup -f --show {image} 2>/dev/null) \
             && mount.exfat-fuse $loop {out} >/dev/null 2>&1; then echo exfat
         else echo neither; exit 0; fi
         {AGENT} report --root {root} --out {out} --json 2>/dev/null; code=$?
         ls -A {out}; {AGENT} report view {out}/*.zip >/dev/null || code=view
         umount {out}; [ -z \"$loop\" ] || losetup -d $loop
         exit $code",
        image = image.display(),
        out = out.display(),
        root = root.display(),
    );
    let ran = apart(&line);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let mut lines = said.lines();
    let kind = lines.next().unwrap();
    if kind == "neither" {
        eprintln!("NOT TESTED HERE: a vfat or exFAT stick; this kernel mounts neither");
        return;
    }
    let result: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(result["open_to_others"], true, "{kind}: {result}");
    let names: Vec<&str> = lines.collect();
    assert!(names.len() == 1 && names[0].ends_with(".zip"), "{kind}: {names:?}");
}

#[test]
fn progress_begins_at_once() {
    let (root, out) = place("prompt");
    let args =
        ["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"];
    let begun = Instant::now();
    let mut child = agent(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(first.contains("progress"), "{first}");
    let _ = child.kill();
    child.wait().unwrap();
}

/// A box whose clock was never set, and one whose clock stands still: the report's own clock is one that a test made.
#[test]
fn a_clock_at_1970_gives_a_report_all_the_same() {
    use qcloud_agent::clock::{Boot, Clock, Now, Wall};
    use qcloud_agent::platform::facts::Facts;
    use qcloud_agent::platform::root::Root;
    use qcloud_agent::report::options::{Form, Options};
    use qcloud_agent::report::{Order, make};
    let (root, out) = place("1970");
    fs::write(root.join("var/log/syslog"), "Jan  1 00:00:07 nas: fine\n").unwrap();
    let root = Root::new(&root);
    let wall = Wall::from_unix_seconds(0);
    let now = Now { boot: Boot(Duration::from_secs(7)), wall, dice: 4 };
    for form in [Form::Zip, Form::TarAll] {
        let order = Order {
            root: &root,
            clock: &Clock::from_fn(move || now),
            agent: &Value::Null,
            dir: &out,
            name: None,
            facts: &Facts::read(&root),
            options: &Options { form, ..Options::default() },
        };
        let made = make(&order, &mut |_| {}).unwrap();
        assert!(made.path.display().to_string().contains("_19700101T000000Z."), "{made:?}");
        let listed = qcloud_agent::report::view::list(&made.path).unwrap();
        assert!(listed.iter().all(|entry| entry.verified != Some(false)), "{listed:?}");
    }
}
