//! Where images go, and where others see them.

use anyhow::Context;
use config::Value;
use pictor_store::{PublicBase, S3Settings};

use super::{
    layers::{self, Table},
    nearest,
};

/// Where images go.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSettings {
    pub(crate) url: Option<String>,
    /// Where a web server or CDN serves what is in the store.
    pub(crate) public_base_url: Option<PublicBase>,
    pub(crate) s3: S3Settings,
}

pub(super) fn read(whole: &Table) -> anyhow::Result<StoreSettings> {
    let told = "settings: store";
    let value = whole.get("store").cloned().unwrap_or_else(layers::empty);
    let mut fields = value.into_table().context(told)?;
    let url = fields.remove("url").map(Value::into_string).transpose().context(told)?;
    let base = fields.remove("public_base_url").map(Value::into_string).transpose().context(told)?;
    let base = base.map(|base| base.parse()).transpose();
    let public_base_url = base.context("settings: store.public_base_url")?;
    let s3 = nearest::read(Value::new(None, fields), &["url", "public_base_url"]).context(told)?;
    Ok(StoreSettings { url, public_base_url, s3 })
}
