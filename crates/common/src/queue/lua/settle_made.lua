-- Ends an attempt that made an image: asset done, reservation to cost, ledger, counts. Safe to repeat; right when late.
-- ARGV[1]  {key, token, cost, made: short record or JSON, attempt, payer, tenant?, lane, model, request_id?, tokens?: used, days}
-- Returns  {"done" | "again" (this token was settled before) | "duplicate" (another token's image stands), alert...}
-- Complexity O(batches that ask, at most 100) * O(log(queue))

local asset = key('a', request.key)
local paid = 'paid:' .. request.token
local a = call('HMGET', asset, 'phase', 'token', 'tokens', 'attempts', 'unknowns', 'epoch', 'parting', paid)
if a[8] then
  free(request.token, request.key)
  return { 'again' }
end

local phase, owner = a[1], a[2]
local function answer(word) return { word, unpack(alerts) } end
local held = let_go(request.token, request.key)
call('HSET', asset, paid, request.cost)
local counted, day = resolve(request)
day = pay(held, request.payer, num(request.cost) - counted, day)
ledger('settled', request.key, request.token, num(request.cost), request, day)
if phase == 'done' then return answer('duplicate') end

local rival = phase == 'claimed' and set(owner) and owner ~= request.token and free(owner, request.key)
keep_made(request.key, request.made)
-- What is out is neither to be tried again later nor among the failures.
if phase ~= 'sent' and phase ~= 'received' then
  call('ZREM', key('later'), request.key)
  unlist_failure(request.key)
end
local gone = { key('failure', request.key) }
if count(request.key, phase, 'done') and not a[7] then
  gone[2], gone[3] = key('askers', request.key), key('rows', request.key)
end
-- Nobody will send it again. A rival that may be out is looked for by the spec.
if owner == request.token and num(a[4]) <= 1 and num(a[5]) == 0 then gone[#gone + 1] = key('s', request.key) end
call('DEL', unpack(gone))
-- That there was one attempt is known by who was paid.
local one = a[4] == '1' and 'attempts' or 'epoch'
call('HDEL', asset, 'token', 'slot', 'deadline', 'lane', 'payer', 'route', 'ceiling', 'tokens', 'batch', 'row',
  'shared', 'bad', 'unsent', 'epoch', one)
event('done', request.key, request.payer)

local more = owner == request.token and num(request.tokens) > 0 and num(a[3]) > 0 and num(request.tokens) - num(a[3]) or 0
if more == 0 and not rival then return answer('done') end
