-- Forgets what is archived in the store: a complete batch, old failures, old events. One caller at a time has the turn.
-- ARGV[1]  {owner, lasts, turn | over | batch, completed, done, failed, leave, gone? | failures, upto | events}: lasts: how long
--          the turn is kept, µs; completed, done, failed: as they were archived; leave: failed assets for which the batch
--          does not ask any more, at most 500; gone: forget the batch now; failures: keys, at most 500, that failed at
--          `upto` or before; events: those before this id
-- Returns  {"ok", how many changed} | {"other", 0} (somebody else has the turn) | {"changed", 0} (not as it was archived)
-- Complexity O(leave + failures + the batch's chunks)

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
      changed = changed + call('ZREM', key('failures'), asset)
    end
  end
  return { 'ok', changed }
end

local batch = request.batch
local b = call('HMGET', key('batch', batch), 'state', 'sealed', 'completed', 'done', 'failed', 'parked', 'reserved')
if b[1] ~= 'complete' or not set(b[2]) or b[3] ~= request.completed or num(b[4]) ~= num(request.done)
  or num(b[5]) ~= num(request.failed) or num(b[6]) > 0 or num(b[7]) > 0 then
  return { 'changed', 0 }
end
local left = 0
for _, asset in ipairs(request.leave) do
  if call('HGET', key('a', asset), 'phase') == 'failed' then
    leave(asset, batch)
    left = left + 1
  end
end
if request.gone then
  call('ZREM', key('batches'), batch)
  call('ZREM', key('capped'), 'b:' .. batch)
  for _, kind in ipairs({ 'batch', 'lines', 'chunks', 'swaps', 'redos' }) do call('DEL', key(kind, batch)) end
  event('archived', '', batch)
end
return { 'ok', left }
