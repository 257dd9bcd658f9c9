//! The Secret with the key that seals the gossip of the speakers.

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use metallb_kit::apply::within;

use crate::MANAGER;
use crate::args::Args;

/// Length of the random key, in bytes.
const KEY: usize = 16;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Creates the Secret `name` unless there is one. It is never changed afterwards.
pub(crate) async fn ensure(client: &Client, args: &Args, name: &str) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.namespace);
    let what = format!("Secret {}/{name}", args.namespace);
    if within(&format!("get {what}"), secrets.get_opt(name))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let owner = owner(client, args).await?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(args.namespace.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([("secretkey".to_owned(), ByteString(secret_key()?))].into()),
        ..Secret::default()
    };
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    match within(&format!("create {what}"), secrets.create(&params, &secret)).await {
        Ok(_) => tracing::info!(
            op = "memberlist",
            secret = name,
            "created the key of the speakers' gossip"
        ),
        // Another replica was faster.
        Err(error) if error.status().is_some_and(|status| status.code == 409) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn owner(client: &Client, args: &Args) -> anyhow::Result<OwnerReference> {
    let name = args.deployment.as_str();
    anyhow::ensure!(
        !name.is_empty(),
        "--ml-secret-name needs --deployment, the Deployment that is to own the Secret"
    );
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &args.namespace);
    let deployment = within(
        &format!("get Deployment {}/{name}", args.namespace),
        deployments.get(name),
    )
    .await?;
    Ok(OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: name.to_owned(),
        uid: deployment.uid().context("a stored Deployment has a uid")?,
        ..OwnerReference::default()
    })
}

/// Random bytes as base64 without padding (RFC 4648 section 4): 22 characters.
fn secret_key() -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut random = [0; KEY];
    let source = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    source.context("cannot read random bytes from /dev/urandom")?;
    Ok(base64(&random))
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_usize, |group, byte| (group << 8) | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(ALPHABET[(group >> (18 - 6 * index)) & 63]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, secret_key};

    #[test]
    fn base64_is_that_of_rfc_4648() {
        // Section 10, without the padding.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded.as_bytes());
        }
    }

    #[test]
    fn keys_have_22_characters_and_differ() {
        let (one, other) = (secret_key().unwrap(), secret_key().unwrap());
        assert_eq!(one.len(), 22);
        assert_ne!(one, other);
    }
}
