-- Shared by every script; put before each of them.
-- KEYS[1]  the namespace prefix with its hash tag, "{ns}:"; every other key starts with it
-- ARGV[1]  the request, one JSON object; each script lists its fields
--
-- Of an asset (KEY is its key) there are a:KEY, a hash small enough for a listpack that leaves out what is 0 or
-- empty, and s:KEY, its spec, until it is made; failure:KEY, askers:KEY, rows:KEY and made:KEY only where needed.

local P = KEYS[1]
local request = cjson.decode(ARGV[1])
local call = redis.call

local function key(kind, name, more)
  if more then return P .. kind .. ':' .. name .. ':' .. more end
  if name then return P .. kind .. ':' .. name end
  return P .. kind
end
local function num(value) return tonumber(value) or 0 end
local function int(number) return string.format('%.0f', number) end
local function minus(number) return int(0 - num(number)) end
local function set(value) return value and value ~= '' and value ~= cjson.null end

-- The layout these scripts write. A namespace that was taken over to a newer one refuses them, so that a worker that
-- was frozen or cut off meanwhile changes nothing any more.
local LAYOUT = 5
local layout = num(call('HGET', key('meta'), 'layout'))
if layout > LAYOUT then
  return redis.error_reply('LAYOUT the namespace has layout ' .. layout .. ' now, this version of Pictor knows ' .. LAYOUT
    .. ' at most: stop this process and start the newer version')
end

-- Whether nobody writes here who knows an older layout only. A new namespace has its layout before a worker has said so.
local function is_of(number)
  return layout >= number or layout == 0 and num(call('GET', key('schema'))) >= number
end
local function has_lists() return is_of(4) end

local clock = call('TIME')
local NOW = num(clock[1]) * 1000000 + num(clock[2])
local MAX_SHARED = 100
local GRACE_GAP = 3000000

local ENDED = { done = true, failed = true, parked = true, substituted = true }

