-- Has other assets take the place of failed ones, since a person wants them: in the batches that are named, and no other.
-- ARGV[1]  {items: [{key, seen, parked, batches, offer: {model, key, spec, route, ceiling, tokens, made?}}]}, at most 100, each with at
--          most 100 batches: seen: when it failed, µs; parked: also where it may have been paid for
-- Returns  for each item what became of it and of how many batches: {"replaced", n} | {"changed", 0} (it is no such failure
--          any more, or nobody named asks for it) | {"parked", 0} | {"ended", 0} (the other one failed, too) | {"circle", n} (where
--          the other one was replaced itself, or too many stand one for another) | {"crowd", 0} (some have not heard yet);
--          {{"older"}} and nothing is written while an older version works in the namespace
-- Complexity O(items * batches * log(queue))

if not has_lists() then return { { 'older' } } end

-- How many stand one for another before an asset of a batch.
local function hops_to(batch, asset) return num(call('HGET', key('swaps', batch), 'hops:' .. asset)) end

local function asks(asset, first, batch)
  return first == batch or call('ZSCORE', key('askers', asset), batch)
end

local function move(item, batch, phase)
  local hops = hops_to(batch, item.key) + 1
  if hops > MAX_HOPS or call('HEXISTS', key('swaps', batch), item.offer.key) == 1 then return false end
  local row = row_of(item.key, batch) or 0
  count_in(batch, phase, nil)
  leave(item.key, batch)
  bring(item.offer)
  stand_in(batch, row, item.key, item.offer.key)
  call('HSET', key('swaps', batch), 'hops:' .. item.offer.key, int(math.max(hops, hops_to(batch, item.offer.key))))
  event('replaced', item.key, batch)
  return true
end

local function replace(item)
  local a = call('HMGET', key('a', item.key), 'phase', 'parting')
  local phase = a[1]
  if phase ~= 'failed' and phase ~= 'parked' then return { 'changed', 0 } end
  if int(num(call('ZSCORE', key('failures'), item.key))) ~= item.seen then return { 'changed', 0 } end
  if a[2] then return { 'crowd', 0 } end
  if phase == 'parked' and not item.parked then return { 'parked', 0 } end
  local other = call('HGET', key('a', item.offer.key), 'phase')
  if item.offer.key == item.key or other and other ~= 'done' and ENDED[other] then return { 'ended', 0 } end
  local moved, circles = 0, 0
  for _, batch in ipairs(item.batches) do
    local b = call('HMGET', key('batch', batch), 'state', 'deadline')
    local late = b[2] and num(b[2]) <= NOW
    if (b[1] == 'open' or b[1] == 'complete') and not late and asks(item.key, call('HGET', key('a', item.key), 'batch'), batch) then
      if move(item, batch, phase) then moved = moved + 1 else circles = circles + 1 end
    end
  end
  if moved == 0 then return { circles > 0 and 'circle' or 'changed', circles } end
  if not first_asker(item.key) then
    if phase == 'failed' then parted(item.key) else unlist_failure(item.key) end
  end
  return { 'replaced', moved }
end

local answers, some = {}, false
for i, item in ipairs(request.items) do
  answers[i] = replace(item)
  some = some or answers[i][1] == 'replaced'
end
if some then wake() end
return answers
