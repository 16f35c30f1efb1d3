-- Puts a chunk of a batch into the queue; safe to repeat, adds only what is missing. Chunks come in the order of
-- their rows; one that comes before its turn is refused whole.
-- ARGV[1]  {batch, tenant, band, content, source, columns, cap?, fallback?, on_unknown?, deadline?, derive?, retry_failed, first, upto, after?,
--          epoch?, looked?, relied?, lines, kinds: [[route, ceiling, tokens]], made: {number of an asset: short record or JSON}}: the first and
--          last row, the last row of the chunk before (0 for none), the epoch in which its assets were looked up, and when, µs, "1" for
--          each of them that Redis knew and "0" for the others, how many lines
-- ARGV[2]  keys of the assets, 32 bytes each
-- ARGV[3]  the lines, packed
-- ARGV[4…] four for each asset: key, row, number of its kind, spec
-- Returns  JSON {key?, status: "ok"|"forgot"|"gone"|"gap"|"other_content"|"cancelled"|"expired", new, made, queued, failed}; gone: an
--          image was removed since it was looked up, or is being removed
-- Complexity O(assets * log(queue)); at most 500 assets and 500 lines a call

-- What was found in Redis then may be in the store alone now.
if has_forgotten() then return cjson.encode({ status = 'forgot' }) end
-- So it may be with what was made and went by its age since, or was removed.
local goes = call('HMGET', key('meta'), 'forgets', 'gone')
if set(request.relied) and (goes[1] or goes[2]) then
  for n = 1, #request.relied do
    if string.sub(request.relied, n, n) == '1' then
      local a = call('HMGET', key('a', ARGV[4 * n]), 'phase', 'gone')
      if not a[1] then return cjson.encode({ status = a[2] and 'gone' or 'forgot', key = ARGV[4 * n] }) end
    end
  end
end
if goes[2] then
  for n, made in pairs(request.made) do
    local asset = ARGV[4 * tonumber(n)]
    if is_gone(asset, made) and call('HEXISTS', key('a', asset), 'phase') == 0 then
      return cjson.encode({ status = 'gone', key = asset })
    end
  end
end

local batch = request.batch
local name = key('batch', batch)
local old = call('HMGET', name, 'content', 'state', 'last', 'assets', 'lines', 'routes', 'substituted', 'deadline', 'expired',
  'redone')
if old[1] and old[1] ~= request.content then return cjson.encode({ status = 'other_content' }) end
local deadline = tonumber(request.deadline)
local later = deadline and deadline > NOW and deadline > num(old[8])
-- Past its deadline, a batch that is complete has nothing made again.
local late = num(old[8]) > 0 and num(old[8]) <= NOW and not later
if (old[9] or old[8] and old[2] == 'open' and num(old[8]) <= NOW) and not later then return cjson.encode({ status = 'expired' }) end
if old[2] == 'cancelled' and not old[9] then return cjson.encode({ status = 'cancelled' }) end
-- What is in another's place is not made again, whatever becomes of that.
local swaps = num(old[7]) > 0 or set(old[10])
if goes[2] and call('EXISTS', key('removing')) == 1 then
  for n = 4, #ARGV, 4 do
    if is_removing(ARGV[n]) and not (swaps and instead_of(batch, ARGV[n])) then
      return cjson.encode({ status = 'gone', key = ARGV[n] })
    end
  end
end

-- Rows up to `last` are in. What is in is not counted again; its assets are looked at all the same.
local last = tonumber(old[3])
local fresh = not last or request.upto > last
if fresh and (last and request.first <= last or tonumber(request.after) and request.after ~= num(last)) then
  return cjson.encode({ status = 'gap' })
end

if not old[1] then
  local order = call('HINCRBY', key('meta'), 'order', 1)
  call('HSET', name, 'tenant', request.tenant, 'band', request.band, 'content', request.content,
    'source', request.source, 'columns', request.columns, 'state', 'open', 'created', int(NOW),
    'order', order, 'done', 0, 'failed', 0, 'parked', 0)
  if set(request.fallback) then call('HSET', name, 'fallback', request.fallback) end
  call('HSETNX', name, 'spent', 0)
  call('HSETNX', name, 'reserved', 0)
  call('ZADD', key('batches'), int(NOW), batch)
