-- Looks after what nobody holds: due retries, expired leases, doubt, work-lists. Bounded; run by every worker.
-- ARGV[1]  {limit, grace, again, profile?, days}: again is how long another reaper leaves an orphan alone, µs
-- Returns  JSON {look: [{key, token, spec, payer, tenant, lane, attempt, ceiling, last}], requeued, orphaned, worked, resumed, expired, grace,
--          begun?, epoch?}:
--          `look` names orphans to look for in the store; with `last` the send deadline has passed
-- Complexity O(limit * log(queue))

local report = { requeued = 0, orphaned = 0, worked = 0, promoted = 0, resumed = 0, look = {} }
local function finish()
  if #report.look == 0 then report.look = nil end
  return cjson.encode(report)
end
-- The images of another profile are in another store: here they would be taken for lost.
if other_profile() then return finish() end
local grace = in_grace()
if not BEGUN then
  BEGUN = int(NOW)
  call('HSETNX', key('meta'), 'epoch', BEGUN)
end
report.begun, report.epoch = BEGUN, BEGUN .. ' ' .. server_id()
stamp()
if grace then
  report.grace = int(grace - NOW)
  return finish()
end

-- What a token has set aside, also when another one owns the asset by now.
local function reserved(token)
  local text = call('HGET', key('reservations'), token)
  return text and cjson.decode(text)
end

local function look(asset, token, last)
  local a = call('HMGET', key('a', asset), 'payer', 'lane', 'attempts', 'ceiling')
  local own = reserved(token)
  if own then a[1], a[2], a[4] = own.payer, own.lane, own.amount end
  report.look[#report.look + 1] = { key = asset, token = token, spec = call('GET', key('s', asset)) or '',
    payer = a[1] or '', tenant = own and own.tenant or '', lane = a[2] or '', attempt = num(a[3]), ceiling = a[4] or '0', last = last }
end

local expired = call('ZRANGEBYSCORE', key('leases'), '-inf', int(NOW), 'LIMIT', 0, request.limit)
for _, member in ipairs(expired) do
  local token, asset = string.match(member, '^(%S+) (%S+)$')
  call('ZREM', key('leases'), member)
  local a = call('HMGET', key('a', asset), 'phase', 'token', 'deadline')
  if a[2] == token and a[1] == 'claimed' then
    give_back(asset, token)
    report.requeued = report.requeued + 1
  elseif a[2] == token and (a[1] == 'sent' or a[1] == 'received') then
    call('HSET', key('a', asset), 'phase', 'orphan')
    call('ZADD', key('doubt'), a[3] or int(NOW), member)
    report.orphaned = report.orphaned + 1
    look(asset, token, false)
  elseif a[2] ~= token and reserved(token) then
    call('ZADD', key('doubt'), call('ZSCORE', key('inflight', reserved(token).lane), token) or int(NOW), member)
  end
end

local doubtful = call('ZRANGEBYSCORE', key('doubt'), '-inf', int(NOW), 'LIMIT', 0, 20)
for _, member in ipairs(doubtful) do
  local token, asset = string.match(member, '^(%S+) (%S+)$')
  local a = call('HMGET', key('a', asset), 'phase', 'token')
  if a[1] == 'orphan' and a[2] == token or a[2] ~= token and reserved(token) then
    call('ZADD', key('doubt'), int(NOW + request.again), member)
    look(asset, token, true)
  else
    call('ZREM', key('doubt'), member)
  end
end

local WORK = {}

