//! A tree of files with secrets in it, random by a seed, and with what must stay.

use std::fmt::Write as _;
use std::path::Path;

/// A small generator (xorshift64*): the same seed, the same tree.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn text(&mut self, letters: &str, length: usize) -> String {
        let letters = letters.as_bytes();
        let count = u64::try_from(letters.len()).unwrap();
        let pick = |n: u64| char::from(letters[usize::try_from(n % count).unwrap()]);
        (0..length).map(|_| pick(self.next() >> 8)).collect()
    }
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";

/// What a placeholder stands for.
fn secret(kind: char, random: &mut Random) -> String {
    match kind {
        // A password people choose: a word, a number, a sign.
        'p' => format!(
            "{}{}{}",
            random.text("BDFGKLMN", 1),
            random.text("aeioubdklmnrst", 7),
            random.text("0123456789", 2)
        ),
        // One a generator made.
        'g' => format!("{}7x", random.text(ALNUM, 12)),
        // With signs.
        's' => format!("{}!{}3%q", random.text("ABCDEFGH", 2), random.text("abcdefgh", 5)),
        'h' => random.text(HEX, 64),
        'b' => format!("{}=", random.text(ALNUM, 43)),
        'a' => format!("AKIA{}", random.text("ABCDEFGHIJKLMNOP234567", 16)),
        'k' => random.text(ALNUM, 40),
        'j' => {
            format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", random.text(ALNUM, 30), random.text(ALNUM, 43))
        }
        'n' => random.text("0123456789ABCDEF", 32),
        'c' => {
            let four = |random: &mut Random| random.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 4);
            format!(
                "{}-{}-{}-{}-{}",
                four(random),
                four(random),
                four(random),
                four(random),
                random.text("0123456789ABCDEFG", 3)
            )
        }
        other => panic!("no kind {other}"),
    }
}

/// Files and their lines; `{p}` and the like are secrets.
const FILES: &[(&str, &str)] = &[
    (
        "/etc/shadow",
        "root:$6$ab12cd34${k}:19000:0:99999:7:::\nanna:$y$j9T$abcdefgh${k}:19100:0:99999:7:::\n",
    ),
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000:Anna:/home/anna:/bin/bash\nnasadmin:x:500:500::/:/bin/sh\n",
    ),
    ("/etc/samba/smbpasswd", "anna:1000:{n}:{n}:[U          ]:LCT-5F000000:\n"),
    (
        "/etc/samba/smb.conf",
        "[global]\n workgroup = WORKGROUP\n ldap admin dn = cn=admin\n preexec = curl -u anna:{s} http://x/\n",
    ),
    ("/etc/wpa_supplicant.conf", "network={\n ssid=\"home\"\n psk=\"{p}\"\n}\n"),
    (
        "/etc/network/interfaces",
        "auto wlan0\niface wlan0 inet dhcp\n wpa-ssid home\n wpa-psk {g}\n",
    ),
    (
        "/etc/snmp/snmpd.conf",
        "rocommunity {g} 10.0.0.0/8\ncreateUser anna SHA {p} AES {p}x\nsyslocation cellar\n",
    ),
    ("/etc/ppp/chap-secrets", "anna * {s} *\n"),
    ("/etc/rsyncd.secrets", "anna:{p}\n"),
    (
        "/etc/fstab",
        "UUID=6f1a2c3d-4e5f-6789-abcd-ef0123456789 / ext4 defaults 0 1\n//nas/share /mnt cifs username=anna,password={s},uid=1000 0 0\n",
    ),
    ("/etc/nslcd.conf", "uri ldap://ldap.example.net\nbinddn cn=nas\nbindpw {s}\n"),
    ("/etc/ldap/ldap.conf", "BASE dc=example\nBINDPW {g}\n"),
    ("/etc/crontab", "0 3 * * * root /usr/bin/curl -u backup:{p} https://b.example.net/run\n"),
    (
        "/etc/systemd/system/app.service",
        "[Service]\nEnvironment=\"DB_PASSWORD={s}\"\nExecStart=/opt/app --token {g}\n",
    ),
    ("/etc/default/app", "APP_SECRET_KEY={k}\nAPP_PORT=8080\n"),
    ("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet luks.key={g} rd.password={p}\n"),
    ("/proc/101/cmdline", "/usr/bin/mysqld\0--user=mysql\0--password={p}\0"),
    ("/proc/101/environ", "HOME=/root\0API_TOKEN={g}\0LANG=C\0"),
    (
        "/proc/101/status",
        "Name:\tmysqld\nState:\tS (sleeping)\nPPid:\t1\nUid:\t27\t27\t27\t27\nThreads:\t3\nVmRSS:\t  1234 kB\n",
    ),
    (
        "/root/.bash_history",
        "mysql -u root -p{p} nas\nexport AWS_SECRET_ACCESS_KEY={k}\nsshpass -p {g} ssh anna@b\n",
    ),
    ("/root/.netrc", "machine ftp.example.net login anna password {s}\n"),
    ("/etc/postfix/sasl_passwd", "[smtp.example.net]:587 anna:{g}\n"),
    ("/etc/postfix/main.cf", "myhostname = nas\nrelayhost = [smtp.example.net]:587\n"),
    (
        "/etc/wireguard/wg0.conf",
        "[Interface]\nPrivateKey = {b}\n[Peer]\nPublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\nPresharedKey = {b}\n",
    ),
    (
        "/etc/ssl/private/key.pem",
        "-----BEGIN PRIVATE KEY-----\n{k}{k}\n{k}\n-----END PRIVATE KEY-----\n",
    ),
    (
        "/etc/nginx/nginx.conf",
        "http {\n proxy_set_header Authorization \"Basic {k}\";\n server_name nas.example.net;\n}\n",
    ),
    (
        "/etc/docker/daemon.json",
        "{\"proxies\": {\"https\": \"http://anna:{p}@proxy.example.net:3128\"}}\n",
    ),
    (
        "/etc/config/uLinux.conf",
        "[System]\nModel = TS-453D\nDDNS Password = {s}\n[SMTP]\nUser = anna\nPassword = {p}\n",
    ),
    (
        "/etc/mdadm/mdadm.conf",
        "ARRAY /dev/md0 UUID=1f2e3d4c:5b6a7988:11223344:55667788\nMAILADDR root\n",
    ),
    (
        "/etc/iscsi/initiatorname.iscsi",
        "InitiatorName=iqn.2004-04.com.qnap:ts-453d:iscsi.data.f1e2d3\n",
    ),
    (
        "/var/log/syslog",
        "Nov 22 10:00:01 nas app[1]: connecting with password={s}\n\
        Nov 22 10:00:02 nas app[1]: GET /api?sid={g}&page=2 HTTP/1.1\n\
        Nov 22 10:00:03 nas curl: Authorization: Bearer {j}\n\
        Nov 22 10:00:04 nas app: Cookie: NAS_SID={g}; lang=de\n\
        Nov 22 10:00:05 nas helpdesk: the password for the share is {p} now\n\
        Nov 22 10:00:06 nas backup: s3 key {a} refused\n\
        Nov 22 10:00:07 nas git: https://anna:{s}@git.example.net/x.git\n\
        Nov 22 10:00:08 nas app: {\"user\":\"anna\",\"token\":\"{g}\",\"ok\":true}\n\
        Nov 22 10:00:09 nas bot: posting as 123456789:AA{k}\n\
        Nov 22 10:00:10 nas cloud: armed with {c}\n\
        Nov 22 10:00:11 nas sudo: anna : COMMAND=/usr/bin/smbclient //b/s -U anna%{p}\n\
        Nov 22 10:00:12 nas ldap: ldapsearch -x -D cn=admin -w {g} -b dc=example\n\
        Nov 22 10:00:13 nas gh: using ghp_{k}\n\
        Nov 22 10:00:14 nas kernel: md9: active raid1 sda1 sdb1\n\
        Nov 22 10:00:15 nas app: dump {h}\n\
        Nov 22 10:00:16 nas php: <password>{s}</password>\n\
        Nov 22 10:00:17 nas kernel: Out of memory: Killed process 4321 (app) total-vm:1kB\n\
        Nov 22 10:00:18 nas mail: login anna passwd \"{p} and more\" failed\n",
    ),
    (
        "/var/log/auth.log",
        "Nov 22 10:00:01 nas sshd[1]: Failed password for nasadmin from 10.0.0.9 port 22 ssh2\n\
        Nov 22 10:00:02 nas sshd[1]: Accepted publickey for anna from 10.0.0.9 port 22 ssh2: ED25519 SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n",
    ),
    (
        "/var/log/samba/log.smbd",
        "check_ntlm_password: Authentication for user [anna] succeeded\nnt hash {n}:{n}\n",
    ),
    (
        "/var/log/nginx/access.log",
        "10.0.0.9 - anna [22/Nov/2026] \"GET /dl?token={g}&user=anna HTTP/1.1\" 200\n",
    ),
];

