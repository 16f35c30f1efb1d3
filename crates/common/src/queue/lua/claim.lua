-- Takes up to `free` assets over all lanes: for each the lease, the permit and the reservation, or none.
-- ARGV[1]  {request, incarnation, sequence, lease, horizon, grace, free, profile?, lanes: [{lane, routes: [..]}]};
--          times in µs
-- Returns  JSON {now, grants: [{key, token, lane, slot, spec, ceiling, payer, attempts, unknowns, bad, unsent}], sleep, why, wake,
--          troubled?: [lane]};
--          the same request id gets the same answer for 30 s
-- Complexity O(granted * log(queue)); looks at no more than 8 spent flows and 32 stale heads

local answer_key = key('answer', request.request)
local before = call('GET', answer_key)
if before then return before end

local other = other_profile()
if other then return cjson.encode({ now = int(NOW), sleep = '1000000', why = 'profile ' .. other, wake = '0-0' }) end

local newest = call('XREVRANGE', key('wake'), '+', '-', 'COUNT', 1)
local answer = { now = int(NOW), grants = {}, sleep = '1000000', why = 'empty', wake = newest[1] and newest[1][1] or '0-0' }
local function finish(sleep, why)
  answer.sleep, answer.why = int(math.max(0, math.min(sleep, 1000000))), why
  if #answer.grants == 0 then
    answer.grants = nil
    return cjson.encode(answer)
  end
  local text = cjson.encode(answer)
  call('SET', answer_key, text, 'PX', 30000)
  return text
end

local grace = in_grace()
-- Nothing is spent before it is known what was spent: somebody must look into the archive.
if not BOOKS then return finish(1000000, 'books') end
if grace then return finish(grace - NOW, 'grace') end
stamp()
promote(request.free)

local stale, spent_flows = 32, 8
local sleep, why = 1000000, 'empty'

local function drop_flow(route, member, batch)
  spent_flows = spent_flows - 1
  call('ZREM', key('flows', route, member), batch)
end

-- Finds the next asset of a route without taking it.
local function peek(route)
  while stale > 0 and spent_flows > 0 do
    local head = call('ZRANGE', key('route', route), 0, 0, 'WITHSCORES')
    if not head[1] then return nil end
    local batch = call('ZRANGE', key('flows', route, head[1]), 0, 0)[1]
    if not batch then
      spent_flows = spent_flows - 1
      call('HSET', key('times'), route .. '|' .. head[1], head[2])
      call('ZREM', key('route', route), head[1])
    else
      local asset, row = unpack(call('ZRANGE', key('flow', route, batch), 0, 0, 'WITHSCORES'))
      local b = call('HMGET', key('batch', batch), 'cap', 'spent', 'reserved', 'state', 'held', 'band')
      if not asset or b[4] == 'cancelled' or set(b[5]) then
        drop_flow(route, head[1], batch)
      else
        local a = call('HMGET', key('a', asset), 'phase', 'ceiling', 'tokens', 'attempts', 'unknowns', 'bad',
          'unsent', 'batch', 'row')
        if a[1] ~= 'ready' or call('ZSCORE', key('later'), asset) then
          call('ZREM', key('flow', route, batch), asset)
          stale = stale - 1
        elseif b[1] and num(b[2]) + num(b[3]) + num(a[2]) > num(b[1]) then
          hold(batch, 'cap')
          spent_flows = spent_flows - 1
            else
          -- The first asker's row leaves its flow now; it is kept for a retry.
          row = a[9] or a[8] and a[8] ~= batch and row_of(asset, a[8]) or row
          return { key = asset, row = row, route = route, batch = batch, member = head[1], time = num(head[2]), ceiling = num(a[2]),
            tokens = num(a[3]), attempts = num(a[4]), unknowns = num(a[5]), bad = num(a[6]), unsent = num(a[7]), factor = FACTOR[b[6]] or 4 }
        end
      end
    end
  end
  sleep, why = 0, 'stale'
  return nil
end

local function over_total(ceiling)
  local b = call('HMGET', key('budget'), 'cap', 'spent', 'reserved')
  return b[1] and num(b[2]) + num(b[3]) + ceiling > num(b[1])
end

local function take(lane, pick, slot)
  local token = request.incarnation .. '-' .. int(request.sequence + #answer.grants)
  call('ZREM', key('flow', pick.route, pick.batch), pick.key)
  call('HSET', key('a', pick.key), 'phase', 'claimed', 'token', token, 'lane', lane.name, 'payer', pick.batch,
    'slot', int(slot), 'deadline', int(slot + request.lease), 'row', pick.row, 'epoch', int(lane.epoch))
  call('ZADD', key('leases'), int(NOW + request.lease), token .. ' ' .. pick.key)
  call('ZADD', key('inflight', lane.name), int(slot + request.lease + 2000000), token)
  reserve(token, pick.ceiling, pick.batch, lane.name)
  charge(lane, pick.tokens, slot)
  local advance = math.max(pick.ceiling, 1000) * pick.factor
  call('ZADD', key('route', pick.route), 'XX', int(pick.time + advance), pick.member)
  call('HSET', key('times'), pick.route, int(pick.time))
  answer.grants[#answer.grants + 1] = { key = pick.key, token = token, lane = lane.name, slot = int(slot),
    spec = call('GET', key('s', pick.key)) or '', ceiling = int(pick.ceiling), payer = pick.batch,
    attempts = pick.attempts, unknowns = pick.unknowns, bad = pick.bad, unsent = pick.unsent }
end

local function serve(spec)
  local lane = lane_of(spec.lane)
  -- A server that was wiped has no limits to go by: the worker declares them again.
  if not lane.dims then
    why = 'undeclared'
    return
  end
  if set(lane.faults) or set(lane.refused_since) then answer.troubled = answer.troubled or {}; table.insert(answer.troubled, lane.name) end
  local room = request.free - #answer.grants
  local most = set(lane.broken) and 1 or num(lane.in_flight)
  if most > 0 then
    call('ZREMRANGEBYSCORE', key('inflight', lane.name), '-inf', int(NOW))
    room = math.min(room, most - call('ZCARD', key('inflight', lane.name)))
  end
  if room <= 0 then
    why = 'in_flight'
    return
  end
  local at, idle = 1, 0
  while room > 0 and idle < #spec.routes do
    local pick = peek(spec.routes[at])
    at = at % #spec.routes + 1
    if not pick then
      idle = idle + 1
    else
      idle = 0
      local slot = slot_for(lane, pick.tokens)
      if slot > NOW + request.horizon then
        sleep, why = math.min(sleep, slot - request.horizon - NOW), pause_of(lane) >= slot and 'paused' or 'limit'
        break
      end
      if over_total(pick.ceiling) then
        why = 'budget'
        break
      end
      take(lane, pick, slot)
      room = room - 1
    end
  end
  save(lane)
end

for _, spec in ipairs(request.lanes) do serve(spec) end
local due = call('ZRANGE', key('later'), 0, 0, 'WITHSCORES')
if due[2] and why == 'empty' then sleep = math.min(sleep, num(due[2]) - NOW) end
return finish(sleep, why)
