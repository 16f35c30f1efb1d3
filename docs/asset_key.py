#!/usr/bin/env python3
"""Computes asset keys, version 1, and checks them against asset-key-vectors.json.

Needs Python 3 and nothing else. Exits with 1 when a key or a canonical text differs.
"""

import pathlib
import sys

# The ten lines.
import hashlib, json, unicodedata

def asset_key(spec, frozen):
    nfc = lambda v: unicodedata.normalize("NFC", v) if type(v) is str else [nfc(x) for x in v] if type(v) is list else v
    spec = {name: nfc(value) for name, value in spec.items() if value is not None and value != []}
    of_model = [m["defaults"] for m in frozen["by_model_prefix"] if spec["model"].startswith(m["prefix"])]
    defaults = {**frozen["always"], **(of_model[0] if of_model else {})}
    kept = {name: value for name, value in spec.items() if name not in defaults or value != defaults[name]}
    canonical = json.dumps({**kept, "v": 1}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    key = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    return canonical, key
# End of the ten lines.


def main():
    docs = pathlib.Path(__file__).resolve().parent
    frozen = json.loads((docs.parent / "crates/common/src/asset_key_v1.json").read_text("utf-8"))
    vectors = json.loads((docs / "asset-key-vectors.json").read_text("utf-8"))
    wrong = 0
    for vector in vectors:
        canonical, key = asset_key(vector["spec"], frozen)
        if (canonical, key) != (vector["canonical"], vector["key"]):
            wrong += 1
            print(f"{vector['name']}: expected {vector['key']}\n  {vector['canonical']}\ngot {key}\n  {canonical}")
    print(f"{len(vectors) - wrong} of {len(vectors)} vectors hold")
    return 1 if wrong or not vectors else 0


if __name__ == "__main__":
    sys.exit(main())
