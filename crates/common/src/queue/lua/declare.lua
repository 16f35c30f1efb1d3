-- Declares a lane's limits. What was learnt of a limit stays until another one is told; its pace and pauses stay.
-- ARGV[1]  {lane, kind: "fixed"|"guess", in_flight, window, dimensions: [{name, limit, window, burst}]}; times in µs
-- Returns  1, or 0 where a worker that is alive knows the limits and this one guesses
-- Complexity O(dimensions)

local name = key('lane', request.lane)
local before = hash(name)
local dims, told = {}, {}
if request.kind == 'guess' and before.kind == 'fixed' and num(before.fixed_at) > NOW - 600000000 then return 0 end

local function tell(d)
  local limit = before['ordered:' .. d.name] or d.limit
  dims[#dims + 1], told[d.name] = d.name, true
  call('HSET', name, 'window:' .. d.name, d.window, 'burst:' .. d.name, d.burst, 'settings:' .. d.name, d.limit)
  if before['told:' .. d.name] == limit and before.kind == request.kind and before['window:' .. d.name] == d.window then return end
  call('HSET', name, 'told:' .. d.name, limit, 'limit:' .. d.name, limit)
  call('HDEL', name, 'base:' .. d.name, 'since:' .. d.name, 'full:' .. d.name, 'given:' .. d.name, 'stated:' .. d.name)
end

for _, d in ipairs(request.dimensions) do tell(d) end
for d in string.gmatch(before.dims or '', '%S+') do
  if not told[d] then
    call('HDEL', name, 'settings:' .. d)
    -- What is ordered by hand stands, also where only the API has named such a limit.
    if before['told:' .. d] and not before['ordered:' .. d] then
      call('HDEL', name, 'told:' .. d, 'limit:' .. d)
    else
      dims[#dims + 1] = d
    end
  end
end
call('HSET', name, 'dims', table.concat(dims, ' '), 'kind', request.kind, 'in_flight', request.in_flight, 'window', request.window)
if request.kind == 'fixed' then call('HSET', name, 'fixed_at', int(NOW)) end
call('SADD', key('lanes'), request.lane)
return 1
