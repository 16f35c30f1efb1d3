-- Has other assets take the place of failed ones, since a person wants them: in the batches that are named, and no other.
-- ARGV[1]  {epoch?, looked?, items: [{key, seen, parked, batches, offer: {model, key, spec, route, ceiling, tokens, made?}, free, how}]}, at most 100, with
--          at most 500 batches together; epoch, looked: in which they were looked up, and when, µs; seen: when it failed, µs; parked: also where it may have been paid for;
--          free: the other one was made or on its way when it was looked up; how: what the other one is asked for otherwise, for people; kept in swaps:BATCH
-- Returns  for each item what became of it and of how many batches: {"replaced", n} | {"changed", 0} (it is no such failure
--          any more, nobody named asks for it, or the other one was removed) | {"parked", 0} | {"ended", 0} (the other one failed, too) | {"circle", n} (where
--          the other one was replaced itself, or too many stand one for another) | {"crowd", 0} (some have not heard yet);
--          {{"older"}} and nothing is written while an older version works in the namespace; {{"forgot"}} in another epoch
-- Complexity O(items * batches * log(queue))

-- What was found in Redis then may be in the store alone now.
if has_forgotten() then return { { 'forgot' } } end
if not has_lists() then return { { 'older' } } end

local function asks(asset, first, batch)
  return first == batch or call('ZSCORE', key('askers', asset), batch)
end

local function move(item, batch, phase)
  if not may_stand(batch, item.key, item.offer.key) then return false end
  local row = row_of(item.key, batch) or 0
  count_in(batch, phase, nil)
  leave(item.key, batch)
  bring(item.offer)
  stand_in(batch, row, item.key, item.offer.key)
  call('HINCRBY', key('batch', batch), 'replaced', 1)
  if set(item.how) then call('HSET', key('swaps', batch), 'how:' .. item.offer.key, item.how) end
  event('replaced', item.key, batch)
  return true
end

local function replace(item)
  local a = call('HMGET', key('a', item.key), 'phase', 'parting', 'counting')
  local phase = a[1]
  if phase ~= 'failed' and phase ~= 'parked' then return { 'changed', 0 } end
  if int(num(call('ZSCORE', key('failures'), item.key))) ~= item.seen then return { 'changed', 0 } end
  if a[2] or a[3] then return { 'crowd', 0 } end
  if phase == 'parked' and not item.parked then return { 'parked', 0 } end
  local other = call('HGET', key('a', item.offer.key), 'phase')
  if item.offer.key == item.key or other and other ~= 'done' and ENDED[other] then return { 'ended', 0 } end
  -- What was found has been removed since.
  if is_void(item.offer) or not other and item.free and not set(item.offer.made) then return { 'changed', 0 } end
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
