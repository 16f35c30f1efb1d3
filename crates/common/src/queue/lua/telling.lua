-- Gives whoever tells this server what it has forgotten more time before anything is claimed or reaped.
-- ARGV[1]  {grace, hold}: hold is for how long from now, no longer than the grace; µs
-- Returns  until when nothing is, µs
-- Complexity O(1)

local till = math.max(in_grace() or 0, NOW + math.min(request.hold, request.grace))
call('HSET', key('meta'), 'grace_until', int(till))
stamp()
return int(till)
