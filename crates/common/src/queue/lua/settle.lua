-- Ends an attempt that made an image: asset done, reservation to cost, ledger, counts. Safe to repeat; right when late.
-- ARGV[1]  {key, token, cost, made, attempt, payer, lane, model, request_id?}
-- Returns  "done" | "again" (this token was settled before) | "duplicate" (another token's image stands)
-- Complexity O(batches that ask, at most 100) * O(log(queue))

local asset = key('asset', request.key)
local paid = 'paid:' .. request.token
if call('HEXISTS', asset, paid) == 1 then
  free(request.token, request.key)
  return 'again'
end

local a = call('HMGET', asset, 'phase', 'token', 'tokens')
local phase, owner = a[1], a[2]
free(request.token, request.key)
call('HSET', asset, paid, request.cost)
spend(request.payer, num(request.cost) - resolve(request))
ledger('settled', request.key, request.token, num(request.cost), request)
if phase == 'done' then return 'duplicate' end

if phase == 'claimed' and set(owner) and owner ~= request.token then
  local held = free(owner, request.key)
  if held then
    local lane = lane_of(held.lane)
    refund(lane, num(a[3]))
    save(lane)
  end
end
call('SET', key('made', request.key), request.made)
call('HSET', asset, 'phase', 'done', 'token', request.token)
call('HDEL', asset, 'slot', 'deadline', 'lane')
call('ZREM', key('later'), request.key)
call('ZREM', key('failures'), request.key)
call('DEL', key('failure', request.key))
count(request.key, phase, 'done')
event('done', request.key, request.payer)
return 'done'
