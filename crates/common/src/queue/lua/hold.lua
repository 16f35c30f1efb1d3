-- Holds a batch's flow with a reason, or lets it go on.
-- ARGV[1]  {batch, reason}: an empty reason lets it go on
-- Returns  "ok" | "missing"
-- Complexity O(routes of the batch)

local name = key('batch', request.batch)
if call('EXISTS', name) == 0 then return 'missing' end
if set(request.reason) then
  hold(request.batch, request.reason)
else
  resume(request.batch)
  wake()
end
return 'ok'
