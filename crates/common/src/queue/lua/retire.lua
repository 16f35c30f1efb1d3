-- Forgets what is archived in the store: a complete batch, old failures, old events, done assets. One caller at a time has the
-- turn.
-- ARGV[1]  {owner, lasts, turn | over | batch, completed, done, failed, look | leave | failures, upto | events | round, every |
--          mark | forget, upto, stay}: lasts: how long the turn is kept, µs; completed, done, failed: as they were archived;
--          look: only say whether the batch may go; leave: failed assets for which the batch does not ask any more, at most
--          5000; failures: keys, at most 500, that failed at `upto` or before; events: those before this id; round: begins to
--          look for done assets, unless that was done less than `every` µs ago, or names the round that `mark` and `forget`
--          belong to; mark: done assets, at most 500, that are to go unless a batch asks for them meanwhile; forget: those of
--          them that nobody did, stored at `upto`, ms, or before; stay: those that do not go after all
-- Returns  {"ok", how many changed, or when the round began} | {"other", 0} (somebody else has the turn) | {"changed", 0} (not as
--          it was archived, somebody is not done with it, or no round is due) | {"older", 0} (an older version works here)
-- Complexity O(leave + failures + the batch's chunks), of done assets O(keys + requests that are out, at most 20000); a batch
--          goes in one call, so that nobody finds half of it

local HOUR = 3600000000

-- Whether the end of a batch was told to webhooks, where there are any. What is long ago is told by nobody any more.
local function is_told(batch, completed, told)
  if call('EXISTS', key('hooks')) == 0 then return true end
  for _, what in ipairs({ 'completed', 'failed', 'cancelled' }) do
    if call('ZSCORE', key('news'), what .. '|' .. int(num(completed)) .. '|' .. batch) then return false end
  end
  return num(told) >= num(completed) or num(completed) < NOW - HOUR
end

local function may_go(batch)
  local b = call('HMGET', key('batch', batch), 'state', 'sealed', 'completed', 'done', 'failed', 'parked', 'reserved', 'expired',
    'told')
  if b[1] ~= 'complete' or not set(b[2]) or b[3] ~= request.completed or num(b[4]) ~= num(request.done)
    or num(b[5]) ~= num(request.failed) or num(b[6]) > 0 or num(b[7]) > 0 or set(b[8]) then
    return false
  end
  return not call('ZSCORE', key('derive'), batch) and is_told(batch, b[3], b[9])
end

if request.look then return { may_go(request.batch) and 'ok' or 'changed', 0 } end

local turn = call('GET', key('retiring'))
if turn and turn ~= request.owner then return { 'other', 0 } end
if not turn and not request.turn then return { 'other', 0 } end
if request.over then
  call('DEL', key('retiring'))
  return { 'ok', 0 }
end
call('SET', key('retiring'), request.owner, 'PX', int(num(request.lasts) / 1000))
if request.turn then return { 'ok', 0 } end

if request.events then
  return { 'ok', call('XTRIM', key('events'), 'MINID', request.events) }
end

if request.failures then
  local changed = 0
  for _, asset in ipairs(request.failures) do
    local at = call('ZSCORE', key('failures'), asset)
    -- What may have been paid is for a person to decide. The asset itself stays failed: nothing makes it by itself.
    if at and num(at) <= num(request.upto) and call('HGET', key('a', asset), 'phase') == 'failed' then
      changed = changed + unlist_failure(asset)
    end
  end
  return { 'ok', changed }
end

-- Done assets. Whoever submits one, or puts it in the place of another, takes its mark away in the same script. So a marked one
-- that no line asks for, of those read after it was marked, is asked for by nobody.
local MOST_OUT = 10000

-- Assets for which a request may be out still; nothing where these are too many to be looked through.
local function out()
  local found = {}
  for _, index in ipairs({ 'leases', 'doubt' }) do
    if call('ZCARD', key(index)) > MOST_OUT then return nil end
    for _, member in ipairs(call('ZRANGE', key(index), 0, -1)) do
      found[string.match(member, ' (%S+)$') or ''] = true
    end
  end
  return found
end

local function is_forgotten(asset)
  local a = hash(key('a', asset))
  if a.going ~= request.round or a.phase ~= 'done' or a.parting or a.counting then return false end
  for field in pairs(a) do
    -- Only here is it known as perhaps paid, and taken back should its answer come.
    if string.find(field, '^unknown:') then return false end
  end
  local at = stored_at(asset, a.made)
  if not at or at > num(request.upto) then return false end
  if call('EXISTS', key('askers', asset)) == 1 and call('EXISTS', key('work')) == 1 then return false end
  local names = {}
  for n, kind in ipairs({ 'a', 's', 'made', 'failure', 'askers', 'rows' }) do names[n] = key(kind, asset) end
  call('DEL', unpack(names))
  return true
end

if request.every then
  if not is_of(LAYOUT) then return { 'older', 0 } end
  local last = num(call('HGET', key('meta'), 'looked'))
  if last <= NOW and last > NOW - num(request.every) then return { 'changed', 0 } end
  -- From now on, what a plan has found made here may be gone when it is submitted.
  call('HSET', key('meta'), 'looked', int(NOW), 'forgets', 1)
  return { 'ok', NOW }
end

if request.mark then
  for _, asset in ipairs(request.mark) do
    if call('HGET', key('a', asset), 'phase') == 'done' then call('HSET', key('a', asset), 'going', request.round) end
  end
  return { 'ok', #request.mark }
end

if request.forget then
  if not is_of(LAYOUT) then return { 'older', 0 } end
  local busy, gone = out(), 0
  for _, asset in ipairs(request.stay) do
    if call('HGET', key('a', asset), 'going') then call('HDEL', key('a', asset), 'going') end
  end
  for _, asset in ipairs(busy and request.forget or {}) do
    if not busy[asset] and is_forgotten(asset) then gone = gone + 1 end
  end
  return { 'ok', gone }
end

local batch = request.batch
if not may_go(batch) then return { 'changed', 0 } end
local left = 0
for _, asset in ipairs(request.leave) do
  if call('HGET', key('a', asset), 'phase') == 'failed' then
    leave(asset, batch)
    -- Of nobody any more, it is no failure until somebody asks again.
    parted(asset)
    left = left + 1
  end
end
-- What others revive must not be claimed for a batch that has neither tenant nor cap any more.
for _, route in ipairs(routes_of(batch)) do
  deactivate(route, batch)
  call('DEL', key('flow', route, batch))
end
for _, index in ipairs({ 'batches', 'deadlines', 'derive', 'underived' }) do call('ZREM', key(index), batch) end
call('ZREM', key('capped'), 'b:' .. batch)
for hook in pairs(hash(key('hooks'))) do call('ZREM', key('news_named'), batch .. '|' .. hook) end
call('DEL', key('failed', 'batch', batch))
for _, kind in ipairs({ 'batch', 'lines', 'chunks', 'swaps', 'redos' }) do call('DEL', key(kind, batch)) end
event('archived', '', batch)
return { 'ok', left }
