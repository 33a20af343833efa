use super::dictionary::Dictionary;
use super::stream::Scrubbed;
use super::{Counts, Scrubber};
use std::io::Write;

fn scrubber(secrets: &[&str]) -> Scrubber {
    let mut dictionary = Dictionary::default();
    secrets.iter().for_each(|secret| dictionary.add(secret.as_bytes()));
    Scrubber::new(dictionary, &[7; 32])
}

fn scrubbed(line: &str) -> String {
    scrubber(&[]).text(line, &mut Counts::new())
}

/// A line of a log, a setting or a command with one secret, which is written `«secret»` here.
const SECRETS: &[&str] = &[
    "bindpw «Hm3!kfw9Lq»",
    "password=«Tr0ub4dor&3»",
    "PASSWORD = \"«with blank and \\\" quote»\"",
    "    \"smtp_password\": \"«p4ss,word»\",",
    "{\\\"token\\\": \\\"«abc123def»\\\"}",
    "wpa_passphrase=«correcthorse»",
    "wpa-psk «aeiou12345»",
    "rocommunity «netgear7» 10.0.0.0/8",
    "createUser: authpassword: «auth-pw-99»",
    "createUser anna SHA-256 «Lknblnkr42» AES",
    "com2sec local default «c0mmun»",
    "//nas/share /mnt cifs username=anna,password=«s3cr.t!»,uid=1000 0 0",
    "curl -s -u anna:«hunter2x» https://example.net/",
    "curl --user 'anna:«hunter 2»' https://example.net/",
    "mysqldump -u root -p«Wq8xx11» nas",
    "sshpass -p «geheim99» ssh root@10.0.0.1",
    "ldapsearch -x -D cn=admin -w «ldapPw1» -b dc=example",
    "smbclient //nas/share -U anna%«smb!pass»",
    "snmpwalk -v2c -c «c0mmun» 10.0.0.2",
    "requirepass «foobared1»",
    "GET /api?sid=«0a9s8d7f»&page=2 HTTP/1.1",
    "GET /dl?token=«qwe123rty»&user=anna HTTP/1.1",
    "rsync://anna:«rs:pw/1»@backup.example.net/m",
    "https://anna:«geheim»@example.net/path",
    "Authorization: «Basic YW5uYTpnZWhlaW0=»",
    "Authorization: «Bearer abc.def»",
    "Cookie: «NAS_SID=abc; other=1»",
    "\"Cookie\": \"«NAS_SID=abc»\"",
    "aws_access_key_id «AKIAIOSFODNN7EXAMPLE»",
    "the key is «ghp_abcdefghijklmnopqrstuvwxyz0123456789»",
    "root:«$6$saltsalt$abcdefghijklmnopqrstuvwxyz./0123456789»:19000:0:99999:7:::",
    "anna:1000:«AAD3B435B51404EEAAD3B435B51404EE:8846F7EAEE8FB117AD06BDD830B7586C»:[U          ]:",
    "userPassword: «{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=»",
    "note: the password for the share is «Sommer2026» now",
    "helpdesk wrote: new password: «N3u!pass»",
    "password of user anna was set to '«Blumen!7»'",
    "PrivateKey = «yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=»",
    "<password>«xmlpass»</password>",
    "<option name=\"password\" value=\"«optpass1»\"/>",
    "Environment=\"API_TOKEN=«tok_en-1234»\"",
    "smtp_sasl_password_maps=hash:/etc/postfix/sasl token=«AbC123xyz»",
    "bot 123456789:«» ",
    "sent to «123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw8» ok",
    "Cloud Key «7K2M-9QXT-4WVB-1NCD-8FG» armed",
    "session key dump 3q2+7w «Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZjEyMzQ1Njc4OTA»",
    "key0=«Zx81kdmQ0a7Yt5Lp»",
    "--api-key «K3y-v4lue»",
    "kennwort: «Käse99»",
    // A secret that ends as names of secrets do.
    "charon: loaded IKE secret for %any: «Rnlfaupw08»",
    "redis-cli -a «r3d1spw» info",
    "LC_PASSWORD='«it''s»'",
];

