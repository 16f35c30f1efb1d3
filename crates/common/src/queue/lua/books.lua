-- Enters what was spent before this beginning of the namespace into the purses, once.
-- ARGV[1]  {epoch, total, tenants: [[tenant, spent]], by_day: [[day, spent, [[tenant, spent]]]]}: for which beginning it was
--          summed; micro-USD; the days in order
-- Returns  "restored" | "known" (it was entered before) | "another" (the namespace has begun anew since)
-- Complexity O(tenants * days)

call('HSETNX', key('meta'), 'epoch', int(NOW))
local m = call('HMGET', key('meta'), 'epoch', 'books')
if m[1] ~= request.epoch then return 'another' end
if m[2] then return 'known' end

if num(request.total) > 0 then enter(purse_of_all(nil), 1, request.total) end
for _, tenant in ipairs(request.tenants) do
  enter(purse_of_tenant(tenant[1], nil), 1, tenant[2])
  call('SADD', key('tenants'), tenant[1])
end
for _, day in ipairs(request.by_day) do
  enter(purse_of_all(day[1]), 2, day[2])
  for _, tenant in ipairs(day[3]) do enter(purse_of_tenant(tenant[1], day[1]), 2, tenant[2]) end
end
call('HSET', key('meta'), 'books', int(NOW))
wake()
return 'restored'
