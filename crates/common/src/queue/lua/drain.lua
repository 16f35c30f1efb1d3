-- Tells workers to take nothing new and to end once their hands are empty, or to go on. Their next word that they are
-- alive, every five seconds, brings them the order.
-- ARGV[1]  {workers: [incarnation], order?}: order is JSON of who tells them and why; without it they go on
-- Returns  what became of each: "told" | "as_before" | "gone"
-- Complexity O(workers)

local name = key('drains')
-- Who has gone without a word leaves no order behind.
for worker in pairs(hash(name)) do
  if call('HEXISTS', key('workers'), worker) == 0 then call('HDEL', name, worker) end
end

local became = {}
for n, worker in ipairs(request.workers) do
  if call('HEXISTS', key('workers'), worker) == 0 then
    became[n] = 'gone'
  elseif set(request.order) then
    became[n] = call('HSETNX', name, worker, request.order) == 1 and 'told' or 'as_before'
  else
    became[n] = call('HDEL', name, worker) == 1 and 'told' or 'as_before'
  end
end
return became
