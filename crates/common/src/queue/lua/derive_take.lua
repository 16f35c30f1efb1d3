-- Gives out one batch that has ended and whose derivatives are to be made; nobody else is given it until the time is up.
-- Whoever dies three times over one leaves it to people.
-- ARGV[1]  {lease, aside?}: µs; aside: what is not due for so long was left to those who make all formats, as the caller
-- Returns  the batch, or "" when there is none
-- Complexity O(log(batches)); looks at 40 batches at most

local LOOK, TRIES = 10000000, 3
local function taken(from, upto)
  for _, batch in ipairs(call('ZRANGEBYSCORE', key('derive'), from, upto, 'LIMIT', 0, 20)) do
    local b = call('HMGET', key('batch', batch), 'state', 'derive_tries')
    if not b[1] then
      call('ZREM', key('derive'), batch)
    elseif b[1] == 'open' then
      call('ZADD', key('derive'), int(NOW + LOOK), batch)
    elseif num(b[2]) >= TRIES then
      call('ZREM', key('derive'), batch)
      call('ZADD', key('underived'), 1, batch)
    else
      call('HINCRBY', key('batch', batch), 'derive_tries', 1)
      call('ZADD', key('derive'), int(NOW + num(request.lease)), batch)
      return batch
    end
  end
end

local batch = taken('-inf', int(NOW))
if not batch and set(request.aside) then batch = taken(int(NOW + num(request.aside)), '+inf') end
return batch or ''
