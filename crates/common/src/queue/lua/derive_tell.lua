-- Says how the derivatives of a batch stand.
-- ARGV[1]  {batch, what: "goes_on"|"later"|"ended", after?, left?, words?}: it is being worked on, or is to be looked at
--          again, after so many µs; or it has ended, and so many cannot be made. words: JSON of what is asked for from now on
-- Returns  "ok" | "missing"
-- Complexity O(log(batches))

local name = key('batch', request.batch)
if call('EXISTS', name) == 0 then return 'missing' end
if set(request.words) then call('HSET', name, 'derive', request.words) end
if request.what ~= 'goes_on' then call('HDEL', name, 'derive_tries') end
if request.what == 'ended' then
  call('ZREM', key('derive'), request.batch)
  if num(request.left) > 0 then
    call('ZADD', key('underived'), int(request.left), request.batch)
  else
    call('ZREM', key('underived'), request.batch)
  end
elseif call('ZSCORE', key('derive'), request.batch) then
  call('ZADD', key('derive'), int(NOW + num(request.after)), request.batch)
end
return 'ok'
