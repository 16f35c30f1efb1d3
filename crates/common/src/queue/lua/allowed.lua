#!lua flags=no-writes,allow-oom,allow-stale
-- Says which of some commands the user of this connection may not run; runs none of them.
-- ARGV[1]  a list of commands, each a list of words
-- Returns  the places, from 1, of those that are refused
-- Complexity O(commands)

local refused = {}
for place, words in ipairs(cjson.decode(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = place end
end
return refused
