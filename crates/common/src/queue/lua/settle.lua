-- Ends an attempt that made an image: asset done, reservation to cost, ledger, counts. Safe to repeat; right when late.
-- ARGV[1]  {key, token, cost, made: short record or JSON, attempt, payer, tenant?, lane, model, request_id?, tokens?: used, days}
-- Returns  {"done" | "again" (this token was settled before) | "duplicate" (another token's image stands), alert...}
-- Complexity O(batches that ask, at most 100) * O(log(queue))

local asset = key('a', request.key)
local paid = 'paid:' .. request.token
if call('HEXISTS', asset, paid) == 1 then
  free(request.token, request.key)
  return { 'again' }
end

local a = call('HMGET', asset, 'phase', 'token', 'tokens', 'attempts', 'unknowns', 'epoch')
local phase, owner = a[1], a[2]
local function answer(word) return { word, unpack(alerts) } end
local held = let_go(request.token, request.key)
call('HSET', asset, paid, request.cost)
local counted, day = resolve(request)
day = pay(held, request.payer, num(request.cost) - counted, day)
ledger('settled', request.key, request.token, num(request.cost), request, day)
if phase == 'done' then return answer('duplicate') end

if phase == 'claimed' and set(owner) and owner ~= request.token then
  local given = free(owner, request.key)
  if given then
    local lane = lane_of(given.lane)
    refund(lane, num(a[3]), a[6])
    save(lane)
  end
end
if owner == request.token and num(request.tokens) > 0 and num(a[3]) > 0 then
  local lane = lane_of(request.lane)
  settle_tokens(lane, num(request.tokens) - num(a[3]), a[6])
  save(lane)
end
call('HSET', asset, 'phase', 'done')
keep_made(request.key, request.made)
call('ZREM', key('later'), request.key)
call('ZREM', key('failures'), request.key)
call('DEL', key('failure', request.key))
if count(request.key, phase, 'done') then call('DEL', key('askers', request.key), key('rows', request.key)) end
-- Nobody will send it again. A rival that may be out is looked for by the spec.
if owner == request.token and num(a[4]) <= 1 and num(a[5]) == 0 then call('DEL', key('s', request.key)) end
call('HDEL', asset, 'token', 'slot', 'deadline', 'lane', 'payer', 'route', 'ceiling', 'tokens', 'batch', 'row',
  'shared', 'bad', 'unsent', 'epoch')
event('done', request.key, request.payer)
return answer('done')
