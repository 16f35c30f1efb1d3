-- Enters what was spent before this beginning of the namespace, once.
-- ARGV[1]  {epoch, total, days: [{day, tenant, spent}]}: for which beginning it was summed; micro-USD
-- Returns  "restored" | "known" (it was entered before) | "another" (the namespace has begun anew since)
-- Complexity O(days)

call('HSETNX', key('meta'), 'epoch', int(NOW))
local m = call('HMGET', key('meta'), 'epoch', 'books')
if m[1] ~= request.epoch then return 'another' end
if m[2] then return 'known' end
if num(request.total) > 0 then call('HINCRBY', key('budget'), 'spent', int(num(request.total))) end
call('HSET', key('meta'), 'books', int(NOW))
wake()
return 'restored'
