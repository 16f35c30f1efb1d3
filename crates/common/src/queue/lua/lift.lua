-- Lifts the pause of a lane whose key was refused, unless it is paused for something else by now.
-- ARGV[1]  {lane, refused}: refused is the digest of the key it was paused for
-- Returns  1 if it was lifted, else 0
-- Complexity O(1)

local lane = key('lane', request.lane)
if call('HGET', lane, 'paused_key') ~= request.refused then return 0 end
call('HDEL', lane, 'paused', 'paused_key')
wake()
return 1
