-- Makes an asset done whose image stands in the store and was paid for as the ledger has it: nothing is charged.
-- ARGV[1]  {key, token, cost, made: short record or JSON, days}: the request that made the image, and what it cost
-- Returns  "done" | "again" (it is done) | "busy" (a request for it is out, or some who asked have not heard yet how it
--          ended) | "missing" (Redis does not know it)
-- Complexity O(batches that ask, at most 100) * O(log(queue))

local asset = key('a', request.key)
local a = call('HMGET', asset, 'phase', 'token', 'parting')
local phase, owner = a[1], a[2]
if not phase then return 'missing' end
if phase == 'done' then return 'again' end
if phase == 'sent' or phase == 'received' or phase == 'orphan' or a[3] then return 'busy' end

if phase == 'claimed' and set(owner) then free(owner, request.key) end
-- Should its worker tell of it yet, it is not charged once more.
call('HSETNX', asset, 'paid:' .. request.token, request.cost)
keep_made(request.key, request.made)
call('ZREM', key('later'), request.key)
unlist_failure(request.key)
local gone = { key('failure', request.key), key('s', request.key) }
if count(request.key, phase, 'done') then
  gone[3], gone[4] = key('askers', request.key), key('rows', request.key)
end
call('DEL', unpack(gone))
call('HDEL', asset, 'token', 'slot', 'deadline', 'lane', 'payer', 'route', 'ceiling', 'tokens', 'batch', 'row', 'shared',
  'bad', 'unsent', 'epoch', 'attempts')
event('done', request.key, '')
return 'done'
