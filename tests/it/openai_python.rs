//! The official Python package gets an image from the simulator, unmodified: the judge speaks the real protocol.

use std::{fs, path::Path, process::Command};

use pictor_simulator::Options;

use crate::world::{API_KEY, Sim, told};

const SCRIPT: &str = r#"
import base64, sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
image = client.images.generate(model="gpt-image-2", prompt="a lighthouse", size="1024x1024", quality="low")
open(sys.argv[3], "wb").write(base64.b64decode(image.data[0].b64_json))
assert image.usage.output_tokens > 0
try:
    client.images.generate(model="dall-e-3", prompt="a lighthouse", n=3)
except openai.BadRequestError as error:
    print(error.code)
try:
    openai.OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError as error:
    print(error.code)
"#;

#[test]
fn the_official_package_gets_an_image_unmodified() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/venv/bin/python3");
    assert!(python.exists(), "the Python package openai is not installed: run `make tools`");
    let sim = Sim::start(Options { latency_ms_p50: Some(50), ..Options::default() });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.png");
    let output = Command::new(python)
        .args(["-c", SCRIPT, &sim.base_url(), API_KEY])
        .arg(&file)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let image = image::load_from_memory(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((image.width(), image.height()), (1024, 1024));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "invalid_value\ninvalid_api_key\n");
}
