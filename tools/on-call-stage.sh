#!/bin/sh
# Sets up a night that went partly wrong, for somebody on call: a Redis, an API that refuses for three reasons, a worker, and a batch of 2,000 rows.
# Usage: tools/on-call-stage.sh BINARY DIR; it goes on until it is ended, and ends what it has started.
set -eu
binary=$1
stage=$2
. "$(dirname "$0")/stage.sh"
front=$(port)
start_redis --appendonly yes
cat >"$stage/pictor.toml" <<EOF
data_dir = "$stage/data"
[redis]
url = "redis://127.0.0.1:$redis"
[store]
url = "$stage/images"
[accounts.main]
base_url = "http://127.0.0.1:$front/v1"
api_key_env = "OPENAI_API_KEY"
[accounts.main.limits.gpt-image]
images = 3000
requests = 3000
EOF
export OPENAI_API_KEY=sim-key
cd "$stage"
"$binary" simulate --listen "127.0.0.1:$api" --unlimited --latency 300 --seed 7 >"$stage/redis/api.log" 2>&1 &
children="$children $!"
# What the real API refuses by what is asked, which the simulator does only when it is told to.
python3 - "$front" "$api" 2>"$stage/redis/front.log" <<'EOF' &
import http.client, http.server, json, sys
front, api = int(sys.argv[1]), int(sys.argv[2])
def refusal(asked):
    if 'rifle' in asked.get('prompt', ''):
        return 400, 'Your request was rejected by the safety system. If you believe this is an error, contact us at help.openai.com and include the request ID. safety_violations=[violence].', 'image_generation_user_error', None, 'moderation_blocked'
    if asked.get('model') == 'gpt-image-1-mini':
        return 404, "The model 'gpt-image-1-mini' does not exist or you do not have access to it.", 'invalid_request_error', None, 'model_not_found'
    if asked.get('size') == '3840x2160':
        return 400, "Invalid size '3840x2160'. Sizes above 2560x1440 are experimental and not enabled for this organization.", 'image_generation_user_error', 'size', 'invalid_value'
class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    number = 0
    def log_message(self, *_): pass
    def give(self, status, headers, body):
        self.send_response(status)
        for name, value in headers: self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def pass_on(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        no = refusal(json.loads(body)) if self.command == 'POST' and 'generations' in self.path else None
        if no:
            Front.number += 1
            status, message, kind, param, code = no
            told = json.dumps({'error': {'message': message, 'type': kind, 'param': param, 'code': code}}).encode()
            return self.give(status, [('Content-Type', 'application/json'), ('x-request-id', 'req_%08x' % (Front.number * 2654435761 % 2**32))], told)
        behind = http.client.HTTPConnection('127.0.0.1', api)
        behind.request(self.command, self.path, body, {n: v for n, v in self.headers.items() if n.lower() not in ('host', 'content-length')})
        answer = behind.getresponse()
        kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in ('content-length', 'transfer-encoding', 'connection')]
        self.give(answer.status, kept, answer.read())
        behind.close()
    do_GET = do_POST = pass_on
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(('127.0.0.1', front), Front).serve_forever()
EOF
children="$children $!"
awk 'BEGIN {
    split("mug,plate,bowl,tray,vase,lamp,clock,stool", thing, ","); split("oak,linen,slate,marble,sand", ground, ",")
    print "sku,prompt,model,size"
    for (i = 1; i <= 2000; i++) {
        what = "a hand-made " thing[i % 8 + 1]; model = "gpt-image-2"; size = "1024x1024"
        if (i % 33 == 5) what = "a wooden toy rifle"
        else if (i % 40 == 11) model = "gpt-image-1-mini"
        else if (i % 25 == 3) size = "3840x2160"
        printf "HW-%04d,\"Product photo of %s no. %d on %s, soft daylight\",%s,%s\n", i, what, i, ground[i % 5 + 1], model, size
    }
}' >nightly.csv
until "$binary" --config "$stage/pictor.toml" status >/dev/null 2>&1; do sleep 0.2; done
"$binary" --config "$stage/pictor.toml" worker --concurrency 48 >"$stage/redis/worker.log" 2>&1 &
children="$children $!"
"$binary" --config "$stage/pictor.toml" submit nightly.csv --id-column sku --quality low --run-id nightly --wait >"$stage/redis/submit.log" 2>&1 || :
echo ready >"$stage/redis/ready"
wait
