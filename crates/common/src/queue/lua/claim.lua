-- Takes up to `free` assets over all lanes: for each the lease, the permit and the reservation, or none.
-- ARGV[1]  {request, again?, incarnation, sequence, lease, horizon, grace, free, profile?, days, lanes: [{lane, routes: [..]}]};
--          times in µs
-- Returns  JSON {now, grants: [{key, token, lane, slot, spec, ceiling, payer, tenant, attempts, unknowns, bad, unsent}], sleep, why, wake,
--          troubled?: [lane]};
--          the same request id gets the same answer for 30 s, and nothing new with `again`: its tokens may be in use
-- Complexity O(granted * log(queue)); looks at no more than 8 spent flows and 32 stale heads

local answer_key = key('answer', request.request)
local before = call('GET', answer_key)
if before then return before end

local other = other_profile()
if other then return cjson.encode({ now = int(NOW), sleep = '1000000', why = 'profile ' .. other, wake = '0-0' }) end

if request.again then return cjson.encode({ now = int(NOW), sleep = '0', why = 'again', wake = '0-0' }) end
local newest = call('XREVRANGE', key('wake'), '+', '-', 'COUNT', 1)
local answer = { now = int(NOW), grants = {}, sleep = '1000000', why = 'empty', wake = newest[1] and newest[1][1] or '0-0' }
local all, tenants, batches = nil, {}, {}
local function finish(sleep, why)
  if #answer.grants > 0 then
    keep(all)
    for _, purse in pairs(tenants) do keep(purse) end
    for _, purse in pairs(batches) do keep(purse) end
  end
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
-- Also in a grace: one would follow another while reapers are busy with telling Redis what it has forgotten.
stamp()

-- An image that comes heals its lane: whoever claims knows that this is to be told.
local function name_troubled(lane)
  if not set(lane.faults) and not set(lane.refused_since) then return end
  answer.troubled = answer.troubled or {}
  table.insert(answer.troubled, lane.name)
end

if grace or not BOOKS then
  -- What was sent goes on: its failures would count as being in a row, whatever images came in between.
  for _, spec in ipairs(request.lanes) do name_troubled(lane_of(spec.lane)) end
  -- Nothing is spent before it is known what was spent: somebody must look into the archive.
  if not BOOKS then return finish(1000000, 'books') end
  return finish(grace - NOW, 'grace')
end
promote(request.free)

local stale, spent_flows = 32, 8
local sleep, why = 1000000, 'empty'

local function drop_flow(route, member, batch)
  spent_flows = spent_flows - 1
  call('ZREM', key('flows', route, member), batch)
end

-- Purses are read once a call, and written at its end.
local function purse_of(batch)
  local purse = batches[batch]
  if not purse then
    purse = purse_of_batch(batch)
    batches[batch] = purse
    local tenant = purse.tenant
    if tenant and not tenants[tenant] then tenants[tenant] = purse_of_tenant(tenant, TODAY) end
  end
  return purse, tenants[purse.tenant]
end

-- Holds a flow whose own or tenant's money does not reach for its next asset.
local function held_by_cap(batch, own, tenant, ceiling)
  local over = exceeded(own, ceiling)
  if over then
    hold_for(batch, own, 'cap', ceiling)
    own.held = 'cap'
    return true
  end
  over = tenant and exceeded(tenant, ceiling)
  if not over then return false end
  own.held = over.scope .. '_cap'
  hold_for(batch, tenant, own.held, ceiling)
  return true
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
      local own, tenant = purse_of(batch)
      if not asset or own.state == 'cancelled' or own.held or own.deadline and own.deadline <= NOW then
        drop_flow(route, head[1], batch)
      else
        local a = call('HMGET', key('a', asset), 'phase', 'ceiling', 'tokens', 'attempts', 'unknowns', 'bad',
          'unsent', 'batch', 'row')
        if a[1] ~= 'ready' or call('ZSCORE', key('later'), asset) then
          call('ZREM', key('flow', route, batch), asset)
          stale = stale - 1
        elseif held_by_cap(batch, own, tenant, num(a[2])) then
          spent_flows = spent_flows - 1
        else
          -- The first asker's row leaves its flow now; it is kept for a retry.
          row = a[9] or a[8] and a[8] ~= batch and row_of(asset, a[8]) or row
          return { key = asset, row = row, route = route, batch = batch, member = head[1], time = num(head[2]), ceiling = num(a[2]),
            tokens = num(a[3]), attempts = num(a[4]), unknowns = num(a[5]), bad = num(a[6]), unsent = num(a[7]), factor = FACTOR[own.band] or 4 }
        end
      end
    end
  end
  sleep, why = 0, 'stale'
  return nil
