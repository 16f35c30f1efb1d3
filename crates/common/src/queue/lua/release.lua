-- Gives claimed assets back unsent: permit, reservation and place in the queue.
-- ARGV[1]  {held: [{key, token}]}; at most 500
-- Returns  how many were given back
-- Complexity O(held * log(queue))

local given = 0
for _, h in ipairs(request.held) do
  local a = call('HMGET', key('a', h.key), 'phase', 'token')
  if a[2] == h.token and a[1] == 'claimed' then
    give_back(h.key, h.token)
    given = given + 1
  end
end
if given > 0 then wake() end
return given
