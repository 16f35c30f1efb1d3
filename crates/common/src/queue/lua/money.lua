
-- Money -------------------------------------------------------------------
--
-- A purse counts money and caps it: `budget` all of it, tenant:NAME that of a tenant, batch:ID that of a batch. It has
-- cap, spent, reserved, and told, the highest part of the cap that was announced; the first two purses the same once
-- more for each day, as spent:DAY and so on, with the cap of every day in cap:day and the days that are kept in days.
-- request.days is [[when it begins, name]] of the days around now, in the time zone that the caps go by.

local PARTS = { 50, 80, 100 } -- of a cap, in percent, are announced
local MOST_DAYS = 32
local BY_CAP = { cap = true, tenant_cap = true, tenant_day_cap = true }

local function today()
  local name
  for _, day in ipairs(request.days or {}) do
    if not name or num(day[1]) <= NOW then name = day[2] end
  end
  return name
end
local TODAY = today()

local function counter(scope, suffix, cap, spent, reserved, told)
  return { scope = scope, suffix = suffix, cap = tonumber(cap), new = not spent, spent = num(spent), reserved = num(reserved),
    told = num(told) }
end

local function purse_with_days(name, scope, of, day)
  local v = call('HMGET', name, 'cap', 'spent', 'reserved', 'told', 'held', 'cap:day', 'spent:' .. (day or ''),
    'reserved:' .. (day or ''), 'told:' .. (day or ''))
  local purse = { name = name, of = of, day = day, held = v[5], counters = { counter(scope, '', v[1], v[2], v[3], v[4]) } }
  if day then
    purse.counters[2] = counter(scope == 'total' and 'day' or 'tenant_day', ':' .. day, v[6], v[7], v[8], v[9])
  end
  return purse
end
local function purse_of_all(day) return purse_with_days(key('budget'), 'total', '', day) end
local function purse_of_tenant(tenant, day) return purse_with_days(key('tenant', tenant), 'tenant', tenant, day) end

local function purse_of_batch(batch)
  local v = call('HMGET', key('batch', batch), 'cap', 'spent', 'reserved', 'told', 'held', 'need', 'state', 'band', 'tenant', 'order', 'deadline')
  return { name = key('batch', batch), of = batch, known = v[2] or v[3], held = set(v[5]) and v[5], need = num(v[6]), state = v[7],
    band = v[8], tenant = set(v[9]) and v[9] or told_tenant(batch), order = num(v[10]), deadline = tonumber(v[11]), counters = { counter('batch', '', v[1], v[2], v[3], v[4]) } }
end

-- The first of a purse's caps that an amount would exceed.
local function exceeded(purse, amount)
  for _, c in ipairs(purse.counters) do
    if c.cap and c.spent + c.reserved + amount > c.cap then return c end
  end
  return nil
end

local function room_of(purse)
  local room = math.huge
  for _, c in ipairs(purse.counters) do
    if c.cap then room = math.min(room, c.cap - c.spent - c.reserved) end
  end
  return room
end

local function change(purse, aside, spent)
  for _, c in ipairs(purse.counters) do c.reserved, c.spent = c.reserved + aside, c.spent + spent end
  purse.changed = true
end

