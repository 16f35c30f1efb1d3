-- Says how the derivatives of a batch stand.
-- ARGV[1]  {batch, what: "goes_on"|"later"|"aside"|"ended", after?, left?, words?}: it is being worked on, or is to be looked
--          at again, after so many µs; or it is left to those who make all formats, which gives back this try alone; or it
--          has ended; and so many cannot be made. words: JSON of what is asked for from now on
-- Returns  "ok" | "missing"
-- Complexity O(log(batches))

local name = key('batch', request.batch)
if call('EXISTS', name) == 0 then return 'missing' end
local function count_left()
  if num(request.left) > 0 then
    call('ZADD', key('underived'), int(request.left), request.batch)
  else
    call('ZREM', key('underived'), request.batch)
  end
end

if set(request.words) then call('HSET', name, 'derive', request.words) end
if request.what == 'later' or request.what == 'ended' then
  call('HDEL', name, 'derive_tries')
elseif request.what == 'aside' and num(call('HGET', name, 'derive_tries')) > 0 then
  call('HINCRBY', name, 'derive_tries', -1)
end
if request.what == 'ended' then
  call('ZREM', key('derive'), request.batch)
  count_left()
elseif call('ZSCORE', key('derive'), request.batch) then
  call('ZADD', key('derive'), int(NOW + num(request.after)), request.batch)
  if request.what == 'aside' then count_left() end
end
return 'ok'
