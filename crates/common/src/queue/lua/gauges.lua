-- Looks at what a namespace holds, for metrics. Writes nothing.
-- ARGV[1]  {routes, days}: at most 64 routes
-- Returns  {now, lanes: [[name, fields, in flight]], routes: [[route, ready]], leased, later, doubt, failed, derive, underived,
--          purses: [[scope, name, spent, reserved, cap or ""]],
--          hooks: [[endpoint, notices that wait, disabled]], cut: [what there is more of]}; numbers as texts
-- Complexity O(lanes + tenants) to name them; of these looks at 100 lanes, 500 flows, 500 tenants and 200 batches at most

local MOST_LANES, MOST_FLOWS, MOST_TENANTS, MOST_BATCHES, MOST_SHOWN = 100, 500, 500, 200, 50
local answer = { now = int(NOW), lanes = {}, routes = {}, purses = {}, cut = {} }
local function cut(what) answer.cut[#answer.cut + 1] = what end

-- The first of a set's members by name.
local function named(name, most, what)
  local members = call('SMEMBERS', name)
  if #members > most then cut(what) end
  table.sort(members)
  for i = #members, most + 1, -1 do members[i] = nil end
  return members
end

for _, lane in ipairs(named(key('lanes'), MOST_LANES, 'lanes')) do
  local in_flight = call('ZCOUNT', key('inflight', lane), int(NOW), '+inf')
  answer.lanes[#answer.lanes + 1] = { lane, hash(key('lane', lane)), int(in_flight) }
end

local flows_left = MOST_FLOWS
local function ready(route)
  local waiting = 0
  for _, member in ipairs(call('ZRANGE', key('route', route), 0, MOST_FLOWS)) do
    if flows_left <= 0 then break end
    for _, batch in ipairs(call('ZRANGE', key('flows', route, member), 0, flows_left - 1)) do
      flows_left = flows_left - 1
      waiting = waiting + call('ZCARD', key('flow', route, batch))
    end
  end
  return waiting
end
for i, route in ipairs(request.routes) do answer.routes[i] = { route, int(ready(route)) } end
if flows_left <= 0 then cut('flows') end

answer.leased, answer.later = int(call('ZCARD', key('leases'))), int(call('ZCARD', key('later')))
answer.doubt, answer.failed = int(call('ZCARD', key('doubt'))), int(call('ZCARD', key('failures')))
answer.derive, answer.underived = int(call('ZCARD', key('derive'))), int(call('ZCARD', key('underived')))

local function show(c, of)
  answer.purses[#answer.purses + 1] = { c.scope, of, int(c.spent), int(c.reserved), c.cap and int(c.cap) or '' }
end
for _, c in ipairs(purse_of_all(TODAY).counters) do show(c, '') end

local shown = 0
local function show_capped(purse, what)
  local capped = false
  for _, c in ipairs(purse.counters) do
    if c.cap and shown < MOST_SHOWN then show(c, purse.of) end
    capped = capped or c.cap
  end
  if not capped then return end
  if shown == MOST_SHOWN then cut(what) end
  shown = shown + 1
end

for _, tenant in ipairs(named(key('tenants'), MOST_TENANTS, 'tenants')) do
  show_capped(purse_of_tenant(tenant, TODAY), 'tenants')
end

shown = 0
local batches = call('ZREVRANGE', key('batches'), 0, MOST_BATCHES)
if #batches > MOST_BATCHES then cut('batches') end
for i = 1, math.min(#batches, MOST_BATCHES) do
  local purse = purse_of_batch(batches[i])
  if purse.state == 'open' then show_capped(purse, 'batches') end
end

answer.hooks = {}
for hook in pairs(hash(key('hooks'))) do
  if #answer.hooks == MOST_SHOWN then break end
  local off = set(call('HGET', key('hook', hook), 'disabled'))
  answer.hooks[#answer.hooks + 1] = { hook, int(call('ZCARD', key('notices', hook))), off and '1' or '0' }
end
return cjson.encode(answer)