/// Lines of which nothing may be taken away.
const KEEPERS: &[&str] = &[
    "Failed password for invalid user admin from 10.0.0.1 port 22 ssh2",
    "Accepted password for nasadmin from 192.168.1.5 port 51022 ssh2",
    "password changed for root",
    "PasswordAuthentication no",
    "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    "key=volume_1 state=ready",
    "UUID=6f1a2c3d-4e5f-6789-abcd-ef0123456789 / ext4 defaults 0 1",
    "md9 : active raid1 sda1[0] sdb1[1]  UUID 1f2e3d4c:5b6a7988:11223344:55667788",
    "wwn-0x5000c500a1b2c3d4 -> ../../sda",
    "Serial Number: WD-WCC4E1234567",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4vZ1q2w3e4r5t6y7u8i9o0pASDFGHJKLZXCVBNMqw anna@laptop",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  file",
    "iqn.2004-04.com.qnap:ts-453d:iscsi.data.f1e2d3",
    "PublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    "/share/CACHEDEV1_DATA/.qpkg/QKVM/usr/lib/x86_64-linux-gnu/libspice-server.so.1",
    "kernel: EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.",
    "usb 1-1: New USB device found, idVendor=0781, idProduct=5583, bcdDevice= 1.00",
    "password expired for user anna",
    "tokens per second: 12",
    "systemd-ask-password-console.path: Deactivated successfully.",
    "Started Dispatch Password Requests to Console Directory Watch.",
    "PASS_MAX_DAYS 99999",
    "auth required pam_unix.so nullok",
    "session    optional     pam_motd.so",
    "anna",
    "net.ipv4.tcp_max_syn_backlog = 128",
    "NetworkManager[512]: <info> device (eth0): carrier: link connected",
    "mac 24:5e:be:11:22:33 dev eth0",
    "host_key_algorithms ssh-ed25519",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "git: HEAD is now at 9fceb02d0ae598e95dc970b74767f19372d61af8 fix token refresh",
];

