-- Renews the leases of a worker, token by token, and carries their phases.
-- ARGV[1]  {lease, grace, days, held: [{key, token, phase, lane, payer, tenant?, ceiling, attempt, deadline}]}; at most 500
-- Returns  a list in the same order: "ok", "restored" (Redis forgot, nobody else has it) or "lost"
-- Complexity O(held * log(leases))

in_grace()
stamp()
local RANK = { claimed = 1, sent = 2, received = 3 }

-- Whoever has something set aside has a place in its lane; both are given back together.
local function is_set_aside(h) return call('HEXISTS', key('reservations'), h.token) == 1 end

local function mark(h, phase)
  call('HSET', key('a', h.key), 'phase', phase, 'token', h.token)
  call('ZADD', key('leases'), int(NOW + request.lease), h.token .. ' ' .. h.key)
  call('ZREM', key('doubt'), h.token .. ' ' .. h.key)
  -- Its owner gives up before its deadline: where that has passed, the clock leapt, and it is on its way still.
  if h.phase == 'sent' and num(h.deadline) < NOW and is_set_aside(h) then
    call('ZADD', key('inflight', h.lane), int(NOW + request.lease), h.token)
  end
end

local function restore(h)
  local asset = key('a', h.key)
  local attempts = math.max(num(call('HGET', asset, 'attempts')), num(h.attempt))
  call('HSET', asset, 'lane', h.lane, 'payer', h.payer, 'attempts', int(attempts), 'deadline', int(num(h.deadline)),
    'slot', int(NOW))
  mark(h, h.phase)
  call('ZREM', key('later'), h.key)
  -- What is on the books as unknown is not set aside as well.
  if not is_set_aside(h) and call('HEXISTS', asset, 'unknown:' .. h.token) == 0 then
    reserve(h.token, num(h.ceiling), h.payer, h.lane, h.tenant)
  end
  local until_at = h.phase == 'claimed' and NOW + request.lease + 2000000 or num(h.deadline)
  if is_set_aside(h) then call('ZADD', key('inflight', h.lane), int(until_at), h.token) end
  return 'restored'
end

local answers = {}
for i, h in ipairs(request.held) do
  local a = call('HMGET', key('a', h.key), 'phase', 'token', 'gone')
  local phase, token = a[1], a[2]
  if phase and ENDED[phase] or call('EXISTS', key('ended', h.token)) == 1 then
    answers[i] = 'lost'
  elseif token == h.token then
    if phase == 'orphan' then phase = 'sent' end
    local further = (RANK[h.phase] or 0) > (RANK[phase] or 0)
    if further and phase == 'claimed' then
      answers[i] = restore(h)
    else
      mark(h, further and h.phase or phase)
      answers[i] = 'ok'
    end
  elseif not phase and h.phase == 'claimed' and (a[3] or call('HEXISTS', key('meta'), 'forgets') == 1) then
    -- Its owner was away, and meanwhile another made it, which was forgotten or removed: it would be paid for once more.
    answers[i] = 'lost'
  elseif not phase or not set(token) and h.phase ~= 'claimed' then
    answers[i] = restore(h)
  elseif phase == 'claimed' and h.phase ~= 'claimed' then
    -- A server that went back in time believes in who had it before; who has not sent yields to who has.
    free_forgotten(token, h.key)
    answers[i] = restore(h)
  else
    -- Also what was not sent and waits in its queue again: there it is claimed under the caps, here it would not be.
    answers[i] = 'lost'
  end
end
return answers
