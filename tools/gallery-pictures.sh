#!/bin/sh
# Makes docs/img/gallery-1440.png, -dark.png and gallery-390.png from a real demo in which some images fail, as they are meant to.
# Usage: tools/gallery-pictures.sh BINARY; CHROMIUM names the browser, where it is not on PATH as chromium or google-chrome.
set -eu
cd "$(dirname "$0")/.."
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || :)}
python=target/tools/pictures/bin/python
if [ -z "$browser" ]; then
    echo 'gallery-pictures: no chromium is on PATH; on Debian: apt-get install chromium' >&2
    exit 1
fi
if ! [ -x "$python" ] || ! "$python" -c 'import PIL' 2>/dev/null; then
    python3 -m venv target/tools/pictures
    "$python" -m pip --disable-pip-version-check install --quiet --only-binary=:all: -r tools/pictures.txt
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
PATH=$PATH:$PWD/target/tools/bin
export PATH
template=$PWD/examples/listing.j2
"$python" tools/gallery-rows.py examples/listings.csv "$stage/spring-listings.csv"
cd "$stage"
# That some of it fails, and may have been billed, is 1 or 3.
"$binary" demo spring-listings.csv --template-file "$template" --id-column ID --run-id spring-listings --tenant homeware \
    --fallback gpt-image-2.5-flare --on-unknown park --latency 200 || :
"$binary" gallery spring-listings --data-dir .pictor/demo --out page.html || [ $? = 1 ]
# No window is narrower than 500 pixels: the narrow page stands in a frame.
echo '<!doctype html><style>body{margin:0}iframe{border:0;width:390px;height:844px}</style><iframe src=page.html></iframe>' >narrow.html
# Usage: shot PICTURE PAGE WIDTH,HEIGHT FLAGS…
shot() {
    picture=$1 page=$2 size=$3
    shift 3
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$stage/of-$picture" --window-size="$size" \
        --virtual-time-budget=5000 --screenshot="$stage/$picture.png" "$@" "file://$stage/$page" >"$stage/log" 2>&1 ||
        { cat "$stage/log" >&2; exit 1; }
}
shot light page.html 1440,1000
shot dark page.html 1440,1000 --blink-settings=preferredColorScheme=0
shot narrow-light narrow.html 500,844
shot narrow-dark narrow.html 500,844 --blink-settings=preferredColorScheme=0
cd "$OLDPWD"
mkdir -p docs/img
"$python" tools/gallery-sheet.py "$stage" docs/img
