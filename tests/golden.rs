//! Golden files: what people and programs have come to rely on, letter by letter.
//!
//! `BLESS=1 cargo test --test golden` rewrites them. A file of `wire/` is never rewritten once it was released:
//! a message that changes its shape gets a new file beside it, and both sides decode both.
#![allow(clippy::unwrap_used)]

use qcloud_agent::card::{Card, Exit};
use qcloud_agent::clock::Wall;
use qcloud_agent::egress::catalogue;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::ddns::{self, Update, Updated};
use qcloud_agent::wire::license;
use qcloud_agent::wire::link::{self, Hello, Origin, ToDevice, ToHub, Visitor};
use qcloud_agent::wire::lookup::Lookup;
use qcloud_agent::wire::privacy::{self, Page, Restrictable, Restrictions};
use qcloud_agent::wire::receipt::{self, AccountReceipt, Forgotten, Kept, Receipt};
use qcloud_agent::wire::registration::{self, Membership, Operator, Poll, Polled, Start, Started};
use qcloud_agent::wire::{ParcelBody, label::Label, signed};
use ring::signature::Ed25519KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Compares with the file, or rewrites it.
fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let actual = format!("{}\n", actual.trim_end());
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &actual).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == actual, "{name} differs; it would now be:\n{actual}\n(BLESS=1 rewrites it)");
}

#[test]
fn the_exit_codes_are_those_of_the_table() {
    let row = |exit: &Exit| format!("{:>3}  {}", exit.code(), serde_json::to_value(exit).unwrap());
    let rows: Vec<_> = Exit::ALL.iter().map(row).collect();
    check("exit-codes.txt", &rows.join("\n").replace('"', ""));
}

/// The help of a command and of all below it.
#[cfg(feature = "hub")]
fn help(command: &mut clap::Command, path: &str, texts: &mut Vec<String>) {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    texts.push(format!("$ {path} --help\n{}", command.render_long_help()));
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set()) {
        if sub.get_name() != "help" {
            help(sub, &path, texts);
        }
    }
}

#[cfg(feature = "hub")]
fn whole_help(command: clap::Command) -> String {
    let mut texts = Vec::new();
    let mut command = command.term_width(100);
    command.build();
    help(&mut command, "", &mut texts);
    texts.join("\n")
}

#[cfg(feature = "hub")]
#[test]
fn the_agents_help_is_what_it_was() {
    check("help-agent.txt", &whole_help(qcloud_agent::cli::tree::command(ALL)));
}

#[cfg(feature = "hub")]
#[test]
fn the_hubs_help_is_what_it_was() {
    check("help-hub.txt", &whole_help(qcloud_agent::hub::cli::tree()));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it is the program's own answer")]
fn the_catalogue_is_what_the_owner_read() {
    let text = std::process::Command::new(env!("CARGO_BIN_EXE_qcloud-agent"))
        .args(["egress", "catalog"])
        .output()
        .unwrap();
    assert!(text.status.success(), "{text:?}");
    check("catalogue.txt", &String::from_utf8(text.stdout).unwrap());
    let cards: Vec<&'static Card> = ALL.iter().map(|row| row.card).collect();
    let parcels: Vec<_> = catalogue::parcels(&cards).into_iter().map(catalogue::describe).collect();
    check("catalogue.json", &serde_json::to_string_pretty(&parcels).unwrap());
}

/// What a QTS box with three disks says of itself.
#[test]
#[allow(clippy::disallowed_methods, reason = "it is the program's own answer")]
fn the_facts_of_a_box_are_shown_with_their_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots/qts-3disk/root");
    let facts = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_qcloud-agent"));
        let output = command.args(["facts", "--root"]).arg(&root).args(more).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    check("facts.txt", &facts(&[]));
    let json: serde_json::Value = serde_json::from_str(&facts(&["--json"])).unwrap();
    check("facts.json", &serde_json::to_string_pretty(&json).unwrap());
}

/// One message: serialised as the file has it, and read from the file as what it is.
fn message<T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug>(name: &str, value: &T) {
    let name = format!("wire/{name}.json");
    check(&name, &serde_json::to_string_pretty(value).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&name);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{name}");
}

/// The body of a parcel.
fn body<T: ParcelBody + DeserializeOwned + PartialEq + core::fmt::Debug>() {
    message(T::PARCEL.id, &T::example());
}