local function hash(name)
  local flat, fields = call('HGETALL', name), {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local function event(kind, asset, batch)
  call('XADD', key('events'), 'MAXLEN', '~', 10000, '*', 'kind', kind, 'key', asset or '', 'batch', batch or '')
end

local function wake() call('XADD', key('wake'), 'MAXLEN', '~', 100, '*', 'at', int(NOW)) end

-- Grace -------------------------------------------------------------------

local function server_id()
  return string.match(call('INFO', 'server'), 'run_id:(%x+)') or ''
end

-- Since when the namespace is, and whether it knows what was spent before that; once `in_grace` has looked.
local BEGUN, BOOKS

-- Finds out whether live workers must be given time to re-assert their leases first.
local function in_grace()
  local seen = call('HMGET', key('meta'), 'stamp', 'server', 'grace_until', 'epoch', 'books')
  BEGUN, BOOKS = seen[4], seen[5]
  local stamp, grace = num(seen[1]), num(seen[3])
  if grace > NOW + request.grace then grace = NOW + request.grace end
  local server = server_id()
  if stamp < NOW - GRACE_GAP or stamp > NOW + 1000000 or seen[2] ~= server then
    grace = NOW + request.grace
    call('HSET', key('meta'), 'stamp', int(NOW), 'server', server, 'grace_until', int(grace))
  end
  return grace > NOW and grace or false
end

-- Tells what Redis knows from what it knew: since when the namespace is, and which run of which server holds it.
-- A server that was wiped, replaced or started from an older file has another.
local function epoch()
  return (call('HGET', key('meta'), 'epoch') or '') .. ' ' .. server_id()
end

-- What was new when it was looked up may have been made, and forgotten after a day, where old assets are: µs.
local GOOD_FOR = 43200000000

-- Whether Redis may have forgotten what the caller looked up.
local function has_forgotten()
  if set(request.epoch) and request.epoch ~= epoch() then return true end
  return set(request.looked) and NOW - num(request.looked) > GOOD_FOR and call('HEXISTS', key('meta'), 'forgets') == 1
end

local function stamp() call('HSET', key('meta'), 'stamp', int(NOW)) end

-- The profile that the namespace belongs to, if that is another. One that was wiped belongs to whoever works there
-- next.
local function other_profile()
  local own = set(request.profile) and request.profile
  local owner = call('GET', key('profile'))
  if owner then return owner ~= own and owner end
  if own then call('SET', key('profile'), own) end
  return false
end

-- Fair queue --------------------------------------------------------------

local FACTOR = { interactive = 1, normal = 4, bulk = 16 }

local function member_of(batch)
  local b = call('HMGET', key('batch', batch), 'tenant', 'band', 'state', 'held')
  return (b[1] or '?') .. '|' .. (b[2] or 'normal'), b[3], b[4]
end

-- Lets a flow be claimed from, unless it is held, cancelled or empty.
local function activate(route, batch)
  local member, state, held = member_of(batch)
  if state == 'cancelled' or set(held) then return end
  local order = num(call('HGET', key('batch', batch), 'order'))
  call('ZADD', key('flows', route, member), 'NX', int(order), batch)
  if not call('ZSCORE', key('route', route), member) then
    local times = call('HMGET', key('times'), route, route .. '|' .. member)
    call('ZADD', key('route', route), int(math.max(num(times[1]), num(times[2]))), member)
  end
end

local function deactivate(route, batch)
  local member = member_of(batch)
  call('ZREM', key('flows', route, member), batch)
end

local function routes_of(batch)
  local routes = {}
  for route in string.gmatch(call('HGET', key('batch', batch), 'routes') or '', '%S+') do
    routes[#routes + 1] = route
  end
  return routes
end

local function hold(batch, reason)
  for _, route in ipairs(routes_of(batch)) do deactivate(route, batch) end
  call('HSET', key('batch', batch), 'held', reason)
end

local function resume(batch)
  call('HDEL', key('batch', batch), 'held')
  for _, route in ipairs(routes_of(batch)) do
    if call('EXISTS', key('flow', route, batch)) == 1 then activate(route, batch) end
  end
end

-- The batches that ask for an asset: the first from its hash, more from a set in the order they joined.
local function askers(asset)
  local a = call('HMGET', key('a', asset), 'batch', 'shared')
  local list = {}
  if set(a[1]) then list[1] = a[1] end
  if set(a[2]) then
    local more = call('ZRANGE', key('askers', asset), 0, MAX_SHARED, 'WITHSCORES')
    for i = 1, math.min(#more, 2 * MAX_SHARED), 2 do
      list[#list + 1], list.last = more[i], more[i + 1]
    end
    list.more = #more > 2 * MAX_SHARED
  end
  return list
end

-- Leaves the batches beyond the first hundred to the work-list, up to those that ask now.
local function rest(asset, list, work)
  if not list.more then return end
  local newest = call('ZRANGE', key('askers', asset), -1, -1, 'WITHSCORES')
  work.asset, work.cursor, work.upto = asset, list.last, newest[2]
  call('RPUSH', key('work'), cjson.encode(work))
end

-- The row of a batch that asks for an asset. That of the first asker is in its flow, and once the asset was claimed
-- in the asset's own hash.
local function row_of(asset, batch)
  local a = call('HMGET', key('a', asset), 'batch', 'row', 'route')
  if a[1] ~= batch then return call('HGET', key('rows', asset), batch) end
  return a[2] or call('ZSCORE', key('flow', a[3] or '', batch), asset) or 0
end

local function enqueue(asset, route, batch)
  local row = row_of(asset, batch)
  if not row then return false end
  call('ZADD', key('flow', route, batch), row, asset)
  activate(route, batch)
  return true
end

-- Gives up an asset that nobody asks for, unless it was sent. Its hash stays also where it tells of money: an answer
-- may still come, and by that it is known as charged.
local function forget(asset)
  local a = hash(key('a', asset))
  if num(a.attempts) > 0 then return end
  for field in pairs(a) do
    if string.find(field, '^unknown:') or string.find(field, '^paid:') then return end
  end
  call('ZREM', key('later'), asset)
  call('DEL', key('a', asset), key('s', asset), key('failure', asset))
  -- Batches may count what was removed still.
  if a.gone then call('HSET', key('a', asset), 'gone', a.gone) end
  if a.counted then call('HSET', key('a', asset), 'counted', 1) end
end

-- Makes an asset ready and a member of every flow that asks for it.
local function requeue(asset, due)
  local route = call('HGET', key('a', asset), 'route')
  call('HSET', key('a', asset), 'phase', 'ready')
  call('HDEL', key('a', asset), 'token', 'lane', 'payer', 'slot', 'deadline', 'epoch')
  if due and due > NOW then
    call('ZADD', key('later'), int(due), asset)
    return
  end
  call('ZREM', key('later'), asset)
  local list = askers(asset)
  if not list[1] then return forget(asset) end
  for _, batch in ipairs(list) do enqueue(asset, route, batch) end
  rest(asset, list, { kind = 'enqueue' })
end

local function promote(limit)
  local due = call('ZRANGEBYSCORE', key('later'), '-inf', int(NOW), 'LIMIT', 0, limit)
  for _, asset in ipairs(due) do
    call('ZREM', key('later'), asset)
    if call('HGET', key('a', asset), 'phase') == 'ready' then requeue(asset) end
  end
  return #due
end

-- News --------------------------------------------------------------------

local MOST_NEWS = 10000

-- Leaves word for webhooks, where any are declared. It is named by what it says: told twice, it is the same.
local function news(what, at, name)
  if call('EXISTS', key('hooks')) == 0 then return end
  call('ZADD', key('news'), 'NX', int(num(at)), what .. '|' .. int(num(at)) .. '|' .. name)
  local over = call('ZCARD', key('news')) - MOST_NEWS
  if over > 0 then
    call('ZPOPMIN', key('news'), over)
    call('HINCRBY', key('meta'), 'news_dropped', over)
  end
end

local function news_of_end(batch)
  local b = call('HMGET', key('batch', batch), 'state', 'completed', 'failed', 'parked')
  local what = num(b[3]) + num(b[4]) > 0 and 'failed' or 'completed'
  news(b[1] == 'cancelled' and 'cancelled' or what, b[2], batch)
end

-- Counting ----------------------------------------------------------------

local function close_if_complete(batch)
  local b = call('HMGET', key('batch', batch), 'sealed', 'done', 'failed', 'parked', 'state', 'assets', 'doubled', 'expired')
  -- Past its deadline, what was on its way or is made for others still counts.
  if not set(b[1]) or b[5] ~= 'open' and not b[8] then return end
  if num(b[2]) + num(b[3]) + num(b[4]) + num(b[7]) >= num(b[6]) then
    call('HSET', key('batch', batch), 'state', 'complete', 'completed', int(NOW))
    if b[8] then call('HDEL', key('batch', batch), 'expired', 'reason') end
    event('complete', '', batch)
    if call('HEXISTS', key('batch', batch), 'derive') == 1 then call('ZADD', key('derive'), int(NOW), batch) end
    news_of_end(batch)
  end
end

local function count_in(batch, from, to)
  local name = key('batch', batch)
  if call('EXISTS', name) == 0 then return end
  if ENDED[from] then
    call('HINCRBY', name, from, -1)
    if call('HGET', name, 'state') == 'complete' then
      call('HSET', name, 'state', 'open')
      local deadline = call('HGET', name, 'deadline')
      if deadline then call('ZADD', key('deadlines'), deadline, batch) end
    end
  end
  if ENDED[to] then
    call('HINCRBY', name, to, 1)
    close_if_complete(batch)
  end
end

-- Moves an asset's count in every batch that asks for it; beyond a hundred by work-list, and as long as `counting` says
-- that this is not done, no batch may leave the asset with a count of it. True when all are counted.
local function count(asset, from, to)
  if from == to or not (ENDED[from] or ENDED[to]) then return true end
  local list = askers(asset)
  for _, batch in ipairs(list) do count_in(batch, from, to) end
  rest(asset, list, { kind = 'count', from = from, to = to })
  -- An older version would not take the mark away.
  if list.more and has_lists() then call('HINCRBY', key('a', asset), 'counting', 1) end
  return not list.more
end

-- An asset is done; keeps what was made: a short record in the asset's hash, which stays small, or all of it beside.
local function keep_made(asset, made)
  if string.sub(made, 1, 1) == '{' then
    call('SET', key('made', asset), made)
    call('HSET', key('a', asset), 'phase', 'done')
  else
    call('HSET', key('a', asset), 'phase', 'done', 'made', made)
  end
end

-- Whether nobody may send an asset any more, or at a time to come: all of its first hundred askers are past their deadlines
-- then.
local function too_late(asset, at)
  local list = askers(asset)
  for _, batch in ipairs(list) do
    local deadline = call('HGET', key('batch', batch), 'deadline')
    if not deadline or num(deadline) > (at or NOW) then return false end
  end
  return list[1] ~= nil
end

-- Books -------------------------------------------------------------------

-- The tenant of a batch that pays, as its worker knows it: the batch itself may be forgotten.
local function told_tenant(batch) return batch == request.payer and set(request.tenant) and request.tenant or nil end
local function tenant_of(batch) return call('HGET', key('batch', batch), 'tenant') or told_tenant(batch) end

-- `day` is the one whose caps the money counts against.
local function ledger(kind, asset, token, cost, more, day)
  local entry = { kind = kind, key = asset, token = token, attempt = int(num(more.attempt)), cost = int(cost),
    batch = more.payer or '', tenant = '', lane = more.lane or '', model = more.model or '',
    request_id = set(more.request_id) and more.request_id or '', at = int(NOW), day = day or '' }
  if set(more.payer) then entry.tenant = tenant_of(more.payer) or '' end
  call('XADD', key('ledger'), '*', 'entry', cjson.encode(entry))
end
