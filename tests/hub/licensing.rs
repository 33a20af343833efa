//! Licenses from the issuer's key to a box and back, through the real hub: its commands, its API and its pages.

use super::browser::{Browser, EMAIL, PASSWORD, Page, hub};
use super::sharing::{database, owned};
use super::support::{Device, Hub};
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::system_wall;
use qcloud_agent::hub::api::ROUTES as API;
use qcloud_agent::hub::license::root::Root;
use qcloud_agent::hub::store::classes::CLASSES;
use qcloud_agent::wire::license::{
    Entitlement, Facts, Kind, Lease, LicenseId, Model, Release, Request, Revocations, Sealed,
    SignedTime, Trust, Wanted, jws,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;

pub const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The issuer, on a machine of its own.
pub struct Issuer {
    pub root: Root,
}

impl Issuer {
    /// Makes the key, and has a hub sign in its name.
    pub fn of(hub: &Hub) -> Self {
        let path = hub.dir.with_extension("root.key");
        let issuer = Self { root: Root::make(&path).unwrap() };
        issuer.certify(hub, 365);
        hub.json(&["license", "product", "add", "app", "--name", "Backup"]);
        issuer
    }

    /// Has a hub make another key, and sign with it for so many days.
    pub fn certify(&self, hub: &Hub, days: u64) {
        let key = hub.json(&["license", "signer", "new"])["key"].as_str().unwrap().to_owned();
        let document = self.root.certify(&key, days, system_wall()).unwrap();
        let path = file(hub, "crt", &document);
        hub.json(&["license", "signer", "install", &path, "--root", &self.root.public()]);
    }

    pub fn trust(&self, documents: &[String]) -> Trust {
        let mut trust = Trust::pinned([jws::public_key(&self.root.public()).unwrap()]);
        trust.vouch_all(documents.iter().map(String::as_str));
        trust
    }

    fn lease(&self, documents: &[String]) -> (Entitlement, Lease) {
        let trust = self.trust(documents);
        let entitlement = one(documents, Kind::Entitlement);
        let lease = trust.open::<Lease>(&one(documents, Kind::Lease)).unwrap().claims;
        assert_eq!(lease.entitlement, jws::fingerprint(&entitlement));
        (trust.open(&entitlement).unwrap().claims, lease)
    }

    fn void(&self, documents: &[String]) -> Revocations {
        self.trust(documents).open(&one(documents, Kind::Revocations)).unwrap().claims
    }
}

pub fn one(documents: &[String], kind: Kind) -> String {
    let is = |text: &&String| Sealed::read(text).is_ok_and(|sealed| sealed.kind == kind);
    documents.iter().find(is).unwrap_or_else(|| panic!("no {kind:?}")).clone()
}

fn has(documents: &[String], kind: Kind) -> bool {
    documents.iter().any(|text| Sealed::read(text).is_ok_and(|sealed| sealed.kind == kind))
}

pub fn documents(answer: &Value) -> Vec<String> {
    let all = answer["documents"].as_array().unwrap_or_else(|| panic!("{answer}"));
    all.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub fn policy(hub: &Hub, name: &str, more: &[&str]) {
    hub.json(&[&["license", "policy", "add", "app", name, "--days", "365"], more].concat());
}

/// A license: its id, and its key.
pub fn issue(hub: &Hub, policy: &str, more: &[&str]) -> (String, String) {
    let made = hub.json(&[&["license", "issue", "app", policy, "--key"], more].concat());
    (made["license"].as_str().unwrap().into(), made["key"].as_str().unwrap().into())
}

pub fn facts(key: &[u8]) -> Facts {
    let macs = vec!["24:5E:BE:00:00:01".into()];
    Facts { key: key.to_vec(), serial: Some("Q205I01234".into()), macs }
}

pub fn activation(license: &str) -> Value {
    let bind = facts(&[0; 32]).bound([7; 16]);
    json!({
        "license": license, "salt": bind.salt, "serial": bind.serial, "macs": bind.macs,
        "firmware": "5.2.1", "ip": "192.0.2.7", "nonce": NONCE,
    })
}

pub fn key_of(device: &Device) -> Vec<u8> {
    device.spki()[12..].to_vec()
}

/// A box that never reaches the hub.
struct Lonely(Ed25519KeyPair);

impl Lonely {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn request(&self, license: Option<&str>) -> String {
        let public = self.0.public_key().as_ref();
        let request = Request {
            v: 1,
            license: license.map(|text| Wanted::new(text.into())),
            bind: facts(public).bound([7; 16]),
            firmware: "5.2.1".into(),
            nonce: NONCE.into(),
            iat: system_wall_seconds(),
        };
        jws::sign_own(&request, &self.0, public)
    }

    fn receipt(&self, lease: &Lease) -> String {
        let release = Release {
            v: 1,
            lid: lease.lid.clone(),
            seat: lease.seat,
            seq: lease.seq,
            nonce: NONCE.into(),
            iat: system_wall_seconds(),
        };
        jws::sign_own(&release, &self.0, self.0.public_key().as_ref())
    }
}

fn system_wall_seconds() -> qcloud_agent::clock::Wall {
    qcloud_agent::clock::Wall::from_unix_seconds(system_wall().unix_seconds())
}

/// A file beside the hub.
pub fn file(hub: &Hub, name: &str, text: &str) -> String {
    let path = hub.dir.with_extension(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

fn lines(text: &str) -> Vec<String> {
    let all = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    all.map(String::from).collect()
}

#[tokio::test]
async fn a_box_activates_renews_and_gives_its_seat_back() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let (status, answer) = device.post(&hub, "/v1/license/activate", &activation("nothing")).await;
    assert_eq!((status, answer["code"].as_str()), (404, Some("license-unknown")));
    let issuer = Issuer::of(&hub);
    policy(&hub, "year", &["--seats", "2", "--feature", "tier=pro"]);
    let (lid, key) = issue(&hub, "year", &[]);
    let (status, answer) = device.post(&hub, "/v1/license/activate", &activation(&key)).await;
    assert_eq!(status, 200, "{answer}");
    let given = documents(&answer);
    let (entitlement, lease) = issuer.lease(&given);
    assert_eq!((entitlement.lid.as_str(), entitlement.seats), (lid.as_str(), 2));
    assert_eq!((entitlement.model, entitlement.holder.as_str()), (Model::Device, ""));
    assert_eq!(entitlement.features["tier"], "pro");
    assert!(lease.bind.fits(&facts(&key_of(&device))) && !lease.offline && lease.seat == 1);
    let week = 7 * 24 * 3600;
    let next = lease.next.unix_seconds() - lease.iat.unix_seconds();
    assert!((week * 8 / 10..=week * 12 / 10).contains(&next), "{next}");
    assert_eq!(lease.exp.unix_seconds() - lease.iat.unix_seconds(), 30 * 24 * 3600);
    let time: SignedTime = issuer.trust(&given).open(&one(&given, Kind::Time)).unwrap().claims;
    assert_eq!(time.nonce, NONCE);
    let renewal = json!({"lid": lid, "seq": lease.seq, "nonce": NONCE});
    let (status, answer) = device.post(&hub, "/v1/license/renew", &renewal).await;
    assert_eq!(status, 200, "{answer}");
    let (_, second) = issuer.lease(&documents(&answer));
    assert_eq!((second.seat, second.seq), (1, lease.seq + 1));
    assert_eq!(second.bind, lease.bind, "what it said once holds");
    let shown = hub.json(&["license", "show", &lid]);
    assert_eq!((&shown["taken"][0]["seat"], &shown["taken"][0]["ip"]), (&json!(1), &Value::Null));
    // Its signature, and of the last lease, gives the seat back; another box's does not.
    let other = Lonely::new(9);
    let forged = json!({ "receipt": other.receipt(&second) });
    let (status, answer) = device.post(&hub, "/v1/license/release", &forged).await;
    assert_eq!((status, &answer["freed"]), (200, &json!(false)));
    let (status, answer) = device.post(&hub, "/v1/license/forget", &json!({"nonce": "n"})).await;
    assert_eq!(status, 200, "{answer}");
    let receipt = answer["receipt"].as_str().unwrap().split('.').nth(1).unwrap();
    let receipt: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(receipt.as_bytes()).unwrap()).unwrap();
    assert_eq!(receipt["rows"], json!({"license_seat": 1}));
    let (status, answer) = device.post(&hub, "/v1/license/renew", &renewal).await;
    assert_eq!((status, answer["code"].as_str()), (410, Some("license-released")));
}

/// Guard: `license-bound-key`, for what is brought in a file.
#[tokio::test]
async fn what_a_device_lies_about_is_refused() {
    let hub = Hub::start();
    let _issuer = Issuer::of(&hub);
    policy(&hub, "year", &["--firmware", "5.3"]);
    let (lid, key) = issue(&hub, "year", &[]);
    let device = Device::registered(&hub, "box").await;
    let with = |change: fn(&mut Value)| {
        let mut body = activation(&key);
        change(&mut body);
        body
    };
    for (what, body, status) in [
        ("an old firmware", with(|_| {}), 409),
        ("no firmware", with(|b| b["firmware"] = "".into()), 409),
        ("a salt that is none", with(|b| b["salt"] = "x".into()), 400),
        ("a nonce that is none", with(|b| b["nonce"] = "x".into()), 400),
        ("cards in no order", with(|b| b["macs"] = json!(["b".repeat(43), "a".repeat(43)])), 400),
        ("too many cards", with(|b| b["macs"] = json!(vec!["a".repeat(43); 17])), 400),
        ("a firmware without end", with(|b| b["firmware"] = "9".repeat(200).into()), 400),
        ("a field that nobody declared", with(|b| b["card_number"] = "4111".into()), 400),
    ] {
        let (got, answer) = device.post(&hub, "/v1/license/activate", &body).await;
        assert_eq!(got, status, "{what}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
    }
    let renewal = json!({"lid": lid, "seq": 1, "nonce": NONCE});
    let (status, answer) = device.post(&hub, "/v1/license/renew", &renewal).await;
    assert_eq!((status, answer["code"].as_str()), (410, Some("license-released")));
    let (status, _) = device.post(&hub, "/v1/license/revoked", &json!({"prefix": "%%"})).await;
    assert_eq!(status, 400);
    // The attack: a lease on a key of somebody else's, asked for with one's own.
    let lonely = Lonely::new(1);
    let public = lonely.0.public_key().as_ref();
    let mut request = jws::open_own::<Request>(&lonely.request(Some(&key))).unwrap().0;
    (request.bind, request.firmware) = (facts(&[8; 32]).bound([7; 16]), "9".into());
    let path = file(&hub, "lie", &jws::sign_own(&request, &lonely.0, public));
    assert!(!hub.command(&["license", "request", "answer", &path]).status.success());
    let cut = file(&hub, "cut", &lonely.request(Some(&key))[..200]);
    assert!(!hub.command(&["license", "request", "answer", &cut]).status.success());
    assert_eq!(hub.json(&["license", "show", &lid])["taken"], json!([]), "nobody sits there");
}

/// Sends the form of a file as a browser does.
async fn brings(browser: &mut Browser, license: &str, text: &str) -> Page {
    let mark = browser.get("/licenses").await.mark();
    let part = |name: &str, more: &str, text: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{text}\r\n")
    };
    let file = "; filename=\"x.qclreq\"\r\nContent-Type: application/octet-stream";
    let body = [part("mark", "", &mark), part("license", "", license), part("file", file, text)];
    let pairs = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
    let request = browser
        .client
        .post(format!("{}/licenses/file", browser.url))
        .header("origin", browser.url.clone())
        .header("cookie", pairs.collect::<Vec<_>>().join("; "))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(format!("{}--x--\r\n", body.concat()));
    let response = request.send().await.unwrap();
    let headers = response.headers().clone();
    let to = headers.get("location").map(|to| to.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    Page { status, to, headers, text: response.text().await.unwrap() }
}

#[tokio::test]
async fn a_second_lease_by_file_needs_the_receipt_of_the_first() {
    let hub = hub();
    let issuer = Issuer::of(&hub);
    policy(&hub, "year", &[]);
    let mut anna = Browser::of(&hub, EMAIL).await;
    let (lid, key) = issue(&hub, "year", &["--holder", EMAIL]);
    let (first, second) = (Lonely::new(1), Lonely::new(2));
    let page = brings(&mut anna, "", &first.request(None)).await;
    assert_eq!(page.status, 422, "it does not say which");
    let page = brings(&mut anna, &lid, &first.request(None)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let name = page.headers["content-disposition"].to_str().unwrap();
    assert_eq!(name, format!("attachment; filename=\"license-{lid}.qcl\""));
    let (entitlement, lease) = issuer.lease(&lines(&page.text));
    assert!(lease.offline && !entitlement.holder.is_empty());
    assert!(lease.bind.fits(&facts(first.0.public_key().as_ref())));
    let page = brings(&mut anna, &lid, &first.request(None)).await;
    assert_eq!(page.status, 200, "its own seat it may renew");
    let (_, lease_again) = issuer.lease(&lines(&page.text));
    for wanted in [None, Some(key.as_str())] {
        let page = brings(&mut anna, &lid, &second.request(wanted)).await;
        assert_eq!(page.status, 409, "without a receipt");
        assert!(page.text.contains("release receipt"), "{}", page.text);
    }
    let page = brings(&mut anna, "", &first.receipt(&lease)).await;
    assert_eq!(page.status, 409, "the receipt of the lease before");
    // The attack: another box signs that it gives the seat back.
    let page = brings(&mut anna, "", &second.receipt(&lease_again)).await;
    assert_eq!(page.to.as_deref(), Some("/licenses?done=already"));
    assert_eq!(brings(&mut anna, &lid, &second.request(None)).await.status, 409);
    let page = brings(&mut anna, "", &first.receipt(&lease_again)).await;
    assert_eq!(page.to.as_deref(), Some("/licenses?done=freed"));
    let page = brings(&mut anna, &lid, &second.request(None)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let (_, granted) = issuer.lease(&lines(&page.text));
    assert!(granted.seq > lease_again.seq, "the first box takes none of it");
    // Somebody else has nothing of it.
    let mut ben = Browser::of(&hub, "ben@mail.example.org").await;
    assert_eq!(brings(&mut ben, &lid, &first.request(None)).await.status, 404);
    let page = ben.get("/licenses").await;
    assert!(!page.text.contains(&lid));
    let log = anna.get("/log?what=license_changed").await;
    assert!(log.text.contains("a seat was freed by a file"), "{}", log.text);
    let out = file(&hub, "x.qclreq", &second.request(None));
    let answer = hub.json(&["license", "request", "answer", &out, "--license", &lid]);
    assert!(answer["answer"].as_str().unwrap().contains(&lid), "an operator may as well");
}

#[tokio::test]
async fn a_license_is_given_away_by_a_key_that_works_once() {
    let hub = hub();
    let _issuer = Issuer::of(&hub);
    policy(&hub, "year", &[]);
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut ben = Browser::of(&hub, "ben@mail.example.org").await;
    let (lid, _) = issue(&hub, "year", &["--holder", EMAIL]);
    let (mark, bens) = (anna.get("/licenses").await.mark(), ben.get("/licenses").await.mark());
    let page = ben.post("/licenses/give", &[("mark", &bens), ("license", &lid)]).await;
    assert_eq!(page.status, 404, "it is not his");
    let page = anna.post("/licenses/give", &[("mark", &mark), ("license", &lid)]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let key = page.text.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let page = ben.post("/licenses/add", &[("mark", &bens), ("key", "AAAAA")]).await;
    assert_eq!(page.status, 422);
    let page = ben.post("/licenses/add", &[("mark", &bens), ("key", &key.to_lowercase())]).await;
    assert_eq!(page.to.as_deref(), Some("/licenses?done=added"));
    assert!(ben.get("/licenses").await.text.contains(&lid));
    assert!(!anna.get("/licenses").await.text.contains(&lid));
    let page = anna.post("/licenses/add", &[("mark", &mark), ("key", &key)]).await;
    assert_eq!(page.status, 422, "it was used up");
    hub.json(&["license", "transfer", &lid, EMAIL]);
    assert!(anna.get("/licenses").await.text.contains(&lid));
    let acts = hub.json(&["audit", "list"])["audit"].to_string();
    assert!(acts.contains("license transfer") && acts.contains("license issue"), "{acts}");
}

/// Guard: `license-void-told`.
///
/// The attack: the box asks as if nothing had happened, and then as nobody.
#[tokio::test]
async fn l11_a_revoked_license_ends_at_the_next_contact() {
    let hub = Hub::start();
    let issuer = Issuer::of(&hub);
    policy(&hub, "year", &[]);
    let (lid, key) = issue(&hub, "year", &[]);
    let device = Device::registered(&hub, "box").await;
    let (_, answer) = device.post(&hub, "/v1/license/activate", &activation(&key)).await;
    let before = issuer.void(&documents(&answer));
    assert!(before.lids.is_empty());
    hub.json(&["license", "revoke", &lid]);
    let id = LicenseId::parse(&lid).unwrap();
    let renewal = json!({"lid": lid, "seq": 1, "nonce": NONCE});
    let again = activation(&key);
    for (path, body) in [("/v1/license/renew", &renewal), ("/v1/license/activate", &again)] {
        let (status, answer) = device.post(&hub, path, body).await;
        assert_eq!(status, 200, "{answer}");
        let given = documents(&answer);
        assert!(!has(&given, Kind::Lease), "no lease any more");
        let void = issuer.void(&given);
        assert!(void.lids.contains(&id) && void.epoch > before.epoch);
    }
    let asked = json!({"prefix": id.prefix()});
    let (status, answer) = Device::new().post(&hub, "/v1/license/revoked", &asked).await;
    assert_eq!(status, 200, "{answer}");
    assert!(issuer.void(&documents(&answer)).lids.contains(&id), "nobody may ask as well");
}

/// Guard: `license-void`.
#[tokio::test]
async fn p3_an_account_that_is_deleted_leaves_its_licenses_void() {
    let hub = hub();
    let issuer = Issuer::of(&hub);
    policy(&hub, "year", &["--seats", "3"]);
    let mut anna = Browser::of(&hub, EMAIL).await;
    let (lid, _) = issue(&hub, "year", &["--holder", EMAIL]);
    owned(&hub, &mut anna, "box").await;
    assert_eq!(brings(&mut anna, &lid, &Lonely::new(1).request(None)).await.status, 200);
    let mark = anna.get("/account/delete").await.mark();
    let form = [("mark", &*mark), ("password", PASSWORD), ("address", EMAIL)];
    let page = anna.post("/account/delete", &form).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("random numbers of your licenses"), "what is kept is said");
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        database(&hub).query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    for table in
        ["license", "license_seat", "license_key", "license_log", "license_taken", "account"]
    {
        assert_eq!(rows(table), 0, "{table}");
    }
    let id = LicenseId::parse(&lid).unwrap();
    let asked = json!({"prefix": id.prefix()});
    let (_, answer) = Device::new().post(&hub, "/v1/license/revoked", &asked).await;
    assert!(issuer.void(&documents(&answer)).lids.contains(&id), "its boxes learn of it");
}

/// The attack: somebody adds a column, a field of a parcel or a field of a form for a payment.
#[test]
fn p1_nothing_here_takes_a_payment() {
    const PAYMENT: [&str; 14] = [
        "pan", "card", "cvv", "cvc", "iban", "bic", "payment", "price", "amount", "currency",
        "invoice", "billing", "bank", "paypal",
    ];
    let paid = |name: &str| {
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.find(|word| PAYMENT.contains(&word.to_ascii_lowercase().as_str())).map(String::from)
    };
    for (table, columns) in CLASSES {
        for name in columns.iter().map(|(name, _)| *name).chain([*table]) {
            assert_eq!(paid(name), None, "{table}.{name}");
        }
    }
    for route in API {
        for field in route.parcel.fields {
            assert_eq!(paid(field.path), None, "{}", route.parcel.id);
        }
    }
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/hub/pages");
    let (mut folders, mut fields) = (vec![source], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap();
            for name in text.split(" name=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert_eq!(paid(name), None, "{}", entry.display());
                fields += 1;
            }
        }
    }
    assert!(fields > 20, "{fields}");
    assert_eq!(paid("license_card_number").as_deref(), Some("card"), "one would be found");
}

/// Guard: `license-no-card`.
///
/// The attack: somebody types the number of a card where a name belongs.
#[test]
fn p2_no_number_of_a_card_is_kept() {
    let hub = Hub::start();
    let typed = ["license", "product", "add", "app", "--name", "4111 1111 1111 1111"];
    let output = hub.command(&typed);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("payment card"));
    assert_eq!(hub.json(&["license", "product", "list"]), json!({"products": []}));
}
