-- Says that a batch is whole; only a sealed batch can be complete.
-- ARGV[1]  {batch, total}: total is the number of lines
-- Returns  "ok", "missing" when the batch is unknown, "short" when lines are missing
-- Complexity O(1)

local name = key('batch', request.batch)
if call('EXISTS', name) == 0 then return 'missing' end
if num(call('HGET', name, 'lines')) < num(request.total) then return 'short' end
if not set(call('HGET', name, 'sealed')) then
  call('HSET', name, 'sealed', request.total)
  event('sealed', '', request.batch)
end
close_if_complete(request.batch)
return 'ok'