end
if later or deadline and not old[1] then set_deadline(batch, deadline) end
if set(request.cap) then
  recap(purse_of_batch(batch), 1, num(request.cap))
end
if set(request.on_unknown) then call('HSET', name, 'on_unknown', request.on_unknown) end
if set(request.derive) then
  call('HSET', name, 'derive', request.derive)
  call('ZADD', key('derive'), int(NOW), batch)
end

local routes, known = old[6] or '', {}
for route in string.gmatch(routes, '%S+') do known[route] = true end
for _, kind in ipairs(request.kinds) do
  local route = kind[1]
  if not known[route] then
    known[route] = true
    routes = routes == '' and route or routes .. ' ' .. route
  end
end
if routes ~= (old[6] or '') then call('HSET', name, 'routes', routes) end

if fresh then
  local assets = num(old[4]) + (#ARGV - 3) / 4
  call('HSET', name, 'last', int(request.upto), 'assets', int(assets), 'lines', int(num(old[5]) + request.lines))
  call('XADD', key('lines', batch), int(request.upto) .. '-1', 'k', ARGV[2], 'v', ARGV[3])
  -- A chunk that brings no asset is found behind the one before it.
  if #ARGV > 3 then call('ZADD', key('chunks', batch), int(assets), int(request.upto)) end
end

-- Calls that take many pairs are made for 400 of them at once.
local MOST = 800
local specs, flows = {}, {}

local function set_spec(asset, spec)
  specs[#specs + 1], specs[#specs + 2] = key('s', asset), spec
  if #specs >= MOST then
    call('MSET', unpack(specs))
    specs = {}
  end
end

local function line_up(route, row, asset)
  local flow = flows[route] or {}
  flow[#flow + 1], flow[#flow + 2] = row, asset
  if #flow >= MOST then
    call('ZADD', key('flow', route, batch), unpack(flow))
    flow = {}
  end
  flows[route] = flow
end

-- Assets of a kind start alike: one is written, the others are copies.
local function sample_of(kind)
  if not kind.sample then
    kind.sample = key('sample', kind[1], kind[2] .. ':' .. kind[3])
    call('HSET', kind.sample, 'phase', 'ready', 'route', kind[1], 'ceiling', kind[2], 'batch', batch)
    if kind[3] ~= '0' then call('HSET', kind.sample, 'tokens', kind[3]) end
  end
  return kind.sample
end

-- `home` is the name of the asset's hash.
local function create(asset, home, row, kind, spec, made)
  if made then
    keep_made(asset, made)
    return 'done'
  end
  set_spec(asset, spec)
  if call('COPY', sample_of(kind), home) == 0 then
    -- After a wipe, all that is known may be that it was charged.
    call('HSET', home, 'phase', 'ready', 'route', kind[1], 'ceiling', kind[2], 'tokens', kind[3], 'batch', batch)
  end
  line_up(kind[1], row, asset)
  return 'ready'
end

-- The image of an asset was removed, which this batch still counts as done; it is to be made again now.
local function made_again(home)
  call('HDEL', home, 'removed')
  if not fresh then count_in(batch, 'done', nil) end
end

local retries = call('EXISTS', key('later')) == 1
local counts = { new = 0, made = 0, queued = 0, failed = 0 }
local ended = {}

-- What stands in for an asset of this batch, or would by what others found out. A line that comes later may ask for what
-- stood in for another's asset and has something in its own place since: all that read the batch follow there.
local function other_than(asset, phase)
  local other = swaps and instead_of(batch, asset)
  if other or not fresh then return other, true end
  if phase ~= 'failed' and phase ~= 'substituted' or not set(request.fallback) then return nil end
  other = call('HGET', key('a', asset), 'sub:' .. request.fallback)
  -- What stands for another line already is not moved with that.
  return other and call('HEXISTS', key('a', other), 'phase') == 1 and not spoken_for(asset)
    and hops_to(batch, asset) == 0 and may_stand(batch, asset, other) and other
end

-- The batch has counted what stands in for an asset, or has it for another line already: `stands`.
local function join_other(asset, other, row, stands)
  if fresh and stands then
    call('HINCRBY', name, 'doubled', 1)
  elseif fresh then
    stand_in(batch, row, asset, other)
  end
  local phase = call('HGET', key('a', other), 'phase')
  local how = 'queued'
  -- What was removed stays so until the line is given another take.
  if phase == 'done' or not phase then
    how = 'made'
  elseif ENDED[phase] and not (request.retry_failed and revive(other, phase)) then
    how = 'failed'
  end
  counts[how] = counts[how] + 1
  return nil
end

-- An asset that Redis knows; returns its phase, where this call is to count it.
local function join(asset, a, row, kind, spec)
  local phase = a[1]
  local other, stands = other_than(asset, phase)
  if other then return join_other(asset, other, row, stands) end
  if phase == 'done' then
    -- It was to be forgotten.
    if a[4] then call('HDEL', key('a', asset), 'going') end
    counts.made = counts.made + 1
    return phase
  end
  -- Past its deadline, a batch goes on counting what was removed, whatever others have of it.
  if late and not fresh and a[6] and a[2] ~= batch and not call('ZSCORE', key('askers', asset), batch) then
    counts.made = counts.made + 1
    return nil
  end
  if not a[3] then
    -- All that a worker could restore after Redis forgot is that it holds the asset.
    set_spec(asset, spec)
    call('HSET', key('a', asset), 'route', kind[1], 'ceiling', kind[2], 'tokens', kind[3])
  end
  if phase == 'substituted' then
    expose(asset)
    phase = 'failed'
  end
  -- The batch may ask for it already, in the place of another.
  -- Where an image was removed and others have it made again, a batch that counts it as done asks from now on, too.
  local asks = (fresh or a[6]) and share(asset, a[2], batch, row)
  if asks and not fresh then count_in(batch, 'done', nil) end
  if fresh and not asks then call('HINCRBY', name, 'doubled', 1) end
  if ENDED[phase] then
    if asks then
      list_again(asset, phase)
      count_in(batch, nil, phase)
    end
    local how = request.retry_failed and revive(asset, phase) and 'queued' or 'failed'
    counts[how] = counts[how] + 1
    return nil
  end
  counts.queued = counts.queued + 1
  if fresh and not asks then return phase end
  if phase == 'ready' and not (retries and call('ZSCORE', key('later'), asset)) then line_up(kind[1], row, asset) end
  return phase
end

-- Most chunks hold nothing that Redis knows: one call finds that out.
local names = {}
for i = 4, #ARGV, 4 do names[#names + 1] = key('a', ARGV[i]) end
local some_known = #names > 0 and call('EXISTS', unpack(names)) > 0

for n, home in ipairs(names) do
  local i = 4 * n
  local asset, row, kind, spec = ARGV[i], ARGV[i + 1], request.kinds[tonumber(ARGV[i + 2])], ARGV[i + 3]
  local a = some_known and call('HMGET', home, 'phase', 'batch', 'route', 'going', 'removed', 'counted')
  local phase
  local other, stands
  if not (a and a[1]) then other, stands = other_than(asset) end
  if other then
    -- Its place was taken; it is not paid for once more.
    join_other(asset, other, row, stands)
  elseif a and a[1] then
    phase = join(asset, a, row, kind, spec)
  elseif late and not fresh and a and a[6] and not request.made[tostring(n)] then
    counts.made = counts.made + 1
  else
    phase = create(asset, home, row, kind, spec, request.made[tostring(n)])
    if a and a[6] and phase == 'ready' then made_again(home) end
    local how = phase == 'done' and 'made' or 'new'
    counts[how] = counts[how] + 1
  end
  if fresh and phase and ENDED[phase] then ended[phase] = (ended[phase] or 0) + 1 end
end

for _, kind in ipairs(request.kinds) do
  if kind.sample then call('DEL', kind.sample) end
end
if #specs > 0 then call('MSET', unpack(specs)) end
for phase, number in pairs(ended) do call('HINCRBY', name, phase, number) end
close_if_complete(batch)
local waiting = false
for route, flow in pairs(flows) do
  if #flow > 0 then call('ZADD', key('flow', route, batch), unpack(flow)) end
  activate(route, batch)
  waiting = true
end
if waiting then wake() end
counts.status = 'ok'
return cjson.encode(counts)