#[test]
fn every_request_is_what_the_other_side_reads() {
    body::<registration::About>();
    body::<Start>();
    body::<Poll>();
    body::<registration::Renew>();
    body::<registration::Rekey>();
    body::<registration::Forget>();
    body::<Update>();
    body::<ddns::Forget>();
    body::<Hello>();
    body::<link::Services>();
    body::<link::Forget>();
    body::<Origin>();
    body::<Lookup>();
    body::<privacy::Export>();
    body::<privacy::Fix>();
    body::<privacy::Restrict>();
    body::<license::Activate>();
    body::<license::Renew>();
    body::<license::Return>();
    body::<license::Revoked>();
    body::<license::Forget>();
    for parcel in qcloud_agent::wire::TO_HUB {
        let file = format!("tests/golden/wire/{}.json", parcel.id);
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists(), "{file}");
    }
    message("ddns.update-none", &Update::default());
    let observed = ddns::Answer::Observed;
    message("ddns.update-observed", &Update { a: observed, aaaa: ddns::Answer::Observed });
}

#[test]
fn every_answer_is_what_the_other_side_reads() {
    message(
        "registration.start-answer",
        &Started {
            device_code: "3q2-7wAAAAAAAAAAAAAAAA".into(),
            user_code: "BCDF-GHJK".into(),
            verification_uri: "https://hub.example.test/approve".into(),
            interval_seconds: 5,
            expires_in_seconds: 600,
            challenge: "Y2hhbGxlbmdl".into(),
            operator: None,
        },
    );
    message("registration.poll-pending", &Polled::AuthorizationPending);
    message("registration.poll-slow-down", &Polled::SlowDown);
    message("registration.poll-denied", &Polled::AccessDenied);
    message("registration.poll-expired", &Polled::ExpiredToken);
    let membership = Membership {
        name: Label::parse("box").unwrap(),
        zone: "example.test".into(),
        certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        receipt_key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
        certificate_until: Wall::default(),
        device: String::new(),
        operator: None,
    };
    message("registration.poll-approved", &Polled::Approved(Box::new(membership.clone())));
    let until = Wall::from_unix_seconds(1_797_933_600);
    let device = "abcdefghijklmnopqrstuvwxyz".into();
    let membership = Membership { certificate_until: until, device, ..membership };
    message("registration.poll-approved-until", &Polled::Approved(Box::new(membership.clone())));
    message("registration.renew-answer", &membership);
    let [a, aaaa, observed] = ["203.0.113.7", "2001:db8::7", "203.0.113.7"];
    let (a, aaaa) = (Some(a.parse().unwrap()), Some(aaaa.parse().unwrap()));
    let observed = observed.parse().unwrap();
    message("ddns.update-answer", &Updated { a, aaaa, observed });
    let restricted = vec![Restrictable::Ddns, Restrictable::Link];
    message("privacy.restrict-answer", &Restrictions { restricted: restricted.clone() });
    let row = json!({ "a": "203.0.113.7", "made_at": "2026-11-22T10:00:00Z" });
    let at = Wall::from_unix_seconds(1_795_341_600);
    let row = privacy::Row { until: Some(at), data: row.as_object().unwrap().clone() };
    let table =
        privacy::Table { table: "ddns".into(), parcel: "ddns.update".into(), rows: vec![row] };
    let (device, next) = ("abcdefghijklmnopqrstuvwxyz".into(), Some("link_log.17".into()));
    message("privacy.export-answer", &Page { device, at, restricted, tables: vec![table], next });
    message("ddns.update-answer-empty", &Updated { a: None, aaaa: None, observed });
}

#[test]
fn a_hub_says_who_runs_it_and_where_it_stands() {
    let operator =
        || Some(Operator { contact: "privacy@example.test".into(), region: "Sweden".into() });
    message("registration.about-answer", &operator().unwrap());
    message(
        "registration.start-answer-operator",
        &Started {
            device_code: "3q2-7wAAAAAAAAAAAAAAAA".into(),
            user_code: "BCDF-GHJK".into(),
            verification_uri: "https://hub.example.test/approve".into(),
            interval_seconds: 5,
            expires_in_seconds: 600,
            challenge: "Y2hhbGxlbmdl".into(),
            operator: operator(),
        },
    );
    let membership = Membership {
        name: Label::parse("box").unwrap(),
        zone: "example.test".into(),
        certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        receipt_key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
        operator: operator(),
        certificate_until: Wall::default(),
        device: String::new(),
    };
    message("registration.poll-approved-operator", &Polled::Approved(Box::new(membership)));
}

#[test]
fn every_frame_is_what_the_other_side_reads() {
    let observed = "203.0.113.7".parse().unwrap();
    message("link.frame-hello", &ToHub::Hello(Hello::example()));
    message("link.frame-hello-first", &ToHub::Hello(Hello::new(None)));
    message("link.frame-ticket", &ToHub::Ticket { stored: true });
    message("link.frame-heartbeat", &ToHub::Heartbeat { number: 7 });
    let tripwire = "AAECAwQFBgcICQoLDA0ODw".into();
    let ticket = "EBESExQVFhcYGRobHB0eHw".into();
    let welcome = ToDevice::Welcome { epoch: 3, observed, tripwire, ticket };
    message("link.frame-welcome", &welcome);
    message("link.frame-heartbeat-answer", &ToDevice::Heartbeat { number: 7, observed });
    message("link.frame-goodbye", &ToDevice::Goodbye { reason: "the hub stops".into() });
    let host = "box.link.example.test".into();
    message("link.frame-visitor", &Visitor { host, from: "198.51.100.9".parse().unwrap() });
}

