
-- Substitution ------------------------------------------------------------
--
-- A batch may name a model for what its own cannot make: its fallback. Then another asset stands in for the one it
-- asked for. swaps:BATCH has which stands in for which, and behind how many; `sub:MODEL` of an asset's hash the same for batches that ask
-- later. `substituted` of a batch counts them; `doubled` those of its assets that it asks for twice now.

-- So many may stand in one for another.
local MAX_HOPS = 8

-- Lets a batch ask for an asset; false where it does already.
local function share(asset, first, batch, row)
  if not set(first) then
    call('HSET', key('a', asset), 'batch', batch, 'row', row)
    if call('ZSCORE', key('listed'), asset) then list_for(asset, batch) end
    return true
  end
  if first == batch then return false end
  if call('ZADD', key('askers', asset), 'NX', call('HINCRBY', key('meta'), 'joined', 1), batch) == 0 then return false end
  call('HSET', key('rows', asset), batch, row)
  call('HSET', key('a', asset), 'shared', 1)
  if call('ZSCORE', key('listed'), asset) then list_for(asset, batch) end
  return true
end

-- Takes a batch's wish for an asset away; the place of the first asker may be empty then.
local function leave(asset, batch)
  local a = call('HMGET', key('a', asset), 'batch', 'route')
  call('ZREM', key('flow', a[2] or '', batch), asset)
  if a[1] == batch then
    call('HDEL', key('a', asset), 'batch', 'row')
  else
    call('ZREM', key('askers', asset), batch)
    call('HDEL', key('rows', asset), batch)
  end
  unlist_for(asset, batch)
end

-- The first batch that asks for an asset: another one takes an empty place. Nothing when nobody asks.
local function first_asker(asset)
  local a = call('HMGET', key('a', asset), 'batch', 'shared')
  if set(a[1]) then return a[1] end
  local heir = set(a[2]) and call('ZPOPMIN', key('askers', asset))[1]
  if not heir then return nil end
  call('HSET', key('a', asset), 'batch', heir, 'row', call('HGET', key('rows', asset), heir) or 0)
  call('HDEL', key('rows', asset), heir)
  return heir
end

-- An asset that was substituted for all who asked is a failure again for one that asks now.
local function expose(asset)
  call('HSET', key('a', asset), 'phase', 'failed')
  list_failure(asset, 'failed')
end

local function add_route(batch, route)
  local routes = call('HGET', key('batch', batch), 'routes') or ''
  if string.find(' ' .. routes .. ' ', ' ' .. route .. ' ', 1, true) then return end
  call('HSET', key('batch', batch), 'routes', routes == '' and route or routes .. ' ' .. route)
end

-- How many stand one for another before an asset of a batch.
local function hops_to(batch, asset) return num(call('HGET', key('swaps', batch), 'hops:' .. asset)) end

-- Whether another may stand in for an asset: what stood in a circle, or behind too many, would be had by nobody.
local function may_stand(batch, asset, other)
  return hops_to(batch, asset) < MAX_HOPS and call('HEXISTS', key('swaps', batch), other) == 0
end

-- What a batch has in place of an asset it asked for, if that is another; what stands in may have one of its own.
local function instead_of(batch, asset)
  local other
  -- One more: the first was not counted by an older version.
  for _ = 1, MAX_HOPS + 1 do
    local following = call('HGET', key('swaps', batch), other or asset)
    if not following then break end
    other = following
  end
  return other
end

-- Has a batch ask for one more asset in a row that it has, and counts it.
local function ask_for(batch, row, other)
  local a = call('HMGET', key('a', other), 'phase', 'batch', 'route')
  local phase = a[1]
  if phase == 'done' then
    -- It was to be forgotten, perhaps.
    call('HDEL', key('a', other), 'going')
    return count_in(batch, nil, phase)
  end
  if not share(other, a[2], batch, row) then
    call('HINCRBY', key('batch', batch), 'doubled', 1)
    return close_if_complete(batch)
  end
  add_route(batch, a[3])
  if phase == 'substituted' then
    expose(other)
    phase = 'failed'
  end
  list_again(other, phase)
  if phase == 'ready' and not call('ZSCORE', key('later'), other) then enqueue(other, a[3], batch) end
  count_in(batch, nil, phase)