#[test]
fn a_secret_is_found_by_what_stands_around_it() {
    let mut failed = Vec::new();
    for line in SECRETS {
        let (before, rest) = line.split_once('«').unwrap();
        let (secret, after) = rest.split_once('»').unwrap();
        if secret.is_empty() {
            continue;
        }
        let whole = format!("{before}{secret}{after}");
        let shown = scrubbed(&whole);
        if shown.contains(secret) || !shown.starts_with(before) {
            failed.push(format!("{whole}\n  -> {shown}"));
        }
        // Nothing of it, however it was cut.
        for part in secret.as_bytes().windows(6) {
            let part = String::from_utf8_lossy(part);
            if shown.contains(&*part) {
                failed.push(format!("`{part}` of {whole}\n  -> {shown}"));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), SECRETS.len(), failed.join("\n"));
}

#[test]
fn what_is_no_secret_stays() {
    let changed: Vec<_> = KEEPERS
        .iter()
        .map(|line| (line, scrubbed(line)))
        .filter(|(line, shown)| *line != shown)
        .map(|(line, shown)| format!("{line}\n  -> {shown}"))
        .collect();
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn a_known_secret_is_found_in_every_encoding_and_anywhere() {
    let secret = "Gr\u{fc}n&Wei\u{df}?77";
    let scrubber = scrubber(&[secret]);
    let base64 = data_encoding::BASE64.encode(format!("anna:{secret}!").as_bytes());
    let shifted = data_encoding::BASE64.encode(format!("ann:{secret}!").as_bytes());
    let hex = data_encoding::HEXLOWER.encode(secret.as_bytes());
    for text in [
        format!("we all know {secret}, don't we"),
        format!("x{secret}x"),
        format!("note {base64}"),
        format!("note {shifted}"),
        format!("note {hex}"),
        "note Gr%C3%BCn%26Wei%C3%9F%3F77 end".to_owned(),
    ] {
        let shown = scrubber.text(&text, &mut Counts::new());
        assert!(shown.contains("[redacted:"), "{text} -> {shown}");
        assert!(!shown.contains("Wei") && !shown.contains(&hex), "{text} -> {shown}");
    }
}

#[test]
fn short_and_common_words_are_no_entries_of_the_dictionary() {
    let scrubber = scrubber(&["admin", "password", "Public", "abc"]);
    let line = "the public share of admin has no password; abc";
    assert_eq!(scrubber.text(line, &mut Counts::new()), line);
}

#[test]
fn equal_secrets_have_equal_tags_and_others_have_others() {
    let scrubber = scrubber(&[]);
    let tag = |line: &str| {
        let shown = scrubber.text(line, &mut Counts::new());
        shown.split_once('#').unwrap().1[..3].to_owned()
    };
    assert_eq!(tag("password=hunter2x"), tag("passwd: hunter2x"));
    assert_ne!(tag("password=hunter2x"), tag("password=hunter3x"));
}

fn streamed(scrubber: &Scrubber, text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut stream = Scrubbed::new(scrubber, Vec::new());
    let (mut at, mut turn) = (0, 0);
    while at < text.len() {
        let size = sizes[turn % sizes.len()].min(text.len() - at);
        stream.write_all(&text[at..at + size]).unwrap();
        at += size;
        turn += 1;
    }
    stream.finish().unwrap().0
}

#[test]
fn a_private_key_is_gone_from_its_first_line_to_its_last() {
    let text = "before\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nxyz\n-----END OPENSSH PRIVATE KEY-----\nafter\n";
    let shown = streamed(&scrubber(&[]), text.as_bytes(), &[5]);
    let shown = String::from_utf8(shown).unwrap();
    assert!(!shown.contains("b3Blbn") && !shown.contains("xyz"), "{shown}");
    assert!(
        shown.starts_with("before\n-----BEGIN") && shown.ends_with("KEY-----\nafter\n"),
        "{shown}"
    );
    let public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    assert_eq!(streamed(&scrubber(&[]), public.as_bytes(), &[7]), public.as_bytes());
}

#[test]
fn it_is_the_same_in_whatever_pieces_it_comes() {
    let scrubber = scrubber(&["n33dle-in-hay"]);
    let mut text = Vec::new();
    for line in SECRETS {
        text.extend_from_slice(line.replace(['«', '»'], "").as_bytes());
        text.push(b'\n');
    }
    let whole = streamed(&scrubber, &text, &[text.len()]);
    for sizes in [&[1][..], &[3, 7], &[64], &[1000, 1]] {
        assert_eq!(streamed(&scrubber, &text, sizes), whole, "{sizes:?}");
    }
}

#[test]
fn a_secret_at_any_place_of_a_line_without_an_end_is_found() {
    let scrubber = scrubber(&["n33dle-in-hay"]);
    for at in (60_000..66_000).step_by(211).chain([0, 120_000, 130_990]) {
        let mut text = vec![b'.'; 131_072];
        for (place, secret) in [(at, &b" n33dle-in-hay "[..]), (at + 40, b" password=hunter2x ")] {
            if let Some(to) = text.get_mut(place..place + secret.len()) {
                to.copy_from_slice(secret);
            }
        }
        let shown = streamed(&scrubber, &text, &[4096]);
        for secret in [&b"33dle"[..], b"hunter2"] {
            assert!(!shown.windows(secret.len()).any(|part| part == secret), "at {at}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    let line: Vec<u8> = (0..=255).collect();
    let shown = streamed(&scrubber(&[]), &line, &[256]);
    assert_eq!(shown, line);
    let mixed = b"\xff\x00password=hunter2x\x00\xfe";
    let shown = streamed(&scrubber(&[]), mixed, &[4]);
    assert!(!shown.windows(6).any(|part| part == b"hunter"), "{shown:?}");
}