#[test]
fn a_receipt_is_what_the_owner_can_show() {
    let receipt = Receipt {
        device: "abcdefghijklmnopqrstuvwxyz".into(),
        feature: "ddns".into(),
        nonce: receipt::EXAMPLE_NONCE.into(),
        erased_at: Wall::from_unix_seconds(1_795_341_600),
        rows: BTreeMap::from([("address".into(), 1), ("link_log".into(), 0)]),
        kept: vec![Kept {
            what: "this receipt's own line in the log".into(),
            why: "proof of the erasure".into(),
            until: Wall::from_unix_seconds(1_797_933_600),
        }],
    };
    message("receipt", &receipt);
    let account = AccountReceipt {
        account: "anna@example.net".into(),
        devices: vec!["box".into()],
        erased_at: receipt.erased_at,
        rows: receipt.rows.clone(),
        kept: receipt.kept.clone(),
    };
    message("account-receipt", &account);
    // Ed25519 signatures are deterministic (RFC 8032), so the document is golden too.
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let receipt = signed::sign(&receipt, receipt::TYPE, &key);
    message("receipt-answer", &Forgotten { receipt });
}

/// Each kind of document of a license as a hub signs it, by keys that anybody can make.
#[test]
fn the_documents_of_a_license_are_what_they_were() {
    use license::{
        Binding, Documents, KeyCertificate, Lease, LicenseId, Opened, Released, Revocations,
        SignedTime, Trust, Use, jws,
    };
    use ring::signature::KeyPair;
    let pair = |seed: u8| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = |seed: u8| <[u8; 32]>::try_from(pair(seed).public_key().as_ref()).unwrap();
    let at = |days: u64| Wall::from_unix_seconds(1_795_341_600 + days * 86_400);
    let lid = LicenseId::of([9; 16]);
    let uses = vec![Use::Entitlement, Use::Lease, Use::Revocations, Use::Time];
    let key = data_encoding::BASE64URL_NOPAD.encode(&public(2));
    let certificate = KeyCertificate { v: 1, key, uses, nbf: at(0), exp: at(400) };
    let entitlement = bought(lid.clone());
    let signed = jws::sign(&entitlement, &pair(2), &public(2));
    let facts = license::Facts {
        key: public(4).to_vec(),
        serial: Some("Q205I01234".into()),
        macs: vec!["24:5E:BE:00:00:01".into()],
    };
    let bind: Binding = facts.bound([7; 16]);
    let lease = Lease {
        v: 1,
        lid: lid.clone(),
        entitlement: jws::fingerprint(&signed),
        bind,
        seat: 1,
        seq: 4,
        offline: false,
        iat: at(0),
        next: at(7),
        exp: at(30),
        grace_until: at(44),
        epoch: 3,
    };
    let list = Revocations { v: 1, epoch: 3, iat: at(0), lids: vec![lid], kids: Vec::new() };
    let time = SignedTime { v: 1, nonce: "A".repeat(22), iat: at(0) };
    let documents = vec![
        jws::sign(&certificate, &pair(1), &public(1)),
        signed,
        jws::sign(&lease, &pair(2), &public(2)),
        jws::sign(&list, &pair(2), &public(2)),
        jws::sign(&time, &pair(2), &public(2)),
    ];
    message("license.renew-answer", &Documents { documents: documents.clone() });
    message("license.release-answer", &Released { freed: true });
    let mut trust = Trust::pinned([public(1)]);
    trust.vouch(&documents[0]).unwrap();
    let opened: Opened<Lease> = trust.open(&documents[2]).unwrap();
    assert!(opened.claims == lease && opened.claims.bind.fits(&facts));
    assert_eq!(trust.open::<Revocations>(&documents[3]).unwrap().claims, list);
    assert_eq!(trust.open::<SignedTime>(&documents[4]).unwrap().claims, time);
}

/// What was bought.
fn bought(lid: license::LicenseId) -> license::Entitlement {
    use license::{Entitlement, Model, Plan, Product};
    let at = |days: u64| Wall::from_unix_seconds(1_795_341_600 + days * 86_400);
    Entitlement {
        v: 1,
        lid,
        holder: "holder".into(),
        product: Product::parse("surveillance").unwrap(),
        plan: Plan::Subscription,
        model: Model::Device,
        seats: 2,
        features: BTreeMap::from([("channels".into(), "8".into())]),
        iat: at(0),
        nbf: at(0),
        exp: Some(at(365)),
        maintained_until: Some(at(365)),
        transferable: true,
        offline: true,
    }
}