/// What must be found in a report of the tree.
pub const KEEPERS: &[&str] = &[
    "UUID=6f1a2c3d-4e5f-6789-abcd-ef0123456789",
    "UUID=1f2e3d4c:5b6a7988:11223344:55667788",
    "iqn.2004-04.com.qnap:ts-453d:iscsi.data.f1e2d3",
    "Failed password for nasadmin from 10.0.0.9",
    "Accepted publickey for anna from 10.0.0.9",
    "SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "Authentication for user [anna] succeeded",
    "user anna uid=1000",
    "scheme=sha512crypt",
    "syslocation cellar",
    "md9: active raid1 sda1 sdb1",
    "Out of memory: Killed process 4321",
    "\"user\":\"anna\"",
    "relayhost = [smtp.example.net]:587",
    "APP_PORT=8080",
    "Model = TS-453D",
    "server_name nas.example.net",
    "root=/dev/sda1",
    "binddn cn=nas",
    "workgroup = WORKGROUP",
];

/// Lays the tree out, and gives the secrets that are in it.
pub fn lay(root: &Path, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut secrets = Vec::new();
    for (path, template) in FILES {
        let mut text = String::new();
        let mut rest = *template;
        while let Some(at) = placeholder(rest) {
            let secret = secret(rest[at + 1..].chars().next().unwrap(), &mut random);
            write!(text, "{}{secret}", &rest[..at]).unwrap();
            secrets.push(secret);
            rest = &rest[at + 3..];
        }
        text.push_str(rest);
        let to = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        if *path == "/var/log/syslog" {
            // Bytes that are no text, and a line without an end.
            let mut bytes = b"\xff\x00 not text \xfe\n".to_vec();
            bytes.extend_from_slice(text.as_bytes());
            std::fs::write(&to, bytes).unwrap();
        } else {
            std::fs::write(&to, text).unwrap();
        }
    }
    secrets
}

/// Where the next `{x}` begins.
fn placeholder(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is = |w: &[u8]| w[0] == b'{' && w[1].is_ascii_lowercase() && w[2] == b'}';
    bytes.windows(3).position(is)
}