end

local function over_budget(ceiling)
  all = all or purse_of_all(TODAY)
  return exceeded(all, ceiling)
end

local function set_aside(token, pick, lane)
  local own, tenant = purse_of(pick.batch)
  change(all, pick.ceiling, 0)
  change(own, pick.ceiling, 0)
  if tenant then change(tenant, pick.ceiling, 0) end
  note_reservation(token, pick.ceiling, pick.batch, own.tenant, lane)
end

local function take(lane, pick, slot)
  local token = request.incarnation .. '-' .. int(request.sequence + #answer.grants)
  call('ZREM', key('flow', pick.route, pick.batch), pick.key)
  call('HSET', key('a', pick.key), 'phase', 'claimed', 'token', token, 'lane', lane.name, 'payer', pick.batch,
    'slot', int(slot), 'deadline', int(slot + request.lease), 'row', pick.row)
  if lane.epoch > 0 then call('HSET', key('a', pick.key), 'epoch', int(lane.epoch)) end
  call('ZADD', key('leases'), int(NOW + request.lease), token .. ' ' .. pick.key)
  call('ZADD', key('inflight', lane.name), int(slot + request.lease + 2000000), token)
  set_aside(token, pick, lane.name)
  charge(lane, pick.tokens, slot)
  if set(lane.broken) then call('HSET', key('lane', lane.name), 'probe', token) end
  local advance = math.max(pick.ceiling, 1000) * pick.factor
  call('ZADD', key('route', pick.route), 'XX', int(pick.time + advance), pick.member)
  call('HSET', key('times'), pick.route, int(pick.time))
  answer.grants[#answer.grants + 1] = { key = pick.key, token = token, lane = lane.name, slot = int(slot),
    spec = call('GET', key('s', pick.key)) or '', ceiling = int(pick.ceiling), payer = pick.batch, tenant = purse_of(pick.batch).tenant or '',
    attempts = pick.attempts, unknowns = pick.unknowns, bad = pick.bad, unsent = pick.unsent }
end

local function serve(spec)
  local lane = lane_of(spec.lane)
  -- A server that was wiped has no limits to go by: the worker declares them again.
  if not lane.dims then
    why = 'undeclared'
    return
  end
  name_troubled(lane)
  local room = request.free - #answer.grants
  if set(lane.broken) or num(lane.in_flight) > 0 then
    call('ZREMRANGEBYSCORE', key('inflight', lane.name), '-inf', int(NOW))
  end
  if num(lane.in_flight) > 0 then room = math.min(room, num(lane.in_flight) - call('ZCARD', key('inflight', lane.name))) end
  -- After a rest one request finds out whether the API works again.
  if set(lane.broken) then room = set(lane.probe) and call('ZSCORE', key('inflight', lane.name), lane.probe) and 0 or math.min(room, 1) end
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
        -- Half a horizon's worth of permits at a time: fewer calls, and still nobody is late.
        sleep, why = math.min(sleep, math.max(slot - request.horizon - NOW, request.horizon / 2)), pause_of(lane) >= slot and 'paused' or 'limit'
        break
      end
      if over_budget(pick.ceiling) then
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