end

-- Has one asset stand in for another that a batch asks for in a row.
local function stand_in(batch, row, asset, other)
  local hops = math.max(hops_to(batch, other), hops_to(batch, asset) + 1)
  call('HSET', key('swaps', batch), asset, other, 'hops:' .. other, int(hops))
  call('HINCRBY', key('batch', batch), 'substituted', 1)
  ask_for(batch, row, other)
end

-- Creates what is offered, unless it is there.
local function bring(offer)
  local home = key('a', offer.key)
  local a = call('HMGET', home, 'phase', 'route')
  if a[1] == 'done' then return end
  if not a[1] then call('HDEL', home, 'removed') end
  if not a[1] and set(offer.made) then return keep_made(offer.key, offer.made) end
  if not a[2] then
    call('SET', key('s', offer.key), offer.spec)
    call('HSET', home, 'route', offer.route, 'ceiling', offer.ceiling)
    if offer.tokens ~= '0' then call('HSET', home, 'tokens', offer.tokens) end
  end
  if not a[1] then call('HSET', home, 'phase', 'ready') end
end

-- Whether an image that is offered was removed since it was looked up, or is being removed.
local function is_void(offer)
  if call('HEXISTS', key('a', offer.key), 'phase') == 1 then return false end
  return is_removing(offer.key) or set(offer.made) and is_gone(offer.key, offer.made)
end

local function by_model(offers)
  local by = {}
  for _, offer in ipairs(offers) do by[offer.model] = offer end
  return by
end

-- Lets a batch that asks for a failed asset have what its fallback offers, or count the failure; true for the former.
local function part_with(asset, batch, by)
  local b = call('HMGET', key('batch', batch), 'fallback', 'state')
  local offer = b[2] == 'open' and set(b[1]) and by[b[1]]
  if not offer or not offer.key or is_void(offer) or not may_stand(batch, asset, offer.key) then
    count_in(batch, nil, 'failed')
    return false
  end
  local row = row_of(asset, batch) or 0
  leave(asset, batch)
  bring(offer)
  call('HSET', key('a', asset), 'sub:' .. offer.model, offer.key)
  stand_in(batch, row, asset, offer.key)
  return true
end

-- What becomes of a failed asset once all who asked were told: substituted, when nobody asks any more.
local function parted(asset)
  if first_asker(asset) then return 'failed' end
  local phase = call('HGET', key('a', asset), 'phase')
  if phase == 'ready' then forget(asset) end
  if phase ~= 'failed' then return 'failed' end
  call('HSET', key('a', asset), 'phase', 'substituted')
  unlist_failure(asset)
  return 'substituted'
end

-- Ends an asset that has just failed for all who ask; beyond a hundred by work-list. Tells what it ended as.
local function substitute(asset, offers)
  local by, list, swapped = by_model(offers), askers(asset), false
  for _, batch in ipairs(list) do swapped = part_with(asset, batch, by) or swapped end
  rest(asset, list, { kind = 'substitute', offers = offers, swapped = swapped })
  if list.more then call('HSET', key('a', asset), 'parting', 1) end
  if list.more or not swapped then return 'failed' end
  return parted(asset)
end

-- Fallbacks of those who ask, other than a model, for which nothing is offered yet.
local function wanted(asset, model, offers)
  local by, models = by_model(offers), {}
  for _, batch in ipairs(askers(asset)) do
    local b = call('HMGET', key('batch', batch), 'fallback', 'state')
    if set(b[1]) and b[2] == 'open' and b[1] ~= model and not by[b[1]] then
      by[b[1]] = true
      models[#models + 1] = b[1]
    end
  end
  return models
end

-- Whether an asset was or may have been paid for, but for a token, or was refused for its content.
local function spoken_for(asset, token)
  for field, value in pairs(hash(key('a', asset))) do
    local doubt = string.match(field, '^unknown:(.*)$')
    if doubt and doubt ~= token or string.find(field, '^paid:') or field == 'refused' and value == 'content' then return true end
  end
  return false
end
