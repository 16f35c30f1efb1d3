-- Says that a batch is whole; only a sealed batch can be complete.
-- ARGV[1]  {batch, total, epoch?}: total is the number of lines; epoch is that in which they were submitted
-- Returns  "ok", "forgot" in another epoch, "missing" when the batch is unknown, "short" when lines are missing
-- Complexity O(1)

if set(request.epoch) and request.epoch ~= epoch() then return 'forgot' end
local name = key('batch', request.batch)
if call('EXISTS', name) == 0 then return 'missing' end
if num(call('HGET', name, 'lines')) < num(request.total) then return 'short' end
if not set(call('HGET', name, 'sealed')) then
  call('HSET', name, 'sealed', request.total)
  event('sealed', '', request.batch)
end
close_if_complete(request.batch)
return 'ok'
