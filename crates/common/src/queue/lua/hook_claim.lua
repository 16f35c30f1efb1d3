-- Takes notices that are due for an endpoint, for a while: who does not say what became of one loses it to the next.
-- ARGV[1]  {hook, owner, most, busy}: busy in µs
-- Returns  JSON {wait, notices: [{id, type, about, body, attempt, token}]}: in how many µs the next one is due
-- Complexity O(most * log(notices)); at most 20

local name = request.hook
local answer = { notices = {} }
local function told(wait)
  answer.wait = int(wait)
  return cjson.encode(answer)
end
if set(call('HGET', key('hook', name), 'disabled')) then return told(request.busy) end

local due = key('notices_due', name)
for _, id in ipairs(call('ZRANGEBYSCORE', due, '-inf', int(NOW), 'LIMIT', 0, math.min(request.most, 20))) do
  local record = key('notice', name, id)
  local r = call('HMGET', record, 'type', 'about', 'body')
  if r[3] then
    local attempt = call('HINCRBY', record, 'attempts', 1)
    local token = request.owner .. ':' .. int(attempt)
    call('HSET', record, 'token', token, 'tried', int(NOW))
    call('ZADD', due, int(NOW + request.busy), id)
    answer.notices[#answer.notices + 1] = { id = id, type = r[1], about = r[2], body = r[3], attempt = attempt, token = token }
  else
    call('ZREM', due, id)
    call('ZREM', key('notices', name), id)
  end
end
local next_one = call('ZRANGE', due, 0, 0, 'WITHSCORES')
return told(next_one[2] and math.max(0, num(next_one[2]) - NOW) or request.busy)
