//! Answers of every model, and the pictures in them.

use image::{GenericImageView, ImageFormat};
use pictor_simulator::Options;
use serde_json::{Value, json};

use crate::server::{Server, body, header, instant, picture};

fn decoded(bytes: &[u8], format: ImageFormat) -> image::DynamicImage {
    assert_eq!(image::guess_format(bytes).unwrap(), format);
    image::load_from_memory(bytes).unwrap()
}

#[tokio::test]
async fn every_model_draws() {
    let server = Server::start(instant()).await;
    let models = server.client.get(format!("{}/v1/models", server.url)).bearer_auth("sim-key");
    let models: Value = models.send().await.unwrap().json().await.unwrap();
    let models: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(models.len(), 10);
    for model in &models {
        let response = server.post(&json!({ "model": model, "prompt": "a red mug" })).send().await.unwrap();
        assert!(header(&response, "x-request-id").starts_with("req_"));
        assert_eq!(header(&response, "openai-version"), "2020-10-01");
        assert!(header(&response, "openai-processing-ms").parse::<u64>().is_ok());
        let (status, answer) = body(response).await;
        assert_eq!(status, 200, "{answer}");
        let gpt = model.as_str().unwrap().starts_with("gpt");
        let bytes = if gpt {
            assert!(answer["usage"]["output_tokens"].as_u64().unwrap() > 0);
            assert_eq!((&answer["size"], &answer["output_format"]), (&json!("1024x1024"), &json!("png")));
            picture(&answer)
        } else {
            assert_eq!(answer.get("usage"), None);
            let url = answer["data"][0]["url"].as_str().unwrap();
            let file = server.client.get(url).send().await.unwrap();
            assert_eq!(header(&file, "content-type"), "image/png");
            file.bytes().await.unwrap().to_vec()
        };
        assert_eq!(answer["data"][0].get("revised_prompt").is_some(), model == "dall-e-3");
        assert_eq!(decoded(&bytes, ImageFormat::Png).dimensions(), (1024, 1024));
    }
    assert_eq!(server.totals().await["images"], 10);
}

#[tokio::test]
async fn format_size_background_and_count_are_as_asked() {
    let server = Server::start(instant()).await;
    for (format, kind) in
        [("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)]
    {
        let ask = json!({
            "model": "gpt-image-2", "prompt": "x", "size": "1280x640", "output_format": format, "n": 2
        });
        let (_, answer) = body(server.post(&ask).send().await.unwrap()).await;
        assert_eq!(answer["data"].as_array().unwrap().len(), 2);
        assert_ne!(answer["data"][0], answer["data"][1]);
        assert_eq!(decoded(&picture(&answer), kind).dimensions(), (1280, 640));
    }
    let ask = json!({ "model": "gpt-image-1", "prompt": "x", "background": "transparent" });
    let (_, answer) = body(server.post(&ask).send().await.unwrap()).await;
    assert_eq!(answer["background"], "transparent");
    let picture = decoded(&picture(&answer), ImageFormat::Png);
    assert!(picture.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255));
}

#[tokio::test]
async fn pictures_depend_on_what_was_asked_and_nothing_else() {
    let first = Server::start(instant()).await;
    let second = Server::start(Options { seed: 9, ..instant() }).await;
    let ask = json!({ "model": "gpt-image-2", "prompt": "a blue chair", "quality": "low" });
    let (_, one) = body(first.post(&ask).send().await.unwrap()).await;
    let (_, two) = body(second.post(&ask).send().await.unwrap()).await;
    assert_eq!(one["data"], two["data"]);
    let other = json!({ "model": "gpt-image-2", "prompt": "a blue chair", "quality": "high" });
    let (_, other) = body(first.post(&other).send().await.unwrap()).await;
    assert_ne!(one["data"], other["data"]);
}

#[tokio::test]
async fn padding_makes_files_large_and_keeps_them_valid() {
    let server = Server::start(Options { image_bytes: Some(3 << 20), ..instant() }).await;
    let (_, answer) = body(server.small("padded").send().await.unwrap()).await;
    let bytes = picture(&answer);
    assert!(((3 << 20) - 8..=3 << 20).contains(&bytes.len()), "{}", bytes.len());
    assert_eq!(decoded(&bytes, ImageFormat::Png).dimensions(), (256, 256));
    let chunk = &bytes[33..];
    let length = u32::from_be_bytes(chunk[..4].try_into().unwrap()) as usize;
    let crc = u32::from_be_bytes(chunk[8 + length..12 + length].try_into().unwrap());
    assert_eq!((&chunk[4..8], crc), (b"piCt".as_slice(), crc32fast::hash(&chunk[4..8 + length])));
}

#[tokio::test]
async fn addresses_expire() {
    let server = Server::start(Options { url_seconds: 0, ..instant() }).await;
    let ask = json!({ "model": "dall-e-3", "prompt": "x" });
    let (_, answer) = body(server.post(&ask).send().await.unwrap()).await;
    let file = server.client.get(answer["data"][0]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!((file.status().as_u16(), header(&file, "content-type")), (403, "application/xml"));
}

#[tokio::test]
async fn usage_varies_as_asked_and_repeats() {
    let options = || Options { output_tokens_vary_percent: 20.0, seed: 5, ..instant() };
    let (first, second) = (Server::start(options()).await, Server::start(options()).await);
    let ask = json!({ "model": "gpt-image-1", "prompt": "x", "quality": "low" });
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (_, one) = body(first.post(&ask).send().await.unwrap()).await;
        let (_, two) = body(second.post(&ask).send().await.unwrap()).await;
        assert_eq!(one["usage"], two["usage"]);
        seen.push(one["usage"]["output_tokens"].as_u64().unwrap());
    }
    assert!(seen.iter().all(|tokens| (217..=327).contains(tokens)), "{seen:?}");
    assert!(seen.iter().any(|tokens| *tokens != seen[0]));
}
