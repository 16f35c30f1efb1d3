-- Says that a worker is alive, or that it has left; forgets those not heard of for a minute.
-- ARGV[1]  {incarnation, beat}: beat is JSON; an empty one says that the worker has left
-- Returns  how many are known
-- Complexity O(workers)

local name = key('workers')
if set(request.beat) then
  call('HSET', name, request.incarnation, int(NOW) .. ' ' .. request.beat)
else
  call('HDEL', name, request.incarnation)
end
local flat, known = call('HGETALL', name), 0
for i = 1, #flat, 2 do
  if num(string.match(flat[i + 1], '^%d+')) < NOW - 60000000 then
    call('HDEL', name, flat[i])
  else
    known = known + 1
  end
end
return known