-- A purse's first money of a day: that day is kept from now on, and the oldest is not.
local function begin_day(purse)
  local kept = {}
  for day in string.gmatch(call('HGET', purse.name, 'days') or '', '%S+') do
    if day == purse.day then return end
    kept[#kept + 1] = day
  end
  kept[#kept + 1] = purse.day
  if #kept > MOST_DAYS then
    local old = table.remove(kept, 1)
    call('HDEL', purse.name, 'spent:' .. old, 'reserved:' .. old, 'told:' .. old, 'unknown:' .. old)
  end
  call('HSET', purse.name, 'days', table.concat(kept, ' '))
  if purse.of ~= '' then call('SADD', key('tenants'), purse.of) end
end

local function keep(purse)
  if not purse.changed then return end
  local fields = {}
  local function add(c, kind, value)
    fields[#fields + 1] = kind .. c.suffix
    fields[#fields + 1] = int(value)
  end
  for _, c in ipairs(purse.counters) do
    add(c, 'spent', c.spent)
    add(c, 'reserved', c.reserved)
    if c.announced then add(c, 'told', c.told) end
  end
  call('HSET', purse.name, unpack(fields))
  if purse.day and purse.counters[2].new then begin_day(purse) end
end

-- The highest part of its cap that is spent.
local function part_spent(c)
  local part = 0
  for _, p in ipairs(PARTS) do
    if c.cap and c.spent * 100 >= c.cap * p then part = p end
  end
  return part
end

-- Parts of caps that this call has spent, each once for a cap and a day.
local alerts = {}

local function announce(purse)
  for _, c in ipairs(purse.counters) do
    local part = part_spent(c)
    for _, p in ipairs(PARTS) do
      if p > c.told and p <= part then
        local alert = cjson.encode({ scope = c.scope, name = purse.of, day = c.suffix ~= '' and purse.day or nil, percent = p,
          cap = int(c.cap), spent = int(c.spent), at = int(NOW) })
        alerts[#alerts + 1] = alert
        call('XADD', key('events'), 'MAXLEN', '~', 10000, '*', 'kind', 'budget', 'key', '', 'batch',
          c.scope == 'batch' and purse.of or '', 'alert', alert)
      end
    end
    if part > c.told then c.told, c.announced = part, true end
  end
end

-- Holding -----------------------------------------------------------------
--
-- A flow over its own or its tenant's cap is held. capped:TENANT has a tenant's held flows by what their next asset may
-- cost, `capped` the tenants (t:) and batches (b:) that have some by the time of the last look: the reaper looks again.

local function hold_for(batch, purse, reason, need)
  hold(batch, reason)
  if reason == 'cap' then
    call('HSET', key('batch', batch), 'need', int(need))
    call('ZADD', key('capped'), 'NX', int(NOW), 'b:' .. batch)
  else
    local order = num(call('HGET', key('batch', batch), 'order'))
    call('ZADD', key('capped', purse.of), int(need), string.format('%012.0f %s', order, batch))
    call('HSET', purse.name, 'held', 1)
    call('ZADD', key('capped'), 'NX', int(NOW), 't:' .. purse.of)
    purse.held = '1'
  end
end

-- Lets flows of a tenant go on whose next asset it has room for, those submitted first before others; how many.
local function resume_some(purse, most)
  local room = room_of(purse)
  local name = key('capped', purse.of)
  local some = call('ZRANGEBYSCORE', name, '-inf', room == math.huge and '+inf' or int(room), 'LIMIT', 0, most)
  for _, member in ipairs(some) do
    call('ZREM', name, member)
    local batch = string.match(member, '^%d+ (.+)$')
    if BY_CAP[call('HGET', key('batch', batch), 'held') or ''] then resume(batch) end
  end
  return #some
end

-- Moves money in all purses of a payer: in all, of the tenant, of the batch. Without a tenant nothing was set aside
-- for one.
local function move(payer, tenant, day, aside, spent)
  local purses = { purse_of_all(day) }
  local batch = set(payer) and purse_of_batch(payer)
  local who = set(tenant) and tenant or spent ~= 0 and batch and batch.tenant
  change(purses[1], aside, spent)
  if set(who) then
    purses[2] = purse_of_tenant(who, day)
    change(purses[2], set(tenant) and aside or 0, spent)
  end
  local owner = purses[2]
  if batch and (batch.known or aside > 0) then
    change(batch, aside, spent)
    purses[#purses + 1] = batch
  end
  for _, purse in ipairs(purses) do
    if spent > 0 then announce(purse) end
    keep(purse)
  end
  if aside + spent >= 0 then return end
  local resumed = 0
  if batch and batch.held == 'cap' and not exceeded(batch, batch.need) then
    resume(payer)
    resumed = 1
  end
  if owner and owner.held and (day == TODAY or not TODAY) then resumed = resumed + resume_some(owner, 4) end
  if resumed > 0 then wake() end
end

local function note_reservation(token, amount, payer, tenant, lane)
  call('HSET', key('reservations'), token,
    cjson.encode({ amount = int(amount), payer = payer, lane = lane, tenant = tenant or '', day = TODAY }))
end

local function reserve(token, amount, payer, lane, tenant)
  tenant = tenant_of(payer) or tenant or ''
  note_reservation(token, amount, payer, tenant, lane)
  move(payer, tenant, TODAY, amount, 0)
end

-- Takes back all that a token holds but its money: in-flight slot, lease, doubt; returns its reservation. What has
-- ended stays ended: a renewal that was under way at the time must not bring it back.
local function let_go(token, asset)
  call('SET', key('ended', token), 1, 'EX', 120)
  local held = call('HGET', key('reservations'), token)
  call('ZREM', key('leases'), token .. ' ' .. asset)
  call('ZREM', key('doubt'), token .. ' ' .. asset)
  if not held then return nil end
  held = cjson.decode(held)
  call('HDEL', key('reservations'), token)
  call('ZREM', key('inflight', held.lane), token)
  return held
end

-- Turns a reservation, if there is one, into what was spent, on the day and under the caps it was made for; returns the
-- day.
local function pay(held, payer, amount, day)
  day = day or held and held.day or TODAY
  if held and (held.payer ~= payer or held.day ~= day) then
    move(held.payer, held.tenant, held.day, 0 - num(held.amount), 0)
    held = nil
  end
  if held then
    move(payer, held.tenant, day, 0 - num(held.amount), amount)
  elseif amount ~= 0 then
    move(payer, nil, day, 0, amount)
  end
  return day
end

-- Gives back all that a token holds.
local function free(token, asset)
  local held = let_go(token, asset)
  if held then pay(held, held.payer, 0) end
  return held
end

-- The same of a claim in which a server believes that went back in time: how it ended is not known here, and may be told.
local function free_forgotten(token, asset)
  free(token, asset)
  call('DEL', key('ended', token))
end

-- Counts money of which nobody knows whether it was spent, with its sign.
local function count_unknown(payer, day, amount)
  local tenant = set(payer) and tenant_of(payer)
  for _, name in ipairs({ key('budget'), set(tenant) and key('tenant', tenant) or nil }) do
    call('HINCRBY', name, 'unknown', int(amount))
    if set(day) then call('HINCRBY', name, 'unknown:' .. day, int(amount)) end
  end
  if set(payer) and call('HEXISTS', key('batch', payer), 'spent') == 1 then
    call('HINCRBY', key('batch', payer), 'unknown', int(amount))
  end
end

-- Takes an unknown that turned out off the books; returns what it had been counted as, and on which day.
local function resolve(request)
  local asset = key('a', request.key)
  local known = call('HMGET', asset, 'unknown:' .. request.token, 'day:' .. request.token)
  if not known[1] then return 0, nil end
  local counted, day = num(known[1]), known[2] or nil
  call('HDEL', asset, 'unknown:' .. request.token, 'day:' .. request.token)
  -- Those from before a retry are not counted any more.
  if call('HINCRBY', asset, 'unknowns', -1) < 1 then call('HDEL', asset, 'unknowns') end
  count_unknown(request.payer, day, 0 - counted)
  ledger('resolved', request.key, request.token, counted, request, day)
  return counted, day
end

-- Enters what was spent before Redis was wiped. The parts of a cap that it reaches were announced at their time.
local function enter(purse, at, spent)
  local c = purse.counters[at]
  c.spent = c.spent + num(spent)
  c.told, c.announced, purse.changed = math.max(c.told, part_spent(c)), true, true
  keep(purse)
end

-- Sets one of a purse's caps, or lifts it. What is spent of it already is not announced: who sets it sees that.
local function recap(purse, at, amount)
  local c = purse.counters[at]
  local field = at == 2 and 'cap:day' or 'cap'
  if c.cap == amount then return false end
  c.cap = amount
  if amount then
    call('HSET', purse.name, field, int(amount), 'told' .. c.suffix, part_spent(c))
  else
    call('HDEL', purse.name, field, 'told' .. c.suffix)
  end
  if c.scope == 'batch' then
    if purse.held == 'cap' then resume(purse.of) end
  elseif purse.of ~= '' then
    call('SADD', key('tenants'), purse.of)
    resume_some(purse, 100)
  end
  return true
end
