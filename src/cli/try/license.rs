//! The step "license": an issuer, a hub that sells in its name, and a device that checks for itself.

use super::stage::{Stage, program_once};
use crate::card::Exit;
use crate::cli::text;
use crate::platform::exec::Output;
use serde_json::{Value, json};
use std::path::Path;

const PRODUCT: &str = "surveillance";

/// Makes the key of an issuer in a file, and gives what devices pin. It is of another machine than the hub's; here it is
/// in a directory beside it.
pub(super) async fn issuer(program: &Path, key: &Path) -> Result<String, String> {
    let key = key.to_string_lossy();
    let made = program_once(program, &["license", "root", "new", "-o", &key, "--json"]).await?;
    Ok(text(&answer(&made)?, "key").to_owned())
}

fn answer(output: &Output) -> Result<Value, String> {
    if !output.succeeded() {
        return Err(format!("the hub: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("the hub's answer: {e}"))
}

async fn hub(stage: &Stage, args: &[&str]) -> Result<Value, String> {
    let words = [&["license"], args, &["--json"]].concat();
    answer(&stage.hub_command(&words).await?)
}

/// The hub issues, the agent activates, `check` answers, and a revocation is seen.
pub(super) async fn step(stage: &Stage) -> Result<String, String> {
    let (id, key) = issued(stage).await?;
    let expect = |answer: crate::daemon::feature::Answer, wanted: Exit| match answer.exit {
        Some(exit) if exit == wanted => Ok(answer.json),
        exit => Err(format!("exit {exit:?} instead of {wanted:?}: {}", answer.text)),
    };
    expect(stage.ask("license", "on", json!({})).await?, Exit::Done)?;
    let check = || stage.ask("license", "check", json!({ "product": PRODUCT }));
    expect(check().await?, Exit::Failed)?;
    expect(stage.ask("license", "install", json!({ "key": key })).await?, Exit::Done)?;
    let valid = expect(check().await?, Exit::Done)?;
    hub(stage, &["revoke", &id]).await?;
    expect(check().await?, Exit::Done)?;
    // The next contact, which would be in a week.
    stage.ask("license", "install", json!({ "key": id })).await?;
    expect(check().await?, Exit::Revoked)?;
    Ok(format!("{PRODUCT} was valid until {}, and is revoked", text(&valid, "until")))
}

/// Id and product key of a license that the hub made after the issuer has vouched for it.
async fn issued(stage: &Stage) -> Result<(String, String), String> {
    let (root, document) = (stage.issuer_path(), stage.dir().join("signer.crt"));
    let (root, document) = (root.to_string_lossy(), document.to_string_lossy());
    let signer = hub(stage, &["signer", "new"]).await?;
    let certify = ["license", "certify", text(&signer, "key"), "--root", &root, "-o", &document];
    let vouched = program_once(stage.program(), &certify).await?;
    if !vouched.succeeded() {
        return Err(format!("the issuer: {}", String::from_utf8_lossy(&vouched.stderr).trim()));
    }
    let public = format!("{root}.pub");
    hub(stage, &["signer", "install", &document, "--root", &public]).await?;
    hub(stage, &["product", "add", PRODUCT]).await?;
    hub(stage, &["policy", "add", PRODUCT, "year", "--days", "365"]).await?;
    let made = hub(stage, &["issue", PRODUCT, "year", "--key"]).await?;
    Ok((text(&made, "license").to_owned(), text(&made, "key").to_owned()))
}
