-- Ends an attempt that made no image, or whose outcome is unknown. Safe to repeat.
-- ARGV[1]  {key, token, billed: "no"|"yes"|"unknown", cost, outcome: "retry"|"refused"|"unsent"|"failed"|"parked",
--           delay, max_unknown, failure, doubt?, attempt, payer, tenant?, lane, model, request_id?, pause?: {lane, delay?, reason, key?},
--           refusal?: {epoch, dimension?, limit?, used?, requested?, wait?, slow_down}, fault?: {reason, epoch}, days,
--           content, offers?: [{model, key?, spec, route, ceiling, tokens, made?}], group?: {id, class, message}};
--           times in µs; doubt: by a reaper, not by who held it; a pause without a delay lasts until a person lifts it,
--           or where it names a refused key, until somebody has another; content: refused for what it shows; offers:
--           other models may make it, and what stands in for it then; without a key, nothing does
-- Returns  {what became of it: "retry"|"failed"|"parked"|"substituted"|"lost", unknowns, alert...}, or
--          {"wants", 0, model...} and nothing is written: who asks has a fallback that is not among the offers
-- Complexity O(batches that ask, at most 100) * O(log(queue))

local asset = key('a', request.key)
local a = call('HMGET', asset, 'phase', 'token', 'unknowns', 'ceiling')
local phase, owner = a[1], a[2]

-- Whether a batch that asks wants nothing sent again after an outcome that nobody knows.
local function parks()
  for _, batch in ipairs(askers(request.key)) do
    if call('HGET', key('batch', batch), 'on_unknown') == 'park' then return true end
  end
  return false
end

local offers = request.offers
if not offers or offers == cjson.null or owner ~= request.token or ENDED[phase] or request.billed ~= 'no'
  or request.outcome ~= 'failed' or spoken_for(request.key, request.token) then
  offers = nil
else
  local models = wanted(request.key, request.model, offers)
  if #models > 0 then return { 'wants', 0, unpack(models) } end
end

if request.pause and request.pause ~= cjson.null then
  local lane = key('lane', request.pause.lane)
  local till = NOW + num(request.pause.delay)
  if not request.pause.delay then
    -- What a person or an empty account has stopped, another key does not start.
    if not request.pause.key then
      call('HSET', lane, 'paused', request.pause.reason)
      call('HDEL', lane, 'paused_key')
    elseif not set(call('HGET', lane, 'paused')) or set(call('HGET', lane, 'paused_key')) then
      call('HSET', lane, 'paused', request.pause.reason, 'paused_key', request.pause.key)
    end
  elseif till > num(call('HGET', lane, 'pause_until')) then
    call('HSET', lane, 'pause_until', int(till), 'pause_reason', request.pause.reason)
  end
end

if request.refusal and request.refusal ~= cjson.null then
  refused(lane_of(request.lane), request.refusal)
elseif request.fault and request.fault ~= cjson.null then
  faulty(lane_of(request.lane), request.fault.reason, request.fault.epoch)
end

local mine = owner == request.token
local paid = call('HEXISTS', asset, 'paid:' .. request.token) == 1
local closed = paid or call('HGET', asset, 'free') == request.token
  or not mine and call('EXISTS', key('ended', request.token)) == 1
-- A reaper's doubt is void when the owner is back, and nobody's doubt stands against what was recorded. What is only
-- claimed here by whoever may have paid was sent on a server that forgot it.
local back = mine and (phase == 'sent' or phase == 'received')
if request.doubt and back or request.billed == 'unknown' and closed then
  return { 'lost', int(num(a[3])) }
end
local held = let_go(request.token, request.key)
local is_news = false
if request.content and phase then call('HSET', asset, 'refused', 'content') end

if request.billed == 'no' then
  if phase then call('HSET', asset, 'free', request.token) end
  local counted, day = resolve(request)
  pay(held, request.payer, 0 - counted, day)
elseif request.billed == 'yes' and not paid then
  call('HSET', asset, 'paid:' .. request.token, request.cost)
  local counted, day = resolve(request)
  day = pay(held, request.payer, num(request.cost) - counted, day)
  ledger('settled', request.key, request.token, num(request.cost), request, day)
elseif request.billed == 'unknown' and call('HSETNX', asset, 'unknown:' .. request.token, request.cost) == 1 then
  is_news = true
  local day = pay(held, request.payer, num(request.cost))
  if day then call('HSET', asset, 'day:' .. request.token, day) end
  count_unknown(request.payer, day, num(request.cost))
  call('HINCRBY', asset, 'unknowns', 1)
  ledger('unknown', request.key, request.token, num(request.cost), request, day)
else
  pay(held, request.payer, 0)
end
local unknowns = num(call('HGET', asset, 'unknowns'))
local parked = request.billed == 'unknown'
  and (request.outcome == 'parked' or unknowns > num(request.max_unknown) or parks())
-- A server that went back to before the claim would have it sent again, or has given it to another who has not sent.
if not mine and is_news and parked and (phase == 'ready' or phase == 'claimed') then
  if phase == 'claimed' then free_forgotten(owner, request.key) end
  call('ZREM', key('later'), request.key)
  mine = true
end
if not mine or ENDED[phase] then return { 'lost', int(unknowns), unpack(alerts) } end

local outcome = request.outcome
if outcome == 'unsent' then call('HINCRBY', asset, 'unsent', 1) else call('HDEL', asset, 'unsent') end
if request.billed == 'yes' and call('HINCRBY', asset, 'bad', 1) > 1 and outcome == 'retry' then outcome = 'failed' end
if outcome == 'refused' or outcome == 'unsent' then
  if phase ~= 'claimed' then call('HINCRBY', asset, 'attempts', -1) end
  outcome = 'retry'
end
if parked then outcome = 'parked' end
call('SET', key('failure', request.key), with_earlier(request.failure, request.key))
if outcome == 'retry' then
  requeue(request.key, NOW + num(request.delay))
  if num(request.delay) < 50000 then wake() end
  return { 'retry', int(unknowns), unpack(alerts) }
end
call('HSET', asset, 'phase', outcome)
call('HDEL', asset, 'token', 'slot', 'deadline')
list_failure(request.key, outcome)
if offers then
  outcome = substitute(request.key, offers)
  wake()
else
  count(request.key, phase, outcome)
  tally(request.group, request.payer)
end
event(outcome, request.key, request.payer)
return { outcome, int(unknowns), unpack(alerts) }
