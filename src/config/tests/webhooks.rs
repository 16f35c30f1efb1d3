//! What can be said of webhooks, and what is refused.

use std::collections::BTreeMap;

use pictor_common::webhook::EventType;

use super::{super::*, read_with};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn an_endpoint_is_read_from_file_and_environment_and_keeps_its_secrets() {
    let file = "[webhooks.shop]\nurl = \"https://user:pw@shop.example.com:8443/hook/t0p?k=s3cret\"\n\
                secret_env = \"SHOP\"\nevents = [\"batch.failed\"]\ntenants = [\"a\"]\n";
    let settings = read_with(file, &[("SHOP", SECRET)]).unwrap();
    let shop = &settings.webhooks["shop"];
    assert_eq!(shop.lacks, None);
    assert_eq!(shop.webhook.wanted.events, [EventType::BatchFailed]);
    assert_eq!(shop.webhook.wanted.host, "https://shop.example.com:8443");
    let debug = format!("{settings:?}");
    assert!(!debug.contains("s3cret") && !debug.contains(SECRET), "{debug}");
    let hidden = &settings.accounts["openai"].account.without_variables;
    assert!(hidden.contains(&"SHOP".to_owned()), "no command sees it: {hidden:?}");

    let lacking = read_with(file, &[]).unwrap().webhooks.remove("shop").unwrap();
    assert_eq!(lacking.lacks.as_deref(), Some("set the environment variable SHOP"));
    let odd = read_with(file, &[("SHOP", "hunter2hunter2")]).unwrap().webhooks.remove("shop").unwrap();
    assert!(odd.lacks.is_some_and(|why| why.contains("openssl rand") && !why.contains("hunter2")));

    let url = ("PICTOR_WEBHOOKS__OPS__URL", "http://10.0.0.7/");
    let own = [url, ("PICTOR_WEBHOOKS__OPS__SECRET_ENV", "OPS"), ("OPS", SECRET)];
    let ops = read_with("", &own).unwrap().webhooks.remove("ops").unwrap();
    assert_eq!(
        (ops.lacks, ops.webhook.wanted.events.len()),
        (None, 5),
        "a private address is the operator's"
    );
}

#[test]
fn mistakes_name_the_endpoint_and_what_would_be_right() {
    let error = |lines: &str| read_with(&format!("[webhooks.shop]\n{lines}"), &[]).unwrap_err();
    let url = "url = \"https://x.example/t0p-s3cret\"\n";
    for (lines, expected) in [
        (
            "url = \"ftp://x.example/t0p-s3cret\"\nsecret_env = \"S\"\n".to_owned(),
            "url is no http or https URL",
        ),
        (url.to_owned(), "either secret_env or secret_file"),
        (format!("{url}secret_env = \"S\"\nsecret_file = \"f\"\n"), "either secret_env or secret_file"),
        (
            format!("{url}secret_env = \"S\"\nevents = [\"batch.done\"]\n"),
            "there are batch.completed, batch.failed",
        ),
        (format!("{url}secret_env = \"S\"\nevents = []\n"), "leave it out for all"),
        (format!("{url}secret_env = \"S\"\nevent = []\n"), "did you mean \"events\"?"),
    ] {
        let error = error(&lines);
        assert!(error.contains("webhooks.shop") && error.contains(expected), "{error}");
        assert!(!error.contains("t0p-s3cret"), "{error}");
    }
    let shown = explain_of(None, &BTreeMap::new(), &Flags::default(), "2026-11-21").unwrap();
    assert!(shown.settings.iter().all(|row| !row.section.starts_with("webhooks")));
}
