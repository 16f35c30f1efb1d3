-- Gives a batch up: its flow leaves the queue at once, its references are taken away by work-list.
-- What is sent is finished, stored and charged.
-- ARGV[1]  {batch, reason}
-- Returns  "ok" | "missing" | "ended"
-- Complexity O(routes of the batch)

local name = key('batch', request.batch)
local b = call('HMGET', name, 'state', 'expired')
local state = b[1]
if not state then return 'missing' end
if state ~= 'open' and not b[2] then return state == 'cancelled' and 'ok' or 'ended' end
for _, route in ipairs(routes_of(request.batch)) do deactivate(route, request.batch) end
call('HSET', name, 'state', 'cancelled', 'reason', request.reason, 'completed', int(NOW))
call('HDEL', name, 'expired')
call('ZREM', key('deadlines'), request.batch)
call('RPUSH', key('work'), cjson.encode({ kind = 'cancel', batch = request.batch, cursor = '-', from = 0 }))
event('cancelled', '', request.batch)
news_of_end(request.batch)
return 'ok'