-- Runs `visit` over the next page of the batches that ask for an asset.
local function page_of(w, visit)
  local page = call('ZRANGEBYSCORE', key('askers', w.asset), '(' .. w.cursor, w.upto, 'WITHSCORES', 'LIMIT', 0, request.limit)
  for i = 1, #page, 2 do visit(page[i]) end
  if #page < 2 * request.limit then return nil end
  return page[#page]
end
function WORK.count(w)
  return page_of(w, function(batch) count_in(batch, w.from, w.to) end)
end
function WORK.list(w)
  return page_of(w, function(batch) list_for(w.asset, batch) end)
end
function WORK.enqueue(w)
  local a = call('HMGET', key('a', w.asset), 'phase', 'route')
  if a[1] ~= 'ready' then return nil end
  return page_of(w, function(batch) enqueue(w.asset, a[2], batch) end)
end

local function hex(bytes)
  return (string.gsub(bytes, '.', function(byte) return string.format('%02x', string.byte(byte)) end))
end

function WORK.substitute(w)
  -- A late image may have come: then the failure that was not counted yet is all that is missing.
  local by = call('HGET', key('a', w.asset), 'phase') == 'failed' and by_model(w.offers) or {}
  local upto = page_of(w, function(batch) w.swapped = part_with(w.asset, batch, by) or w.swapped end)
  if upto then return upto end
  call('HDEL', key('a', w.asset), 'parting')
  if w.swapped then parted(w.asset) end
end

local function unask(asset, batch)
  leave(asset, batch)
  local first = first_asker(asset)
  if not first and call('HGET', key('a', asset), 'phase') == 'ready' then forget(asset) end
end

-- Takes a cancelled batch's references away; an unsent asset that nobody asks for is given up.
function WORK.cancel(w)
  local chunk = call('XRANGE', key('lines', w.batch), w.cursor, '+', 'COUNT', 1)[1]
  if not chunk then return nil end
  local keys = chunk[2][2]
  local upto = math.min(num(w.from) + request.limit, #keys / 32)
  local swaps = call('EXISTS', key('swaps', w.batch)) == 1
  for at = num(w.from), upto - 1 do
    local asset = hex(string.sub(keys, at * 32 + 1, at * 32 + 32))
    unask(swaps and instead_of(w.batch, asset) or asset, w.batch)
  end
  w.from = upto
  if upto < #keys / 32 then return chunk[1] end
  w.from = 0
  return '(' .. chunk[1]
end

for _ = 1, 4 do
  local text = call('LPOP', key('work'))
  if not text then break end
  local w = cjson.decode(text)
  w.cursor = WORK[w.kind](w)
  report.worked = report.worked + 1
  if w.cursor then call('RPUSH', key('work'), cjson.encode(w)) end
end

-- What the next asset of a flow may cost; nothing where a claim has to tidy up first.
local function need_of(batch)
  local need
  for _, route in ipairs(routes_of(batch)) do
    local head = call('ZRANGE', key('flow', route, batch), 0, 0)[1]
    local a = head and call('HMGET', key('a', head), 'phase', 'ceiling')
    if a then need = math.min(need or math.huge, a[1] == 'ready' and num(a[2]) or 0) end
  end
  return need or 0
end

-- Looks again at what caps hold; true while something is held.
local CAPPED = {}
function CAPPED.b(batch)
  local own = purse_of_batch(batch)
  if own.held ~= 'cap' or own.state ~= 'open' then return false end
  if exceeded(own, need_of(batch)) then return true end
  resume(batch)
  report.resumed = report.resumed + 1
  return false
end
function CAPPED.t(tenant)
  local name, purse = key('capped', tenant), purse_of_tenant(tenant, TODAY)
  report.resumed = report.resumed + resume_some(purse, request.limit)
  -- Its next asset may be another by now.
  local member = call('ZRANDMEMBER', name)
  local batch = member and string.match(member, '^%d+ (.+)$')
  if batch then
    local held, need = call('HGET', key('batch', batch), 'held'), need_of(batch)
    if not BY_CAP[held or ''] then
      call('ZREM', name, member)
    elseif not exceeded(purse, need) then
      call('ZREM', name, member)
      resume(batch)
      report.resumed = report.resumed + 1
    end
  end
  if call('ZCARD', name) > 0 then return true end
  call('HDEL', purse.name, 'held')
  return false
end

for _, member in ipairs(call('ZRANGEBYSCORE', key('capped'), '-inf', int(NOW - 1000000), 'LIMIT', 0, 8)) do
  if CAPPED[string.sub(member, 1, 1)](string.sub(member, 3)) then
    call('ZADD', key('capped'), int(NOW), member)
  else
    call('ZREM', key('capped'), member)
  end
end

list_older()
report.expired = expire_due(8)
report.promoted = promote(request.limit)
if report.requeued + report.promoted + report.resumed > 0 then wake() end
return finish()
