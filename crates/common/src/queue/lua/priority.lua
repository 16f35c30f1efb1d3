-- Moves a batch's flow to another band, with a reason that people are shown.
-- ARGV[1]  {batch, band: "interactive"|"normal"|"bulk", reason}
-- Returns  {"ok"|"same"|"missing"|"ended", the band before}
-- Complexity O(routes of the batch)

local name = key('batch', request.batch)
local b = call('HMGET', name, 'state', 'band')
if not b[1] then return { 'missing', '' } end
if b[1] ~= 'open' then return { 'ended', b[2] } end
if not FACTOR[request.band] then return redis.error_reply('no such band') end
if b[2] == request.band then return { 'same', b[2] } end

-- The flow leaves by the old band and comes back by the new one.
for _, route in ipairs(routes_of(request.batch)) do deactivate(route, request.batch) end
call('HSET', name, 'band', request.band, 'band_reason', request.reason)
for _, route in ipairs(routes_of(request.batch)) do
  if call('EXISTS', key('flow', route, request.batch)) == 1 then activate(route, request.batch) end
end
wake()
return { 'ok', b[2] }
