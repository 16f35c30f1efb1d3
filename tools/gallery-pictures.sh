#!/bin/sh
# Makes docs/img/gallery-1440.png and gallery-390.png from a real demo in which some of the images fail.
# Usage: tools/gallery-pictures.sh BINARY; CHROMIUM names the browser, where it is not called chromium or google-chrome.
set -eu
cd "$(dirname "$0")/.."
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || :)}
if [ -z "$browser" ]; then
    echo 'gallery-pictures: no chromium is on PATH; on Debian: apt-get install chromium' >&2
    exit 1
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
PATH=$PATH:$PWD/target/tools/bin
export PATH
python3 tools/gallery-rows.py examples/listings.csv "$stage/spring-listings.csv"
(
    cd "$stage"
    # Some of it fails, as it is meant to: that is 1.
    "$binary" demo spring-listings.csv --template-file "$OLDPWD/examples/listing.j2" --run-id spring-listings --id-column ID \
        --tenant homeware --fallback gpt-image-2 --on-unknown park --latency 200 || [ $? = 1 ]
    "$binary" gallery spring-listings --data-dir .pictor/demo --out gallery.html || [ $? = 1 ]
)
# Usage: shot NAME WIDTH HEIGHT FLAGS…
shot() {
    name=$1 size=$2,$3
    shift 3
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$stage/profile-$name" --window-size="$size" \
        --virtual-time-budget=5000 --screenshot="$stage/$name.png" "$@" "file://$stage/gallery.html" >"$stage/log" 2>&1 || {
        cat "$stage/log" >&2
        exit 1
    }
}
shot light 1440 1000
shot dark 1440 1000 --blink-settings=preferredColorScheme=0
# A headless window is never narrower than 500 pixels: the page is shown in a frame.
cat >"$stage/frame.html" <<'HTML'
<!doctype html><style>body{margin:0;display:flex;background:#fff}iframe{border:0;width:390px;height:844px}</style>
<iframe src="gallery.html"></iframe>
HTML
page=gallery.html
sed -i.bak 's/^//' "$stage/frame.html" && rm -f "$stage/frame.html.bak"
mv "$stage/gallery.html" "$stage/page.html"
sed 's/gallery\.html/page.html/' "$stage/frame.html" >"$stage/$page"
shot narrow 500 844
shot narrow-dark 500 844 --blink-settings=preferredColorScheme=0
mkdir -p docs/img
python3 tools/gallery-rows.py --join "$stage" docs/img
