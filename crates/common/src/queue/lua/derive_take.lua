-- Gives out one batch that has ended and whose derivatives are to be made; nobody else is given it until the time is up.
-- Whoever dies three times over one leaves it to people.
-- ARGV[1]  {lease}: µs
-- Returns  the batch, or "" when there is none
-- Complexity O(log(batches)); looks at 20 batches at most

local LOOK, TRIES = 10000000, 3
for _, batch in ipairs(call('ZRANGEBYSCORE', key('derive'), '-inf', int(NOW), 'LIMIT', 0, 20)) do
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
return ''
